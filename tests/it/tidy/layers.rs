//! The direction of dependencies: a module uses those below it, never those above.

use std::collections::BTreeSet;

use super::source::{self, Source};

/// The modules of `src`, from the top. A module may use those beside it and those below.
const LAYERS: [&[&str]; 13] = [
    &["lib", "main"],
    &["cli"],
    &["demo"],
    &["app", "config", "telemetry"],
    &["background", "http"],
    &["graphql"],
    &["agent", "issue", "presence", "runtime", "task", "workspace"],
    &["event"],
    &["auth"],
    &["db"],
    &["doorbell", "group"],
    &["limits"],
    &["error", "metrics", "settings"],
];

/// What the crates beside the service know of each other and of it: nothing.
const STRANGERS: [(&str, &[&str]); 3] = [
    (
        "entity/src",
        &["callboard::", "callboard_daemon", "migration::"],
    ),
    (
        "migration/src",
        &["callboard::", "callboard_daemon", "entity::"],
    ),
    ("daemon/src", &["callboard::", "entity::", "migration::"]),
];

#[test]
fn a_module_uses_those_below_it_and_never_those_above() {
    let mut faults = BTreeSet::new();
    for source in source::under("src") {
        let inner = source.path.trim_start_matches("src/");
        let module = inner.split(['/', '.']).next().unwrap();
        let Some(own) = layer(module) else {
            faults.insert(format!("{module} is not in LAYERS: say where it belongs"));
            continue;
        };
        for used in uses(&source) {
            // What is not a module is an item of the crate's root, and there are none.
            if layer(&used).is_none_or(|used| used < own) {
                faults.insert(format!("{}: {module} uses {used}", source.path));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_other_crates_know_nothing_of_the_service() {
    for (folder, strangers) in STRANGERS {
        super::refuse(source::under(folder), |source| source.says(strangers));
    }
}

#[test]
fn the_paths_of_a_use_are_found() {
    let source = Source {
        path: String::new(),
        text:
            "use crate::{a, b::{c, d}, e as f};\n// use crate::no;\nlet x = crate::g::h(crate::i);"
                .to_owned(),
    };
    let found: Vec<String> = uses(&source).into_iter().collect();
    assert_eq!(found, ["a", "b", "e", "g", "i"]);
}

/// How far down a module is.
fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The modules of the same crate that a file names.
fn uses(source: &Source) -> BTreeSet<String> {
    let code: String = source
        .text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    code.split("crate::").skip(1).flat_map(heads).collect()
}

/// The first names of a path, or of a list of paths in braces.
fn heads(path: &str) -> Vec<String> {
    let name = |path: &str| -> String {
        let path = path.trim_start();
        path.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(list) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let (mut heads, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (index, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                heads.push(name(list.get(begin..index).unwrap()));
                begin = index + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}
