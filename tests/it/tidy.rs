//! What a text search can hold up of the rules that the crate's documentation states. Who breaks one is told the place.

mod layers;
mod source;

use source::Source;

/// What knows HTTP, GraphQL or both; nothing else in `src` does.
const EDGE: [&str; 5] = [
    "src/app",
    "src/demo",
    "src/error",
    "src/graphql",
    "src/http",
];

/// Files that may be long, and why.
const LONG: [(&str, &str); 0] = [];

/// From how many lines on a file has to give a reason.
const LONG_LINES: usize = 400;

/// Where something is spawned that no tracker waits for, and why that is right.
const SPAWNERS: [(&str, &str); 3] = [
    (
        "src/db/embedded",
        "blocking work on files, waited for where it is begun",
    ),
    (
        "daemon/src/process",
        "blocking looks at processes, waited for where they are begun",
    ),
    ("tests/it", "a test ends its own servers"),
];

/// Names that say nothing of what is in a file.
const EMPTY_NAMES: [&str; 8] = [
    "common", "data", "helper", "helpers", "info", "manager", "util", "utils",
];

#[test]
fn every_module_begins_with_its_purpose() {
    refuse(source::all(), |source| {
        (!source.text.starts_with("//! ")).then(|| " has no `//!` header".to_owned())
    });
}

#[test]
fn modules_are_files_beside_their_folder_and_have_names_that_say_something() {
    refuse(source::all(), |source| match source.stem() {
        "mod" => Some(" is a mod.rs; write foo.rs beside foo/".to_owned()),
        stem if EMPTY_NAMES.contains(&stem) => Some(" has a name that says nothing".to_owned()),
        _ => None,
    });
}

#[test]
fn long_files_give_a_reason() {
    refuse(source::all(), |source| {
        let lines = source.text.lines().count();
        (lines > LONG_LINES && !source.is_in(LONG.map(|(path, _)| path)))
            .then(|| format!(" has {lines} lines; split it, or say in LONG why not"))
    });
}

#[test]
fn only_the_edge_knows_graphql_and_http() {
    let inside = source::under("src").filter(|source| !source.is_in(EDGE));
    refuse(inside, |source| {
        source.says(&["async_graphql", "axum", "tower_http"])
    });
}

#[test]
fn the_graphql_layer_contains_no_sql() {
    let statements = [
        "raw_sql!",
        "Statement",
        "execute_raw",
        "query_one",
        "query_all",
        "\"select ",
        "\"update ",
        "\"insert ",
    ];
    refuse(source::under("src/graphql"), |source| {
        source.says(&statements)
    });
}

#[test]
fn nothing_is_spawned_except_on_a_tracker() {
    let spawned = source::all().filter(|source| !source.is_in(SPAWNERS.map(|(path, _)| path)));
    refuse(spawned, |source| {
        source.says(&[
            "tokio::spawn",
            "task::spawn",
            "thread::spawn",
            "spawn_blocking",
        ])
    });
}

#[test]
fn there_are_no_globals() {
    let ours = ["src", "entity/src", "daemon/src"]
        .into_iter()
        .flat_map(source::under);
    refuse(ours, |source| {
        source.says(&[
            "LazyLock",
            "OnceLock",
            "OnceCell",
            "thread_local!",
            "static mut ",
        ])
    });
}

#[test]
fn the_database_s_clock_decides() {
    let service = ["src", "entity/src"].into_iter().flat_map(source::under);
    refuse(service, |source| {
        source.says(&["Utc::now", "Local::now", "SystemTime::now"])
    });
}

#[test]
fn tests_do_not_sleep() {
    refuse(source::all(), |source| {
        source.tests()?.says(&["sleep(", "sleep_until("])
    });
}

#[test]
fn nothing_is_left_undone_or_hidden() {
    refuse(source::all(), |source| {
        source.mentions(&["TODO", "FIXME", "XXX"])
    });
    refuse(source::all(), |source| {
        source.says(&[
            "#[allow",
            "#![allow",
            "#[ignore",
            "should_panic",
            "todo!(",
            "unimplemented!(",
        ])
    });
}

/// Fails with every place at which something is wrong.
fn refuse(sources: impl IntoIterator<Item = Source>, fault: impl Fn(&Source) -> Option<String>) {
    let faults: Vec<String> = sources
        .into_iter()
        // These name what they forbid.
        .filter(|source| !source.is_in(["tests/it/tidy"]))
        .filter_map(|source| Some(format!("{}{}", source.path, fault(&source)?)))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
