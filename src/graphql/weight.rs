//! How much a document asks for, found out before it is validated.
//!
//! Validation goes through a fragment wherever it is spread, so the limits on depth and complexity, which are part of it,
//! come too late: a few hundred bytes of fragments that spread each other twice keep it busy for years. This counts
//! each fragment once and multiplies.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

use crate::error::{Error, Result};

/// The most that a document may weigh. A document that is not too complex weighs a fraction of it.
const MAX_WEIGHT: usize = 5000;

/// The deepest that selections may nest, fragments gone through; far beyond what a query may.
const MAX_NESTING: usize = 100;

/// Refuses a document that would take long to validate.
pub(super) fn check(document: &ExecutableDocument) -> Result<()> {
    if weigh(document) <= MAX_WEIGHT {
        return Ok(());
    }
    Err(Error::QueryTooComplex(format!(
        "the document asks for too much: more than {MAX_WEIGHT} fields, arguments and fragments"
    )))
}

/// The number of fields, arguments, directives and variables, each as often as fragments repeat it.
fn weigh(document: &ExecutableDocument) -> usize {
    let mut scale = Scale {
        document,
        fragments: HashMap::new(),
    };
    let operations = document.operations.iter().map(|(_, operation)| {
        let operation = &operation.node;
        (
            operation,
            operation.variable_definitions.len() + operation.directives.len(),
        )
    });
    let mut weight: usize = 0;
    for (operation, own) in operations {
        let selected = scale.selections(&operation.selection_set.node, 0);
        weight = weight.saturating_add(own).saturating_add(selected);
    }
    // Those that nothing spreads are validated too.
    for name in document.fragments.keys() {
        weight = weight.saturating_add(scale.fragment(name, 0));
    }
    weight
}

/// Weighs, and remembers what each fragment weighs.
struct Scale<'a> {
    document: &'a ExecutableDocument,
    fragments: HashMap<&'a str, usize>,
}

impl<'a> Scale<'a> {
    fn selections(&mut self, selections: &'a SelectionSet, nesting: usize) -> usize {
        if nesting > MAX_NESTING {
            return usize::MAX;
        }
        let mut weight: usize = 0;
        for selection in &selections.items {
            let (own, below) = match &selection.node {
                Selection::Field(field) => (
                    1 + field.node.arguments.len() + field.node.directives.len(),
                    self.selections(&field.node.selection_set.node, nesting + 1),
                ),
                Selection::FragmentSpread(spread) => (
                    1 + spread.node.directives.len(),
                    self.fragment(&spread.node.fragment_name.node, nesting + 1),
                ),
                Selection::InlineFragment(fragment) => (
                    1 + fragment.node.directives.len(),
                    self.selections(&fragment.node.selection_set.node, nesting + 1),
                ),
            };
            weight = weight.saturating_add(own).saturating_add(below);
        }
        weight
    }

    fn fragment(&mut self, name: &'a str, nesting: usize) -> usize {
        if let Some(weight) = self.fragments.get(name) {
            return *weight;
        }
        // One that is missing is for validation to tell of.
        let Some(fragment) = self.document.fragments.get(name) else {
            return 1;
        };
        // Found again before it is known, it is part of a ring.
        self.fragments.insert(name, usize::MAX);
        let below = self.selections(&fragment.node.selection_set.node, nesting);
        let weight = below.saturating_add(1 + fragment.node.directives.len());
        self.fragments.insert(name, weight);
        weight
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn weight(document: &str) -> usize {
        weigh(&parse_query(document).unwrap())
    }

    #[test]
    fn everything_is_counted_as_often_as_fragments_repeat_it() {
        assert_eq!(weight("{ a b }"), 2);
        assert_eq!(
            weight("query($x: Int) { a(x: $x) @skip(if: true) { b } }"),
            5
        );
        assert_eq!(weight("{ ... on A { a } }"), 2);
        // The fragment by itself, and twice where it is spread.
        assert_eq!(
            weight("{ ...F ...F } fragment F on A { a b }"),
            3 + 2 * (1 + 3)
        );
    }

    /// A document of so many fragments, each of which contains the next in some way.
    fn fragments(count: usize, spread: impl Fn(usize) -> String) -> String {
        let fragment = |i: usize| format!("fragment F{i} on A {{ {} }}", spread(i + 1));
        let all: Vec<String> = (0..count).map(fragment).collect();
        format!(
            "{{ ...F0 }} {} fragment F{count} on A {{ a }}",
            all.join(" ")
        )
    }

    #[test]
    fn fragments_that_multiply_are_too_heavy_and_soon_weighed() {
        let document = fragments(60, |next| format!("...F{next} ...F{next}"));
        assert!(weight(&document) > 1 << 60);
    }

    #[test]
    fn rings_and_endless_chains_are_too_heavy() {
        let ring = "{ ...A } fragment A on X { ...B } fragment B on X { ...A }";
        assert_eq!(weight(ring), usize::MAX);
        let chain = fragments(10_000, |next| format!("...F{next}"));
        assert_eq!(weight(&chain), usize::MAX);
    }
}
