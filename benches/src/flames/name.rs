//! What a frame of a stack is called, and whose code it is.

use rustc_demangle::try_demangle;

/// A frame of a stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Frame {
    /// Whose code it is.
    pub(super) whose: Whose,
    /// What it is called, without anything that depends on the build or on the machine.
    pub(super) name: String,
}

/// Whose code a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    Kernel,
    Memory,
    Callboard,
    GraphQl,
    Http,
    Driver,
    Runtime,
    Postgres,
    Others,
}

impl Whose {
    /// All of them.
    pub(super) const ALL: [Self; 9] = [
        Self::Kernel,
        Self::Memory,
        Self::Callboard,
        Self::GraphQl,
        Self::Http,
        Self::Driver,
        Self::Runtime,
        Self::Postgres,
        Self::Others,
    ];

    /// What it is called in a picture.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Memory => "memory",
            Self::Callboard => "Callboard",
            Self::GraphQl => "GraphQL",
            Self::Http => "HTTP",
            Self::Driver => "driver",
            Self::Runtime => "tokio",
            Self::Postgres => "Postgres",
            Self::Others => "others",
        }
    }

    /// Whose a function of this name is, that is in no kernel.
    fn of(name: &str, object: &str) -> Self {
        let begins = |with: &&str| name.starts_with(*with);
        let krate = name.split("::").next().unwrap_or_default();
        match krate {
            _ if MEMORY.iter().any(begins) => Self::Memory,
            _ if object == "postgres" => Self::Postgres,
            "callboard" | "callboard_entity" => Self::Callboard,
            "async_graphql" | "async_graphql_parser" | "async_graphql_value" => Self::GraphQl,
            "axum" | "axum_core" | "http" | "http_body_util" | "httparse" | "hyper"
            | "hyper_util" | "matchit" | "tower" | "tower_http" | "tungstenite" => Self::Http,
            "sea_orm" | "sea_query" | "sea_query_sqlx" | "sqlx_core" | "sqlx_postgres" => {
                Self::Driver
            }
            "mio" | "tokio" | "tokio_util" => Self::Runtime,
            _ => Self::Others,
        }
    }
}

/// How functions begin that take memory, give it back or copy it: those of libc, of Rust and of Postgres.
const MEMORY: [&str; 18] = [
    "AllocSet",
    "MemoryContext",
    "__memcpy",
    "__memmove",
    "__memset",
    "_int_free",
    "_int_malloc",
    "_int_realloc",
    "alloc::raw_vec",
    "calloc",
    "cfree",
    "free",
    "malloc",
    "palloc",
    "pfree",
    "realloc",
    "repalloc",
    "unlink_chunk",
];

/// Frames that lead to others in every stack and say nothing: how a thread begins, and how a closure or a future that is in
/// a box is called.
const GLUE: [&str; 12] = [
    "__libc_start",
    "__rust_begin_short_backtrace",
    "__rust_try",
    "_start",
    "clone3",
    "core::ops::function",
    "core::panic::unwind_safe",
    "core::pin::Pin::poll",
    "std::panicking",
    "std::sys::backtrace",
    "std::sys::thread",
    "start_thread",
];

impl Frame {
    /// The frame in a line of `perf script`: an address, a symbol and, in brackets, the file that it is in. A frame that
    /// says nothing is none.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (_address, rest) = line.trim().split_once(' ')?;
        let (symbol, object) = rest.rsplit_once(" (")?;
        let object = object.strip_suffix(')')?;
        let file = object.rsplit('/').next().unwrap_or(object);
        if file.starts_with("[kernel") {
            let entry = ["do_syscall_64", "entry_SYSCALL_64_after_hwframe"].contains(&symbol);
            return (!entry).then(|| Self {
                whose: Whose::Kernel,
                name: symbol.to_owned(),
            });
        }
        let name = match symbol {
            "[unknown]" => format!("[{}]", file.trim_matches(['[', ']'])),
            symbol => readable(symbol),
        };
        let glue = GLUE.iter().any(|glue| name.starts_with(glue));
        (!glue).then(|| Self {
            whose: Whose::of(&name, file),
            name,
        })
    }
}

/// The name behind a symbol: the path of a function in Rust, without what it is made for and whether it is a closure in it.
fn readable(symbol: &str) -> String {
    let Ok(path) = try_demangle(symbol) else {
        // As libc has it: without the version, and without what tells its own calls from those of others.
        let name = symbol.split('@').next().unwrap_or(symbol);
        return name.strip_prefix("__GI_").unwrap_or(name).to_owned();
    };
    let path = format!("{path:#}");
    let Some((own, function)) = qualified(&path) else {
        return plain(&path);
    };
    let (of, like) = own.split_once(" as ").unwrap_or((own, ""));
    // A method of whatever has a trait is the trait's.
    let of = Some(plain(of)).filter(|of| of.contains("::"));
    let of = of.unwrap_or_else(|| plain(like));
    plain(&format!("{of}{function}"))
}

