//! The contract: `schema.graphql` is what the service serves, and says what everything is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{TestApp, World};

/// The codes of errors that clients may rely on.
const CODES: [&str; 12] = [
    "BAD_USER_INPUT",
    "CLAIM_CONFLICT",
    "CURSOR_EXPIRED",
    "FAILED_PRECONDITION",
    "FORBIDDEN",
    "INTERNAL",
    "NOT_FOUND",
    "PAYLOAD_TOO_LARGE",
    "QUERY_TOO_COMPLEX",
    "RATE_LIMITED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
];

#[test]
fn the_committed_schema_is_what_the_code_makes() {
    let committed = include_str!("../../schema.graphql");
    assert!(
        committed.trim_end() == callboard::graphql::sdl().trim_end(),
        "run `cargo run -- schema > schema.graphql`"
    );
}

#[tokio::test]
async fn everything_in_the_schema_says_what_it_is() {
    let app = TestApp::start().await;
    let host = World::new(&app).await.host;
    let document = "{ __schema { types { name description
        fields { name description args { name description } }
        enumValues { name description }
        inputFields { name description } } } }";
    let data = host.data(document, json!({})).await;
    let types = list(&data["__schema"]["types"]);
    let mut silent = Vec::new();
    // The library describes its own, except for `ID`, which nothing here uses.
    for of in types.filter(|of| !name(of).starts_with("__") && name(of) != "ID") {
        let mut elements = vec![(name(of).to_owned(), of)];
        for kind in ["fields", "enumValues", "inputFields"] {
            for element in list(&of[kind]) {
                let path = format!("{}.{}", name(of), name(element));
                for argument in list(&element["args"]) {
                    elements.push((format!("{path}({})", name(argument)), argument));
                }
                elements.push((path, element));
            }
        }
        silent.extend(
            elements
                .into_iter()
                .filter(|(_, element)| element["description"].as_str().unwrap_or("").is_empty())
                .map(|(path, _)| path),
        );
    }
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn errors_have_the_codes_of_the_contract_and_no_others() {
    let code = include_str!("../../src/error.rs");
    let (_, rest) = code.split_once("pub fn code(&self)").unwrap();
    let (body, _) = rest.split_once("\n    }\n").unwrap();
    let given: BTreeSet<&str> = body.split('"').skip(1).step_by(2).collect();
    assert_eq!(given, BTreeSet::from(CODES));
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn name(element: &Value) -> &str {
    element["name"].as_str().unwrap()
}
