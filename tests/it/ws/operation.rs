//! Operations: subscriptions, queries and mutations, how they end, and what is said of those that cannot begin.

use std::collections::HashMap;

use callboard::auth::Identity;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{BANNER, EVENTS, begin_banner, of_workspace, some_issue};
use crate::harness::{Socket, TestApp, World};

#[tokio::test]
async fn a_query_and_a_mutation_have_one_result_and_are_complete() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let token = app
        .token(Identity::Service {
            workspace_id: world.workspace_id,
        })
        .await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    let mutation =
        "mutation($id: UUID!) { enqueueTask(input: {agentId: $id}) { task { status } } }";
    for (document, variables, data) in [
        (
            "{ viewer { kind } }",
            json!({}),
            json!({"viewer": {"kind": "SERVICE"}}),
        ),
        (
            mutation,
            json!({"id": agent.0}),
            json!({"enqueueTask": {"task": {"status": "QUEUED"}}}),
        ),
    ] {
        // Its name is free again when it is complete.
        socket.subscribe("again", document, variables).await;
        assert_eq!(
            socket.receive().await,
            json!({"id": "again", "type": "next", "payload": {"data": data}})
        );
        assert_eq!(
            socket.receive().await,
            json!({"id": "again", "type": "complete"})
        );
    }
}

#[tokio::test]
async fn what_cannot_begin_ends_with_an_error_and_nothing_else() {
    let app = TestApp::start().await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    for (document, code) in [
        ("{", "BAD_USER_INPUT"),
        ("{ viewer { colour } }", "BAD_USER_INPUT"),
        (EVENTS, "BAD_USER_INPUT"),
        ("subscription { viewer { kind } }", "BAD_USER_INPUT"),
        ("subscription { __typename }", "BAD_USER_INPUT"),
        (
            "subscription { a: taskAvailable(runtimeIds: []) { runtimeId } b: taskAvailable(runtimeIds: []) { runtimeId } }",
            "BAD_USER_INPUT",
        ),
        (
            "subscription { taskEvents(workspaceId: \"0190f3c2-7b1a-7c3e-9d5f-2a4b6c8d0e1f\") { kind } }",
            "NOT_FOUND",
        ),
    ] {
        socket.subscribe("1", document, json!({})).await;
        let message = socket.receive().await;
        assert_eq!(
            (&message["type"], &message["id"]),
            (&json!("error"), &json!("1")),
            "{document}: {message}"
        );
        assert_eq!(
            message["payload"][0]["extensions"]["code"], code,
            "{document}: {message}"
        );
    }
    // Neither was more said of any of them, nor is the name taken.
    begin_banner(&mut socket, "1").await;
}

#[tokio::test]
async fn an_error_of_a_field_is_a_result() {
    let app = TestApp::start().await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    let mutation = "mutation($id: UUID!) { cancelTask(taskId: $id) { id } }";
    socket
        .subscribe("1", mutation, json!({"id": Uuid::new_v4()}))
        .await;
    let message = socket.receive().await;
    assert_eq!(message["type"], "next", "{message}");
    assert_eq!(message["payload"]["data"], Value::Null);
    assert_eq!(
        message["payload"]["errors"][0]["extensions"]["code"],
        "NOT_FOUND"
    );
    assert_eq!(
        socket.receive().await,
        json!({"id": "1", "type": "complete"})
    );
}

#[tokio::test]
async fn after_a_client_has_completed_an_operation_nothing_more_is_said_of_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    socket
        .subscribe("events", EVENTS, of_workspace(&world))
        .await;
    begin_banner(&mut socket, "banner").await;
    world.enqueue(agent, json!({})).await;
    assert_eq!(socket.receive().await["id"], "events");
    socket
        .send(json!({"type": "complete", "id": "events"}))
        .await;
    // Of what is not under way it means nothing.
    socket
        .send(json!({"type": "complete", "id": "events"}))
        .await;
    socket
        .send(json!({"type": "complete", "id": "another"}))
        .await;
    socket.send(json!({"type": "ping"})).await;
    assert_eq!(socket.receive().await, json!({"type": "pong"}));
    world.enqueue(agent, json!({})).await;
    world.until_read(&world.host).await;
    begin_banner(&mut socket, "events").await;
}

#[tokio::test]
async fn operations_of_one_socket_do_not_wait_for_each_other() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    let held = app.database.hold_agent(agent).await;
    let cancel = "mutation($id: UUID!) { cancelTask(taskId: $id) { status } }";
    socket
        .subscribe("slow", cancel, json!({"id": task.0}))
        .await;
    app.database.until_waiting(1).await;
    socket
        .subscribe("quick", "{ viewer { kind } }", json!({}))
        .await;
    assert_eq!(socket.receive().await["id"], "quick");
    assert_eq!(
        socket.receive().await,
        json!({"id": "quick", "type": "complete"})
    );
    held.roll_back().await;
    let message = socket.receive().await;
    assert_eq!(
        message["payload"]["data"]["cancelTask"]["status"], "CANCELLED",
        "{message}"
    );
}

#[tokio::test]
async fn a_hot_subscription_does_not_starve_its_neighbours() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let start = world.cursor().await;
    app.database.put_many(agent, world.runtime_id, 3000).await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    let hot = "subscription($id: UUID!, $after: Cursor) { taskEvents(workspaceId: $id, after: $after) { kind } }";
    let mut variables = of_workspace(&world);
    variables["after"] = json!(start);
    socket.subscribe("hot", hot, variables).await;
    assert_eq!(socket.receive().await["id"], "hot");
    for number in 0..10 {
        socket
            .subscribe(&format!("cold {number}"), BANNER, some_issue())
            .await;
    }
    let (mut hot, mut cold) = (1, 0);
    while cold < 10 {
        match socket.receive().await["id"].as_str().unwrap() {
            "hot" => hot += 1,
            _ => cold += 1,
        }
    }
    assert!(hot < 2900, "{hot} results of the hot one came first");
}

#[tokio::test]
async fn of_many_results_that_are_ready_together_each_comes_and_in_its_place() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let start = world.cursor().await;
    app.database.put_many(agent, world.runtime_id, 500).await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    let document = "subscription($id: UUID!, $after: Cursor) {
        events: taskEvents(workspaceId: $id, after: $after) { cursor } }";
    let mut variables = of_workspace(&world);
    variables["after"] = json!(start);
    // Two that are alike, and one that is not.
    let unlike = document.replace("events:", "others:");
    for (name, document) in [("a", document), ("b", document), ("c", &unlike)] {
        socket.subscribe(name, document, variables.clone()).await;
    }
    let mut told: HashMap<String, Vec<String>> = HashMap::new();
    for _ in 0..3 * 500 {
        let message = socket.receive().await;
        let data = message["payload"]["data"].as_object().expect("a result");
        let event = data.values().next().unwrap();
        let told = told.entry(message["id"].as_str().unwrap().to_owned());
        told.or_default()
            .push(event["cursor"].as_str().unwrap().to_owned());
    }
    let log = app.database.log(&start).await;
    let expected: Vec<String> = log.into_iter().map(|event| event.cursor).collect();
    for name in ["a", "b", "c"] {
        assert_eq!(told[name], expected, "{name}");
    }
}
