//! Media types: in which a request comes, and in which its answer goes.

use reqwest::Method;
use serde_json::json;

use super::{QUERY, Sender, answer};

const JSON: &str = "application/json; charset=utf-8";
const GRAPHQL: &str = "application/graphql-response+json; charset=utf-8";

#[tokio::test]
async fn an_answer_has_the_media_type_that_the_client_likes_best() {
    let sender = Sender::start().await;
    for (accept, expected) in [
        (None, JSON),
        (Some("*/*"), JSON),
        (Some("application/*"), JSON),
        (Some("application/json"), JSON),
        (Some("application/graphql-response+json"), GRAPHQL),
        (
            Some("application/graphql-response+json;charset=utf-8"),
            GRAPHQL,
        ),
        (
            Some("application/json, application/graphql-response+json;q=0.5"),
            JSON,
        ),
        (
            Some("text/html;q=0.9, application/graphql-response+json;q=0.1"),
            GRAPHQL,
        ),
        // What the clients of the day send.
        (
            Some("application/graphql-response+json,application/json;q=0.9"),
            GRAPHQL,
        ),
        (
            Some(
                "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed",
            ),
            GRAPHQL,
        ),
    ] {
        let mut request = sender.post(&json!({"query": QUERY}));
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let answer = answer(request).await;
        assert_eq!(answer.status, 200, "{accept:?}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some(expected), "{accept:?}");
        assert_eq!(
            answer.json()["data"]["viewer"]["kind"],
            "ADMIN",
            "{accept:?}"
        );
    }
}

#[tokio::test]
async fn who_accepts_neither_media_type_is_told_which_there_are() {
    let sender = Sender::start().await;
    for accept in [
        "text/html",
        "text/event-stream",
        "application/json;q=0",
        "application/json; charset=utf-16",
        "multipart/mixed",
    ] {
        for request in [
            sender.post(&json!({"query": QUERY})),
            sender.get(&[("query", QUERY)]),
        ] {
            let answer = answer(request.header("accept", accept)).await;
            assert_eq!(answer.status, 406, "{accept}");
            assert!(
                answer.body.contains("application/graphql-response+json"),
                "{accept}"
            );
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_in_utf_8_is_not_read() {
    let sender = Sender::start().await;
    let body = json!({"query": QUERY}).to_string();
    for content_type in [
        // What a form on anybody's page can send without being asked whether it may.
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/json; charset=utf-16",
        "nonsense",
        "",
    ] {
        let request = sender
            .request(Method::POST, "/graphql")
            .header("content-type", content_type)
            .body(body.clone());
        let answer = answer(request).await;
        assert_eq!(
            (answer.status, answer.code()),
            (415, "BAD_USER_INPUT".to_owned()),
            "{content_type}"
        );
    }
    let request = sender.request(Method::POST, "/graphql").body(body.clone());
    assert_eq!(answer(request).await.status, 415, "without a type");
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        let request = sender
            .request(Method::POST, "/graphql")
            .header("content-type", content_type)
            .body(body.clone());
        assert_eq!(answer(request).await.status, 200, "{content_type}");
    }
}

#[tokio::test]
async fn text_arrives_as_it_was_sent_whatever_the_script() {
    let sender = Sender::start().await;
    let document =
        "query($name: String) { viewer { kind } __type(name: $name) { name } a: __typename }";
    for body in [
        json!({"query": document, "variables": {"name": "日本語"}}),
        json!({"query": format!("# {}\n{QUERY}", "schöne Grüße 🎭")}),
    ] {
        let answer = answer(sender.post(&body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json().get("errors"), None, "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_compressed_is_refused_as_such() {
    let sender = Sender::start().await;
    for (encoding, expected) in [
        ("identity", 200),
        ("Identity", 200),
        ("gzip", 415),
        ("identity, br", 415),
        ("zstd", 415),
    ] {
        let request = sender.post(&json!({"query": QUERY}));
        let answer = answer(request.header("content-encoding", encoding)).await;
        assert_eq!(answer.status, expected, "{encoding}: {answer:?}");
        if expected == 415 {
            assert_eq!(answer.code(), "BAD_USER_INPUT");
            assert_eq!(answer.header("accept-encoding"), Some("identity"));
        }
    }
    let stream = sender
        .request(Method::POST, "/graphql/stream")
        .header("content-type", "application/json")
        .header("accept", "text/event-stream")
        .header("content-encoding", "gzip")
        .body(json!({"query": QUERY}).to_string());
    assert_eq!(answer(stream).await.status, 415);
}
