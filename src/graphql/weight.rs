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

/// The lists by which the schema leads from a type to others. No type of ours has fields of these names.
const LISTS_OF_TYPES: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];

/// The most such lists within each other. What tools ask of the schema nests none of them; each multiplies what is answered
/// by as many as a type has, and complexity counts it as one.
const MAX_LISTS_OF_TYPES: usize = 2;

/// Refuses a document that would take long to validate, or that asks for the schema many times over.
pub(super) fn check(document: &ExecutableDocument) -> Result<()> {
    let load = weigh(document);
    if load.weight > MAX_WEIGHT {
        return Err(Error::QueryTooComplex(format!(
            "the document asks for too much: more than {MAX_WEIGHT} fields, arguments and fragments"
        )));
    }
    if load.lists_of_types > MAX_LISTS_OF_TYPES {
        return Err(Error::QueryTooComplex(format!(
            "the document asks for too much: more than {MAX_LISTS_OF_TYPES} lists of the schema's types in each other"
        )));
    }
    Ok(())
}

/// How much a document, or a part of it, asks for.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    /// The number of fields, arguments, directives and variables, each as often as fragments repeat it.
    weight: usize,
    /// How many lists of types there are within each other, where there are most.
    lists_of_types: usize,
}

impl Load {
    /// What is never borne.
    const ENDLESS: Self = Self {
        weight: usize::MAX,
        lists_of_types: 0,
    };

    /// This, and something else beside it.
    fn beside(self, other: Self) -> Self {
        Self {
            weight: self.weight.saturating_add(other.weight),
            lists_of_types: self.lists_of_types.max(other.lists_of_types),
        }
    }

    /// This, below something of so much weight.
    const fn below(self, weight: usize) -> Self {
        Self {
            weight: self.weight.saturating_add(weight),
            ..self
        }
    }
}

fn weigh(document: &ExecutableDocument) -> Load {
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
    let mut load = Load::default();
    for (operation, own) in operations {
        let selected = scale.selections(&operation.selection_set.node, 0);
        load = load.beside(selected.below(own));
    }
    // Those that nothing spreads are validated too.
    for name in document.fragments.keys() {
        load = load.beside(scale.fragment(name, 0));
    }
    load
}

/// Weighs, and remembers what each fragment weighs.
struct Scale<'a> {
    document: &'a ExecutableDocument,
    fragments: HashMap<&'a str, Load>,
}

impl<'a> Scale<'a> {
    fn selections(&mut self, selections: &'a SelectionSet, nesting: usize) -> Load {
        if nesting > MAX_NESTING {
            return Load::ENDLESS;
        }
        let mut load = Load::default();
        for selection in &selections.items {
            let (own, below) = match &selection.node {
                Selection::Field(field) => {
                    let mut below = self.selections(&field.node.selection_set.node, nesting + 1);
                    if LISTS_OF_TYPES.contains(&field.node.name.node.as_str()) {
                        below.lists_of_types += 1;
                    }
                    (
                        1 + field.node.arguments.len() + field.node.directives.len(),
                        below,
                    )
                }
                Selection::FragmentSpread(spread) => (
                    1 + spread.node.directives.len(),
                    self.fragment(&spread.node.fragment_name.node, nesting + 1),
                ),
                Selection::InlineFragment(fragment) => (
                    1 + fragment.node.directives.len(),
                    self.selections(&fragment.node.selection_set.node, nesting + 1),
                ),
            };
            load = load.beside(below.below(own));
        }
        load
    }

    fn fragment(&mut self, name: &'a str, nesting: usize) -> Load {
        if let Some(load) = self.fragments.get(name) {
            return *load;
        }
        // One that is missing is for validation to tell of.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Load::default().below(1);
        };
        // Found again before it is known, it is part of a ring.
        self.fragments.insert(name, Load::ENDLESS);
        let below = self.selections(&fragment.node.selection_set.node, nesting);
        let load = below.below(1 + fragment.node.directives.len());
        self.fragments.insert(name, load);
        load
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn weight(document: &str) -> usize {
        weigh(&parse_query(document).unwrap()).weight
    }

    #[test]
    fn lists_of_types_are_counted_within_each_other_and_through_fragments() {
        let lists = |document| weigh(&parse_query(document).unwrap()).lists_of_types;
        assert_eq!(lists("{ viewer { kind } }"), 0);
        assert_eq!(
            lists("{ __schema { types { fields { name } interfaces { name } } } }"),
            1
        );
        assert_eq!(
            lists(
                "{ a: __type(name: \"A\") { ...F } }
                 fragment F on __Type { f: fields { type { ... { possibleTypes { ...G } } } } }
                 fragment G on __Type { inputFields { name } }"
            ),
            3
        );
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