/// What `<T as Trait>::function` is cut into: what is between the outer brackets, and what comes after them.
fn qualified(path: &str) -> Option<(&str, &str)> {
    let inner = path.strip_prefix('<')?;
    let mut depth = 1;
    let mut last = ' ';
    for (position, letter) in inner.char_indices() {
        depth += step(last, letter);
        if depth == 0 {
            let (own, rest) = inner.split_at_checked(position)?;
            return Some((own, rest.strip_prefix('>')?));
        }
        last = letter;
    }
    None
}

/// A path without parameters, closures and references.
fn plain(path: &str) -> String {
    let mut outside = String::new();
    let mut depth = 0;
    let mut last = ' ';
    for letter in path.chars() {
        let step = step(last, letter);
        depth += step;
        if depth == 0 && step == 0 {
            outside.push(letter);
        }
        last = letter;
    }
    let path = outside.trim_start_matches(['&', '*', ' ']);
    let words = path.split(' ');
    let mut words = words.filter(|word| !["const", "dyn", "mut"].contains(word));
    let segments = words.next().unwrap_or_default().split("::");
    let segments: Vec<&str> = segments.filter(|segment| !segment.is_empty()).collect();
    segments.join("::")
}

/// Whether a letter opens a bracket, closes one, or neither. That of an arrow is none.
fn step(last: char, letter: char) -> i32 {
    match letter {
        '<' | '{' => 1,
        '>' if last == '-' => 0,
        '>' | '}' => -1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Whose};

    fn frame(line: &str) -> Option<(Whose, String)> {
        Frame::parse(line).map(|frame| (frame.whose, frame.name))
    }

    #[test]
    fn a_frame_has_a_name_and_an_owner_and_nothing_of_the_machine() {
        let program = "(/home/someone/target/release/callboard-benches)";
        for (line, whose, name) in [
            (
                "\tffffffff81e418f5 skb_clone ([kernel.kallsyms])".to_owned(),
                Whose::Kernel,
                "skb_clone",
            ),
            (
                "\t           fde9d __GI___writev (/usr/lib/x86_64-linux-gnu/libc.so.6)".to_owned(),
                Whose::Others,
                "__writev",
            ),
            (
                "\t           9b0a2 realloc@@GLIBC_2.2.5 (/usr/lib/x86_64-linux-gnu/libc.so.6)"
                    .to_owned(),
                Whose::Memory,
                "realloc",
            ),
            (
                "\t          3e6619 [unknown] (/usr/lib/postgresql/15/bin/postgres)".to_owned(),
                Whose::Postgres,
                "[postgres]",
            ),
            (
                format!(
                    "\t         145ad9a _ZN5tokio3net4unix6stream10UnixStream24poll_write_vectored_priv17h124e2d196abc9c3dE.llvm.11997198348513851335 {program}"
                ),
                Whose::Runtime,
                "tokio::net::unix::stream::UnixStream::poll_write_vectored_priv",
            ),
            (
                format!(
                    "\t          e31260 _ZN80_$LT$hyper_util..rt..tokio..TokioIo$LT$T$GT$$u20$as$u20$hyper..rt..io..Write$GT$19poll_write_vectored17h84ca7bf5da2747e4E {program}"
                ),
                Whose::Http,
                "hyper_util::rt::tokio::TokioIo::poll_write_vectored",
            ),
        ] {
            assert_eq!(frame(&line), Some((whose, name.to_owned())), "{line}");
        }
    }

    #[test]
    fn frames_that_say_nothing_are_none() {
        let program = "(/home/someone/target/release/callboard-benches)";
        for symbol in [
            "_RNvNvMs0_NtNtNtCsjrHSEGnQ3l9_3std3sys6thread4unixNtB7_6Thread3new12thread_start.llvm.3643936799275306673",
            "_ZN4core3ops8function6FnOnce40call_once$u7b$$u7b$vtable.shim$u7d$$u7d$17hc3183bb60f63eb1eE",
            "_ZN72_$LT$core..pin..Pin$LT$P$GT$$u20$as$u20$core..future..future..Future$GT$4poll17h920c6098f769e437E",
        ] {
            assert_eq!(
                frame(&format!("\t          d734de {symbol} {program}")),
                None
            );
        }
    }
}
