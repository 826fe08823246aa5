//! What is read from a document before it is executed: which operation is meant, and whether it can be begun.

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
    SelectionSet,
};
use async_graphql::{Name, Positioned, ServerError, Value, Variables};

/// The deepest that fragments are followed. The weight of a document is checked before, so it is never reached.
const MAX_NESTING: usize = 100;

/// Which kind of operation is meant. Where none is found, that is for execution to tell of.
pub(super) fn kind(document: &ExecutableDocument, name: Option<&str>) -> OperationType {
    find(document, name).map_or(OperationType::Query, |operation| operation.ty)
}

/// The mutations that begin with a statement which asks whether the token holds that they are sent with: what they do is
/// [`AskedBy`](crate::auth::asked_by::AskedBy) a viewer.
const ASK_WHETHER_TOKEN_HOLDS: [&str; 9] = [
    "heartbeat",
    "enqueueTask",
    "enqueueQuickCreate",
    "claimTask",
    "claimTasks",
    "startTask",
    "reportTaskProgress",
    "completeTask",
    "failTask",
];

/// What an operation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root<'a> {
    /// One field, whatever it is called in the answer.
    Field(&'a str),
    /// More than one, or one more than once.
    Several,
    /// What the schema is, and nothing else.
    Introspection,
    /// Nothing that can be found.
    None,
}

/// What the operation that is meant asks for. What some clients add of introspection to all that they ask does not count.
pub(super) fn root<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Root<'a> {
    let Some(operation) = find(document, name) else {
        return Root::None;
    };
    let mut root = Root::None;
    for field in fields(document, &operation.selection_set.node) {
        let field = field.node.name.node.as_str();
        root = match root {
            Root::None | Root::Introspection if !field.starts_with("__") => Root::Field(field),
            Root::None => Root::Introspection,
            Root::Field(_) if !field.starts_with("__") => Root::Several,
            Root::Field(_) | Root::Several | Root::Introspection => root,
        };
    }
    root
}

/// Whether the operation that is meant is one of these, and nothing besides.
pub(super) fn asks_whether_token_holds(document: &ExecutableDocument, name: Option<&str>) -> bool {
    let Some(operation) = find(document, name) else {
        return false;
    };
    let (mut roots, selected) = (Vec::new(), &operation.selection_set.node);
    let unconditional = collect(document, selected, &mut roots, MAX_NESTING);
    let is_mutation = operation.ty == OperationType::Mutation;
    match roots.as_slice() {
        [root] if is_mutation && unconditional => {
            ASK_WHETHER_TOKEN_HOLDS.contains(&root.node.name.node.as_str())
        }
        _ => false,
    }
}

/// Refuses an operation that lacks a variable which it needs: while it is executed, that would be an error of a field.
pub(super) fn check_variables(
    document: &ExecutableDocument,
    name: Option<&str>,
    variables: &Variables,
) -> Result<(), ServerError> {
    let Some(operation) = find(document, name) else {
        return Ok(());
    };
    for definition in &operation.variable_definitions {
        let (variable, wanted) = (&definition.node.name.node, &definition.node.var_type.node);
        let given = variables
            .get(variable)
            .is_some_and(|value| *value != Value::Null);
        let is_absent = !variables.contains_key(variable);
        let has_default = is_absent && definition.node.default_value.is_some();
        if !given && !wanted.nullable && !has_default {
            let problem = format!("Variable \"${variable}\" of type \"{wanted}\" must be given.");
            return Err(ServerError::new(problem, Some(definition.pos)));
        }
    }
    Ok(())
}

/// The operation that is meant.
pub(super) fn find<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a OperationDefinition> {
    let mut operations = document.operations.iter();
    let (_, operation) = match name {
        Some(name) => operations.find(|(own, _)| own.is_some_and(|own| own == name))?,
        None if operations.len() == 1 => operations.next()?,
        None => return None,
    };
    Some(&operation.node)
}

/// Refuses subscriptions without exactly one root field: the specification has it so, and what is executed would be one
/// stream for each. Nor may the field depend on a variable, since what is subscribed to has to be known.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), ServerError> {
    for (_, operation) in document.operations.iter() {
        if operation.node.ty != OperationType::Subscription {
            continue;
        }
        let mut roots = Vec::new();
        let selected = &operation.node.selection_set.node;
        let unconditional = collect(document, selected, &mut roots, MAX_NESTING);
        let problem = match roots.as_slice() {
            [_] if !unconditional => "A subscription's root field must not be conditional.",
            [root] if root.node.name.node.starts_with("__") => {
                "A subscription's root field must not be an introspection field."
            }
            [_] => continue,
            _ => "A subscription must have exactly one root field.",
        };
        let place = roots.get(1).map_or(operation.pos, |field| field.pos);
        return Err(ServerError::new(problem, Some(place)));
    }
    Ok(())
}

/// Puts a subscription's root field into the operation itself where it is in a fragment: async-graphql would not find it
/// there, and end the subscription without a word. The fragment stays as well, to be validated.
pub(super) fn hoist(document: &mut ExecutableDocument) {
    let mut hoisted = Vec::new();
    for (name, operation) in document.operations.iter() {
        let selected = &operation.node.selection_set.node;
        let is_direct =
            |selection: &Positioned<Selection>| matches!(selection.node, Selection::Field(_));
        if operation.node.ty == OperationType::Subscription && !selected.items.iter().any(is_direct)
        {
            let root = fields(document, selected)
                .first()
                .map(|field| (*field).clone());
            hoisted.extend(root.map(|root| (name.cloned(), root)));
        }
    }
    for (name, root) in hoisted {
        let selection = Positioned::new(Selection::Field(root.clone()), root.pos);
        let operation = match (&mut document.operations, name) {
            (DocumentOperations::Multiple(operations), Some(name)) => operations.get_mut(&name),
            (DocumentOperations::Single(operation), _) => Some(operation),
            (DocumentOperations::Multiple(_), None) => None,
        };
        if let Some(operation) = operation {
            operation.node.selection_set.node.items.insert(0, selection);
        }
    }
}

