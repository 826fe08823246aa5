//! Results: an event for each, and one that says that there are no more.

use std::time::Duration;

use callboard::settings::{Edge, Settings};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::Reader;
use crate::harness::{Events, PATIENCE, SentEvent, TestApp, World};

/// The event that says that there are no more.
fn complete() -> SentEvent {
    SentEvent {
        event: "complete".to_owned(),
        data: String::new(),
        id: None,
    }
}

#[tokio::test]
async fn a_query_and_a_mutation_have_one_result_and_are_complete() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let reader = Reader::new(&app).await;
    let mutation =
        "mutation($id: UUID!) { enqueueTask(input: {agentId: $id}) { task { status } } }";
    for (request, data) in [
        (
            reader.post("{ viewer { kind } }", &json!({})),
            json!({"viewer": {"kind": "ADMIN"}}),
        ),
        (
            reader.post(mutation, &json!({"id": agent.0})),
            json!({"enqueueTask": {"task": {"status": "QUEUED"}}}),
        ),
        (
            reader.request(Method::GET, "?query=%7Bviewer%7Bkind%7D%7D"),
            json!({"viewer": {"kind": "ADMIN"}}),
        ),
    ] {
        let mut events = Events::of(request).await;
        assert_eq!(events.data().await, data);
        assert_eq!(events.next().await, Some(complete()));
        assert_eq!(events.next().await, None);
    }
}

#[tokio::test]
async fn a_subscription_has_an_event_for_each_of_its_results() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let reader = Reader::new(&app).await;
    let issue = Uuid::new_v4();
    let document =
        "subscription($id: UUID!) { issueTasks(issueId: $id) { activeTasks { status } } }";
    let mut events = Events::of(reader.post(document, &json!({"id": issue}))).await;
    assert_eq!(
        events.data().await,
        json!({"issueTasks": {"activeTasks": []}})
    );
    world.enqueue(agent, json!({"issueId": issue})).await;
    assert_eq!(
        events.data().await,
        json!({"issueTasks": {"activeTasks": [{"status": "QUEUED"}]}})
    );
}

#[tokio::test]
async fn a_stream_that_has_nothing_to_say_has_a_comment_now_and_then() {
    let edge = Edge {
        ping_interval: Duration::from_millis(100),
        ..Edge::default()
    };
    let settings = Settings {
        edge,
        ..Settings::default()
    };
    let app = TestApp::with(settings).await;
    let reader = Reader::new(&app).await;
    let document = "subscription { taskAvailable(runtimeIds: []) { runtimeId } }";
    let mut response = reader.post(document, &json!({})).send().await.unwrap();
    for _ in 0..3 {
        let chunk = tokio::time::timeout(PATIENCE, response.chunk()).await;
        let chunk = chunk.expect("a comment in time").unwrap();
        assert_eq!(chunk.as_deref(), Some(&b":\n\n"[..]));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_document_is_told_where_its_results_would_be() {
    let app = TestApp::start().await;
    let reader = Reader::new(&app).await;
    for (document, code) in [
        ("{", "BAD_USER_INPUT"),
        ("{ viewer { colour } }", "BAD_USER_INPUT"),
        ("subscription { __typename }", "BAD_USER_INPUT"),
        (
            "subscription($id: UUID!) { taskEvents(workspaceId: $id) { kind } }",
            "BAD_USER_INPUT",
        ),
        (
            "subscription { taskEvents(workspaceId: \"0190f3c2-7b1a-7c3e-9d5f-2a4b6c8d0e1f\") { kind } }",
            "NOT_FOUND",
        ),
    ] {
        let mut events = Events::of(reader.post(document, &json!({}))).await;
        let result = events.next().await.expect("a result").result();
        assert_eq!(
            result["errors"][0]["extensions"]["code"], code,
            "{document}: {result}"
        );
        assert_eq!(events.next().await, Some(complete()), "{document}");
        assert_eq!(events.next().await, None);
    }
}
