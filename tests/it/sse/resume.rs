//! Coming back: the id of an event is its cursor, and `Last-Event-ID` continues behind it.

use serde_json::{Value, json};

use super::Reader;
use crate::harness::{Events, TestApp, World};

#[tokio::test]
async fn an_event_has_the_cursor_of_its_result_for_an_id_where_the_document_asks_for_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let start = world.cursor().await;
    world.enqueue(agent, json!({})).await;
    let reader = Reader::new(&app).await;
    let variables = json!({"id": world.workspace_id.0, "after": start});
    let document = |root: &str, fields: &str| {
        format!(
            "subscription($id: UUID!, $after: Cursor) {{ {root}taskEvents(workspaceId: $id, after: $after) {{ {fields} }} }}"
        )
    };
    let logged = app.database.log(&start).await[0].cursor.clone();
    for (document, expected) in [
        (document("", "cursor kind"), Some(&logged)),
        (document("e: ", "kind at: cursor"), Some(&logged)),
        (document("", "kind"), None),
    ] {
        let mut events = Events::of(reader.post(&document, &variables)).await;
        let event = events.next().await.unwrap();
        assert_eq!(event.id.as_ref(), expected, "{document}");
    }
    // A snapshot has one as well.
    let banner = "subscription($id: UUID!) { issueTasks(issueId: $id) { cursor } }";
    let mut events = Events::of(reader.post(banner, &json!({"id": world.workspace_id.0}))).await;
    let event = events.next().await.unwrap();
    assert_eq!(
        event.result()["data"]["issueTasks"]["cursor"],
        json!(event.id)
    );
}

#[tokio::test]
async fn a_client_that_comes_back_with_an_id_continues_behind_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(3).await;
    let start = world.cursor().await;
    for _ in 0..3 {
        world.enqueue(agent, json!({})).await;
    }
    let seen = app.database.log(&start).await;
    let reader = Reader::new(&app).await;
    let id = world.workspace_id.0;
    for (document, variables) in [
        (
            "subscription($id: UUID!) { taskEvents(workspaceId: $id) { cursor } }",
            json!({"id": id}),
        ),
        (
            "subscription($id: UUID!, $after: Cursor) { taskEvents(workspaceId: $id, after: $after) { cursor } }",
            json!({"id": id, "after": start}),
        ),
        (
            "subscription($id: UUID!, $after: Cursor) { ...F } fragment F on Subscription {
                taskEvents(workspaceId: $id, after: $after) { cursor } }",
            json!({"id": id}),
        ),
        (
            "subscription($id: UUID!) { taskUpdates(workspaceId: $id) { ... on TaskEvent { cursor } } }",
            json!({"id": id}),
        ),
    ] {
        let request = reader
            .post(document, &variables)
            .header("last-event-id", &seen[0].cursor);
        let mut events = Events::of(request).await;
        for expected in &seen[1..] {
            let event = events.next().await.expect(document);
            let id = event.id.as_ref();
            assert_eq!(id, Some(&expected.cursor), "{document}: {event:?}");
        }
    }
}

#[tokio::test]
async fn an_id_that_is_no_cursor_is_refused_and_one_that_nothing_takes_means_nothing() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let reader = Reader::new(&app).await;
    let variables = json!({"id": world.workspace_id.0});
    let document = "subscription($id: UUID!) { taskEvents(workspaceId: $id) { cursor } }";
    let request = reader
        .post(document, &variables)
        .header("last-event-id", "nonsense");
    let result = Events::of(request).await.next().await.unwrap().result();
    assert_eq!(
        result["errors"][0]["extensions"]["code"], "BAD_USER_INPUT",
        "{result}"
    );

    let banner = "subscription($id: UUID!) { issueTasks(issueId: $id) { activeTasks { id } } }";
    for id in ["nonsense", ""] {
        let request = reader.post(banner, &variables).header("last-event-id", id);
        let result = Events::of(request).await.data().await;
        assert_eq!(
            result["issueTasks"]["activeTasks"],
            Value::Array(Vec::new())
        );
    }
}