/// The operations of a document, to be changed.
pub(super) fn operations_mut(operations: &mut DocumentOperations) -> Vec<&mut OperationDefinition> {
    match operations {
        DocumentOperations::Single(operation) => vec![&mut operation.node],
        DocumentOperations::Multiple(operations) => {
            let operations = operations.values_mut();
            operations.map(|operation| &mut operation.node).collect()
        }
    }
}

/// The fields that are selected, fragments gone through.
pub(super) fn fields<'a>(
    document: &'a ExecutableDocument,
    selected: &'a SelectionSet,
) -> Vec<&'a Positioned<Field>> {
    let mut fields = Vec::new();
    collect(document, selected, &mut fields, MAX_NESTING);
    fields
}

/// Collects the fields that are selected; says whether each is so whatever the variables are.
fn collect<'a>(
    document: &'a ExecutableDocument,
    selected: &'a SelectionSet,
    fields: &mut Vec<&'a Positioned<Field>>,
    nesting: usize,
) -> bool {
    let mut unconditional = true;
    for selection in &selected.items {
        let conditional = |name: &Name| name == "skip" || name == "include";
        unconditional &= !selection
            .node
            .directives()
            .iter()
            .any(|directive| conditional(&directive.node.name.node));
        let below = match &selection.node {
            Selection::Field(field) => {
                fields.push(field);
                None
            }
            Selection::InlineFragment(fragment) => Some(&fragment.node.selection_set.node),
            Selection::FragmentSpread(spread) => document
                .fragments
                .get(&spread.node.fragment_name.node)
                .map(|fragment| &fragment.node.selection_set.node),
        };
        if let (Some(below), Some(nesting)) = (below, nesting.checked_sub(1)) {
            unconditional &= collect(document, below, fields, nesting);
        }
    }
    unconditional
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use async_graphql::value;

    use super::*;

    fn refusal(document: &str) -> Option<String> {
        let refused = check(&parse_query(document).unwrap());
        refused.err().map(|error| error.message)
    }

    #[test]
    fn a_subscription_has_one_root_field_that_is_none_of_introspection_and_unconditional() {
        for document in [
            "{ a b }",
            "subscription { a }",
            "subscription { a { b c } }",
            "subscription { ... { ...F } } fragment F on S { a }",
        ] {
            assert_eq!(refusal(document), None, "{document}");
        }
        for (document, says) in [
            ("subscription { a b }", "exactly one"),
            ("subscription { a: c b: c }", "exactly one"),
            (
                "subscription { a ...F } fragment F on S { b }",
                "exactly one",
            ),
            ("query Q { a } subscription S { a b }", "exactly one"),
            ("subscription { ...Missing }", "exactly one"),
            ("subscription { __typename }", "introspection"),
            ("subscription { a @skip(if: true) }", "conditional"),
            (
                "subscription { ... @include(if: true) { a } }",
                "conditional",
            ),
        ] {
            let refusal = refusal(document).unwrap_or_default();
            assert!(refusal.contains(says), "{document}: {refusal}");
        }
    }

    #[test]
    fn a_token_is_asked_about_by_a_mutation_that_is_one_statement_alone() {
        for (document, expected) in [
            ("mutation { startTask { id } }", true),
            ("mutation { s: startTask { id } }", true),
            (
                "mutation M { ...F } fragment F on M { ... { startTask } }",
                true,
            ),
            ("mutation { startTask @skip(if: true) }", false),
            ("mutation { ... @include(if: false) { startTask } }", false),
            ("mutation { startTask completeTask }", false),
            ("mutation { a: startTask b: startTask }", false),
            ("mutation { startTask __typename }", false),
            ("mutation { cancelTask }", false),
            ("mutation { __typename }", false),
            ("mutation { ...Missing }", false),
            ("{ startTask }", false),
            ("mutation A { startTask } mutation B { cancelTask }", false),
        ] {
            let parsed = parse_query(document).unwrap();
            assert_eq!(
                asks_whether_token_holds(&parsed, None),
                expected,
                "{document}"
            );
        }
        let two = parse_query("mutation A { startTask } mutation B { cancelTask }").unwrap();
        assert!(asks_whether_token_holds(&two, Some("A")));
        assert!(!asks_whether_token_holds(&two, Some("B")));
    }

    #[test]
    fn what_an_operation_needs_must_be_given() {
        let document = parse_query("query($a: Int!, $b: Int, $c: Int! = 1) { d }").unwrap();
        let lacks = |variables: Value| {
            let refused = check_variables(&document, None, &Variables::from_value(variables));
            refused.err().map(|error| error.message)
        };
        assert_eq!(lacks(value!({"a": 1})), None);
        assert_eq!(lacks(value!({"a": 1, "b": null, "c": 2})), None);
        let expected = |name: &str| {
            Some(format!(
                "Variable \"${name}\" of type \"Int!\" must be given."
            ))
        };
        assert_eq!(lacks(value!({})), expected("a"));
        assert_eq!(lacks(value!({"a": null})), expected("a"));
        assert_eq!(lacks(value!({"a": 1, "c": null})), expected("c"));
    }
}
