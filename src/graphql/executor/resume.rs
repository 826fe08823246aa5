//! How the results of a subscription are numbered, and how it continues behind one of them.

use std::convert::Infallible;

use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Pos, Positioned, Value, Variables};

use super::operation::{fields, find, operations_mut};

/// The fields that begin behind a cursor where one is given, and the argument that takes it.
const RESUMABLE: [&str; 3] = ["taskEvents", "taskUpdates", "workspaceUpdates"];
pub(super) const AFTER: &str = "after";

/// The field by which a result says where it is in the event log.
const CURSOR: &str = "cursor";

/// Where the results of a subscription have their cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::graphql) struct CursorPlace {
    root: Name,
    /// Of a union, each type may call it something else.
    keys: Vec<Name>,
}

impl CursorPlace {
    /// The cursor of a result.
    pub(super) fn of<'a>(&self, data: &'a Value) -> Option<&'a str> {
        let (Value::Object(data), root) = (data, self.root.as_str()) else {
            return None;
        };
        let Value::Object(result) = data.get(root)? else {
            return None;
        };
        self.keys.iter().find_map(|key| match result.get(key) {
            Some(Value::String(cursor)) => Some(cursor.as_str()),
            _ => None,
        })
    }
}

/// Where the results have their cursor, if the document asks for it.
pub(super) fn cursor(document: &ExecutableDocument, name: Option<&str>) -> Option<CursorPlace> {
    let operation = find(document, name)?;
    let root = *fields(document, &operation.selection_set.node).first()?;
    let keys: Vec<Name> = fields(document, &root.node.selection_set.node)
        .into_iter()
        .filter(|field| field.node.name.node == CURSOR)
        .map(|field| field.node.response_key().node.clone())
        .collect();
    let root = root.node.response_key().node.clone();
    (!keys.is_empty()).then_some(CursorPlace { root, keys })
}

/// Gives the root field a cursor to continue behind: in the variable that it takes it from, or in the argument itself.
pub(super) fn resume(
    document: &mut ExecutableDocument,
    name: Option<&str>,
    cursor: &str,
    variables: &mut Variables,
) {
    let Some(place) = find(document, name).and_then(|operation| {
        let root = *fields(document, &operation.selection_set.node).first()?;
        RESUMABLE
            .contains(&root.node.name.node.as_str())
            .then_some(root.pos)
    }) else {
        return;
    };
    let cursor = Value::String(cursor.to_owned());
    // One that stands in a fragment stands in the operation as well.
    for root in fields_at(document, place) {
        set_after(root, &cursor, variables);
    }
}

/// Gives a field a cursor to continue behind.
fn set_after(root: &mut Field, cursor: &Value, variables: &mut Variables) {
    let given = root
        .arguments
        .iter_mut()
        .find(|(name, _)| name.node == AFTER);
    let Some((_, value)) = given else {
        let name = Positioned::new(Name::new(AFTER), Pos::default());
        let value = Positioned::new(cursor.clone().into_value(), Pos::default());
        root.arguments.push((name, value));
        return;
    };
    let mut variable = None;
    let literal = value.node.clone().into_const_with(|name| {
        variable = Some(name);
        Ok::<_, Infallible>(Value::Null)
    });
    match (variable, literal) {
        (Some(name), _) => {
            variables.insert(name, cursor.clone());
        }
        (None, Ok(_)) => value.node = cursor.clone().into_value(),
    }
}

/// The fields at a place, of whatever operations and fragments.
fn fields_at(document: &mut ExecutableDocument, place: Pos) -> Vec<&mut Field> {
    let mut fields = Vec::new();
    for operation in operations_mut(&mut document.operations) {
        collect_at(&mut operation.selection_set.node, place, &mut fields);
    }
    for fragment in document.fragments.values_mut() {
        collect_at(&mut fragment.node.selection_set.node, place, &mut fields);
    }
    fields
}

/// Collects those at a place of the fields that are selected, and of those of inline fragments.
fn collect_at<'a>(selected: &'a mut SelectionSet, place: Pos, fields: &mut Vec<&'a mut Field>) {
    for selection in &mut selected.items {
        match &mut selection.node {
            Selection::Field(field) if field.pos == place => fields.push(&mut field.node),
            Selection::InlineFragment(fragment) => {
                collect_at(&mut fragment.node.selection_set.node, place, fields);
            }
            Selection::Field(_) | Selection::FragmentSpread(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use async_graphql::value;

    use super::*;

    #[test]
    fn the_cursor_is_found_under_whatever_name_and_in_whatever_fragment() {
        let found = |document: &str, data: Value| {
            let place = cursor(&parse_query(document).unwrap(), None)?;
            place.of(&data).map(str::to_owned)
        };
        let data = value!({"e": {"at": "c7", "cursor": "c8"}});
        for (document, expected) in [
            ("subscription { e { kind } }", None),
            ("subscription { e { cursor } }", Some("c8")),
            ("subscription { e { at: cursor } }", Some("c7")),
            ("subscription { f: e { cursor } }", None),
            (
                "subscription { e { ... { ...F } } } fragment F on E { at: cursor }",
                Some("c7"),
            ),
        ] {
            let found = found(document, data.clone());
            assert_eq!(found.as_deref(), expected, "{document}");
        }
    }

    #[test]
    fn a_subscription_resumes_by_its_argument_or_by_the_variable_in_it() {
        let resumed = |text: &str| {
            let (mut document, mut variables) = (parse_query(text).unwrap(), Variables::default());
            resume(&mut document, None, "c7", &mut variables);
            let operation = find(&document, None).unwrap();
            let root = fields(&document, &operation.selection_set.node)[0];
            let after = root.node.get_argument(AFTER);
            (
                after.map(|value| value.node.to_string()),
                variables.into_value(),
            )
        };
        let literal = Some("\"c7\"".to_owned());
        for text in [
            "subscription { taskEvents { kind } }",
            "subscription { taskEvents(after: \"c1\") { kind } }",
            "subscription { e: taskEvents(after: null) { kind } }",
            "subscription { ...F } fragment F on S { ... { taskEvents { kind } } }",
        ] {
            assert_eq!(resumed(text), (literal.clone(), value!({})), "{text}");
        }
        let text = "subscription($from: Cursor) { taskEvents(after: $from) { kind } }";
        assert_eq!(
            resumed(text),
            (Some("$from".to_owned()), value!({"from": "c7"}))
        );
        let text = "subscription { issueTasks { cursor } }";
        assert_eq!(resumed(text), (None, value!({})));
    }
}
