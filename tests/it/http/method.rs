//! Methods: anything by POST, queries by GET, nothing by any other.

use reqwest::Method;
use serde_json::json;

use super::{MUTATION, QUERY, Sender, answer};

#[tokio::test]
async fn a_query_by_get_is_answered_with_all_its_parameters() {
    let sender = Sender::start().await;
    let document =
        "query A { viewer { kind } } query B($name: String!) { __type(name: $name) { name } }";
    let variables = r#"{"name": "Viewer"}"#;
    let all = [
        ("query", document),
        ("operationName", "B"),
        ("variables", variables),
        ("extensions", r#"{"a": 1}"#),
    ];
    let answered = answer(sender.get(&all)).await;
    assert_eq!(
        answered.json()["data"],
        json!({"__type": {"name": "Viewer"}})
    );
    let first = [("query", document), ("operationName", "A")];
    let answered = answer(sender.get(&first)).await;
    assert_eq!(
        answered.json()["data"],
        json!({"viewer": {"kind": "ADMIN"}})
    );
    let null = [
        ("query", QUERY),
        ("variables", "null"),
        ("extensions", "null"),
    ];
    assert_eq!(answer(sender.get(&null)).await.status, 200);
}

#[tokio::test]
async fn parameters_of_a_get_that_are_none_are_refused() {
    let sender = Sender::start().await;
    for parameters in [
        vec![],
        vec![("query", QUERY), ("query", QUERY)],
        vec![("operationName", "A")],
        vec![("query", QUERY), ("variables", "")],
        vec![("query", QUERY), ("variables", "{")],
        vec![("query", QUERY), ("variables", "[]")],
        vec![("query", QUERY), ("variables", "\"text\"")],
        vec![("query", QUERY), ("extensions", "7")],
    ] {
        for accept in ["application/json", "application/graphql-response+json"] {
            let answer = answer(sender.get(&parameters).header("accept", accept)).await;
            assert_eq!(
                (answer.status, answer.code()),
                (400, "BAD_USER_INPUT".to_owned()),
                "{parameters:?}"
            );
            assert_eq!(answer.json().get("data"), None, "{parameters:?}");
        }
    }
}

#[tokio::test]
async fn a_mutation_by_get_is_not_executed() {
    let sender = Sender::start().await;
    let both = format!(
        "query A {QUERY} {}",
        MUTATION.replacen("mutation", "mutation B", 1)
    );
    for parameters in [
        vec![("query", MUTATION)],
        vec![("query", both.as_str()), ("operationName", "B")],
    ] {
        for accept in ["application/json", "application/graphql-response+json"] {
            let answer = answer(sender.get(&parameters).header("accept", accept)).await;
            assert_eq!(answer.status, 405, "{answer:?}");
            assert_eq!(answer.header("allow"), Some("POST"));
            assert_eq!(answer.json().get("data"), None, "{answer:?}");
        }
    }
    let query = [("query", both.as_str()), ("operationName", "A")];
    assert_eq!(answer(sender.get(&query)).await.status, 200);
}

#[tokio::test]
async fn a_subscription_is_refused_and_told_where_it_would_be_answered() {
    let sender = Sender::start().await;
    let document = "subscription { taskAvailable(runtimeIds: []) { runtimeId } }";
    for request in [
        sender.post(&json!({"query": document})),
        sender.get(&[("query", document)]),
    ] {
        let request = request.header("accept", "application/graphql-response+json");
        let answer = answer(request).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "BAD_USER_INPUT".to_owned())
        );
        for place in ["/graphql/ws", "/graphql/stream"] {
            assert!(answer.body.contains(place), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let sender = Sender::start().await;
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = answer(sender.request(method, "/graphql")).await;
        assert_eq!(answer.status, 405);
        let allowed = answer.header("allow").expect("what is allowed");
        assert!(
            allowed.contains("GET") && allowed.contains("POST"),
            "{allowed}"
        );
    }
}
