//! Status codes: what is executed is 200; what is not says why, as far as its media type has it so.

use reqwest::Method;
use serde_json::{Value, json};

use super::{MUTATION, QUERY, Sender, answer};

const JSON: &str = "application/json";
const GRAPHQL: &str = "application/graphql-response+json";

#[tokio::test]
async fn a_document_that_cannot_be_executed_has_no_data_and_a_status_by_its_media_type() {
    let sender = Sender::start().await;
    let strict = "query($id: UUID!) { task(id: $id) { id } }";
    for body in [
        json!({"query": "{"}),
        json!({"query": ""}),
        json!({"query": "{ viewer { colour } }"}),
        json!({"query": strict}),
        json!({"query": strict, "variables": {"id": "nonsense"}}),
        json!({"query": strict, "variables": {"id": null}}),
        json!({"query": "query A { viewer { kind } }", "operationName": "B"}),
        json!({"query": "query A { viewer { kind } } query B { viewer { kind } }"}),
        json!({"query": "subscription { taskAvailable(runtimeIds: []) { runtimeId } agentPresence(workspaceId: \"\") { agentId } }"}),
    ] {
        for (accept, status) in [(JSON, 200), (GRAPHQL, 400)] {
            let answer = answer(sender.post(&body).header("accept", accept)).await;
            assert_eq!(
                (answer.status, answer.code()),
                (status, "BAD_USER_INPUT".to_owned()),
                "{body}"
            );
            assert_eq!(answer.json().get("data"), None, "{body}");
        }
    }
}

#[tokio::test]
async fn a_field_that_fails_is_an_answer_like_any_other() {
    let sender = Sender::start().await;
    let partly =
        "{ viewer { kind } workspace(id: \"0190f3c2-7b1a-7c3e-9d5f-2a4b6c8d0e1f\") { id } }";
    for (document, data) in [
        (MUTATION, Value::Null),
        (
            partly,
            json!({"viewer": {"kind": "ADMIN"}, "workspace": null}),
        ),
    ] {
        for accept in [JSON, GRAPHQL] {
            let request = sender.post(&json!({"query": document}));
            let answer = answer(request.header("accept", accept)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.json().get("data"), Some(&data), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused_in_either_media_type() {
    let sender = Sender::start().await;
    for body in [
        "",
        "{",
        "{}",
        "[]",
        "null",
        "{\"query\": null}",
        "{\"query\": 7}",
        "{\"query\": [\"{ viewer { kind } }\"]}",
        "{\"query\": \"{ viewer { kind } }\", \"operationName\": 7}",
        "{\"query\": \"{ viewer { kind } }\", \"variables\": \"{}\"}",
        "{\"query\": \"{ viewer { kind } }\", \"variables\": [1]}",
        "{\"query\": \"{ viewer { kind } }\", \"extensions\": 7}",
        "{\"query\": \"{ viewer { kind } }\", \"extensions\": []}",
        "[{\"query\": \"{ viewer { kind } }\"}]",
    ] {
        for accept in [JSON, GRAPHQL] {
            let request = sender
                .request(Method::POST, "/graphql")
                .header("content-type", JSON)
                .header("accept", accept)
                .body(body);
            let answer = answer(request).await;
            assert_eq!(
                (answer.status, answer.code()),
                (400, "BAD_USER_INPUT".to_owned()),
                "{body}"
            );
            assert_eq!(answer.json().get("data"), None, "{body}");
            assert!(
                answer.header("content-type").unwrap().starts_with(accept),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_null_or_not_known_in_a_body_is_as_good_as_not_there() {
    let sender = Sender::start().await;
    for body in [
        json!({"query": QUERY, "operationName": null, "variables": null, "extensions": null}),
        json!({"query": QUERY, "operationName": "", "variables": {}, "extensions": {"a": {"b": 1}}}),
        json!({"query": QUERY, "id": "7", "doc_id": {}}),
    ] {
        let answer = answer(sender.post(&body).header("accept", GRAPHQL)).await;
        assert_eq!(
            answer.json(),
            json!({"data": {"viewer": {"kind": "ADMIN"}}}),
            "{body}"
        );
    }
}

#[tokio::test]
async fn who_shows_no_token_that_holds_is_challenged() {
    let sender = Sender::start().await;
    for authorization in ["", "Bearer", "Bearer nonsense", "Basic YTpi", "cb_admin_x"] {
        for accept in [JSON, GRAPHQL] {
            let request = sender
                .http
                .post(format!("http://{}/graphql", sender.app.address()))
                .header("authorization", authorization)
                .header("accept", accept)
                .header("content-type", JSON)
                // Nobody's body is read of whom nothing is known.
                .body("{");
            let answer = answer(request).await;
            assert_eq!(
                (answer.status, answer.code()),
                (401, "UNAUTHENTICATED".to_owned())
            );
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Bearer realm=\"callboard\"")
            );
            assert_eq!(answer.json().get("data"), None);
        }
    }
}

#[tokio::test]
async fn no_cache_keeps_an_answer() {
    let sender = Sender::start().await;
    let answer = answer(sender.get(&[("query", QUERY)])).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("vary"), Some("accept"));
}
