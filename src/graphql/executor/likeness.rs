//! What subscriptions have in common that are told the same.

use async_graphql::Request;
use async_graphql::parser::types::ExecutableDocument;

use super::operation::{fields, find};
use super::resume::AFTER;

/// The fields whose results depend on nothing but what is asked, on what the viewer may see, and on what happens: whoever
/// asks the same is told the same.
const ALIKE: [&str; 2] = ["taskEvents", "taskUpdates"];

/// What is asked, but for the cursor from which on: subscribers that are alike in it may be at different places.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::graphql) struct Likeness {
    document: String,
    operation: Option<String>,
    variables: String,
}

/// What a request has in common with those that are alike, if its results can be shared.
pub(super) fn of(document: &ExecutableDocument, request: &Request) -> Option<Likeness> {
    let operation = find(document, request.operation_name.as_deref())?;
    let root = *fields(document, &operation.selection_set.node).first()?;
    if !ALIKE.contains(&root.node.name.node.as_str()) {
        return None;
    }
    let mut variables = request.variables.clone();
    // Nothing else below such a field takes a cursor, so that the variable in this argument is in no other.
    if let Some(after) = root.node.get_argument(AFTER) {
        let _literal = after.node.clone().into_const_with(|name| {
            variables.remove(&name);
            Ok::<_, std::convert::Infallible>(async_graphql::Value::Null)
        });
    }
    Some(Likeness {
        document: request.query.clone(),
        operation: request.operation_name.clone(),
        variables: serde_json::to_string(&variables).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use async_graphql::{Value, Variables, value};

    use super::*;

    const DOCUMENT: &str = "subscription A($from: Cursor, $id: Int) {
        taskEvents(id: $id, after: $from) { kind } }
        subscription B($from: Cursor, $id: Int) { taskEvents(id: $id, after: $from) { kind } }";

    fn likeness(text: &str, name: Option<&str>, variables: Value) -> Option<Likeness> {
        let mut request = Request::new(text).variables(Variables::from_value(variables));
        request.operation_name = name.map(str::to_owned);
        of(&parse_query(text).unwrap(), &request)
    }

    #[test]
    fn what_differs_in_the_cursor_alone_is_alike() {
        let one = likeness(DOCUMENT, Some("A"), value!({"id": 1, "from": "c1"}));
        assert!(one.is_some());
        for variables in [value!({"id": 1, "from": "c2"}), value!({"id": 1})] {
            assert_eq!(one, likeness(DOCUMENT, Some("A"), variables));
        }
        for (text, name, variables) in [
            (DOCUMENT, "A", value!({"id": 2, "from": "c1"})),
            (DOCUMENT, "B", value!({"id": 1, "from": "c1"})),
            (
                "subscription A($id: Int) { taskEvents(id: $id) { kind } }",
                "A",
                value!({"id": 1}),
            ),
        ] {
            let other = likeness(text, Some(name), variables);
            assert!(other.is_some() && other != one, "{text}");
        }
    }

    #[test]
    fn what_begins_with_a_state_is_nobody_else_s() {
        for root in ["issueTasks", "workspaceUpdates", "taskMessages"] {
            let text = format!("subscription {{ {root} {{ cursor }} }}");
            assert_eq!(likeness(&text, None, value!({})), None);
        }
    }
}
