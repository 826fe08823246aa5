//! Our own source files, as text.

use std::fs;
use std::path::Path;

/// Where they are.
const ROOTS: [&str; 6] = ["src", "entity", "migration", "daemon", "benches", "tests"];

/// A file.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// From the top of the project: `src/task/claim.rs`.
    pub(super) path: String,
    /// What is in it.
    pub(super) text: String,
}

/// Every Rust file of the project.
pub(super) fn all() -> impl Iterator<Item = Source> {
    ROOTS.into_iter().flat_map(under)
}

/// The Rust files of a folder and those below it; none where there is no such folder.
pub(super) fn under(folder: &str) -> impl Iterator<Item = Source> + use<> {
    let mut found = Vec::new();
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    collect(top, &top.join(folder), &mut found);
    found.into_iter()
}

fn collect(top: &Path, folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(top, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(top).unwrap();
            found.push(Source {
                path: relative.to_str().unwrap().to_owned(),
                text: fs::read_to_string(&path).unwrap(),
            });
        }
    }
}

impl Source {
    /// Its name without folder and ending.
    pub(super) fn stem(&self) -> &str {
        Path::new(&self.path).file_stem().unwrap().to_str().unwrap()
    }

    /// Whether it is one of these modules, or below one.
    pub(super) fn is_in<const N: usize>(&self, modules: [&str; N]) -> bool {
        let own = self.path.trim_end_matches(".rs");
        modules
            .into_iter()
            .any(|module| Path::new(own).starts_with(module))
    }

    /// Its tests: all of a file of tests, and what follows the mark in another.
    pub(super) fn tests(&self) -> Option<Self> {
        let in_tests = self
            .path
            .split('/')
            .any(|part| part == "tests" || part == "tests.rs");
        let begin = if in_tests {
            0
        } else {
            self.text.find("#[cfg(test)]\nmod tests {")?
        };
        // The lines before are kept as empty ones, so that the numbers of the others stay.
        let (before, tests) = self.text.split_at(begin);
        let before: String = before.lines().map(|_| "\n").collect();
        Some(Self {
            path: self.path.clone(),
            text: before + tests,
        })
    }

    /// The first line of code that has one of the words in it.
    pub(super) fn says(&self, words: &[&str]) -> Option<String> {
        self.first_line(words, |line| !line.trim_start().starts_with("//"))
    }

    /// The first line, comments included, that has one of the words in it.
    pub(super) fn mentions(&self, words: &[&str]) -> Option<String> {
        self.first_line(words, |_| true)
    }

    fn first_line(&self, words: &[&str], counts: impl Fn(&str) -> bool) -> Option<String> {
        let (index, line) = self
            .text
            .lines()
            .enumerate()
            .find(|(_, line)| counts(line) && words.iter().any(|word| line.contains(word)))?;
        Some(format!(":{}: {}", index + 1, line.trim()))
    }
}
