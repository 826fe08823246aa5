//! Documents that have been read: each text once, for as long as it keeps coming.

use std::sync::Arc;

use async_graphql::ServerError;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::ExecutableDocument;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::{nesting, of_document, operation, tokens, weight};

/// The most bytes of text of all the documents that are kept; in memory they are some ten times as large.
const KEPT_BYTES: u64 = 1024 * 1024;

/// The most bytes of a document that is kept. Longer ones have values written into them, and do not come again.
const LONGEST_KEPT: usize = 16 * 1024;

/// The documents that were read; clones share them.
#[derive(Clone)]
pub(super) struct Documents(Arc<Cache<String, Arc<ExecutableDocument>, Bytes>>);

impl Default for Documents {
    fn default() -> Self {
        Self(Arc::new(Cache::with_weighter(1000, KEPT_BYTES, Bytes)))
    }
}

impl Documents {
    /// Reads a document, unless that was done before: how much there is of it, then how deep it nests, then what it says,
    /// then how much it asks for. Each step is affordable only for what the steps before it let through.
    pub(super) fn read(&self, text: &str) -> Result<Arc<ExecutableDocument>, ServerError> {
        if let Some(known) = self.0.get(text) {
            return Ok(known);
        }
        tokens::check(text).map_err(of_document)?;
        nesting::check(text).map_err(of_document)?;
        let mut document = parse_query(text)?;
        weight::check(&document).map_err(of_document)?;
        operation::check(&document)?;
        operation::hoist(&mut document);
        let document = Arc::new(document);
        if text.len() <= LONGEST_KEPT {
            self.0.insert(text.to_owned(), Arc::clone(&document));
        }
        Ok(document)
    }
}

/// A document weighs what its text does.
#[derive(Clone)]
struct Bytes;

impl Weighter<String, Arc<ExecutableDocument>> for Bytes {
    fn weight(&self, text: &String, _document: &Arc<ExecutableDocument>) -> u64 {
        u64::try_from(text.len()).map_or(u64::MAX, |bytes| bytes.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_once_and_a_long_one_every_time() {
        let documents = Documents::default();
        let read = |text: &str| documents.read(text).unwrap();
        assert!(Arc::ptr_eq(&read("{ a }"), &read("{ a }")));
        let long = format!("{{ a(b: \"{}\") }}", "x".repeat(LONGEST_KEPT));
        assert!(!Arc::ptr_eq(&read(&long), &read(&long)));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let documents = Documents::default();
        let padding = " ".repeat(10_000);
        for i in 0..1000 {
            documents.read(&format!("{{ a{i} }}{padding}")).unwrap();
        }
        assert!(documents.0.weight() <= KEPT_BYTES);
    }
}
