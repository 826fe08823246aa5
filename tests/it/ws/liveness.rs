//! Who is there: pings of either side, and clients that do not read.

use std::time::Duration;

use callboard::auth::Identity;
use callboard::settings::Edge;
use serde_json::json;

use super::{MOMENT, begin_banner, bounded, of_workspace, until_admitted};
use crate::harness::{Socket, TestApp, World};

#[tokio::test]
async fn a_ping_is_answered_with_what_came_with_it() {
    let app = TestApp::start().await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    let payload = json!({"at": 17, "deep": {"er": [1, null]}});
    socket
        .send(json!({"type": "ping", "payload": payload}))
        .await;
    assert_eq!(
        socket.receive().await,
        json!({"type": "pong", "payload": payload})
    );
    for ping in [
        json!({"type": "ping"}),
        json!({"type": "ping", "payload": null}),
    ] {
        socket.send(ping).await;
        assert_eq!(socket.receive().await, json!({"type": "pong"}));
    }
}

#[tokio::test]
async fn a_client_is_pinged_and_kept_while_it_answers_and_let_go_when_it_does_not() {
    let edge = Edge {
        ping_interval: MOMENT,
        ..Edge::default()
    };
    let app = TestApp::with(bounded(edge)).await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    for _ in 0..3 {
        assert_eq!(socket.receive().await, json!({"type": "ping"}));
        socket
            .send(json!({"type": "pong", "payload": {"any": "thing"}}))
            .await;
    }
    assert_eq!(socket.receive().await, json!({"type": "ping"}));
    // To say something else is no answer.
    socket.send(json!({"type": "complete", "id": "1"})).await;
    assert_eq!(socket.closed().await, (4408, "Pong timeout".to_owned()));
}

#[tokio::test]
async fn a_client_that_stops_reading_is_let_go_and_holds_nobody_up() {
    let edge = Edge {
        write_timeout: MOMENT,
        connections_per_token: 1,
        ..Edge::default()
    };
    let app = TestApp::with(bounded(edge)).await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let start = world.cursor().await;
    let token = app.token(Identity::Admin).await;
    let mut stalled = Socket::acknowledged(app.address(), &token).await;
    // More than the buffers between two sockets hold, however large the kernel makes them.
    let text = "x".repeat(60_000);
    app.database.put_many(agent, world.runtime_id, 10).await;
    app.database
        .execute(&format!(
            "update agent_task_queue set trigger_summary = '{text}'"
        ))
        .await;
    let hot = "subscription($id: UUID!, $after: Cursor) {
        taskEvents(workspaceId: $id, after: $after) { task { triggerSummary } } }";
    let mut variables = of_workspace(&world);
    variables["after"] = json!(start);
    for number in 0..100 {
        let id = number.to_string();
        stalled.subscribe(&id, hot, variables.clone()).await;
    }
    let mut others = world.follow(&start).await;
    others.take(10).await;
    // As long as it is there, there is no room for another of its token.
    until_admitted(&app, &token).await;
    drop(stalled);
}

#[tokio::test]
async fn an_answer_that_has_come_while_something_could_not_be_sent_is_heard() {
    let edge = Edge {
        ping_interval: Duration::from_secs(3),
        ..Edge::default()
    };
    let app = TestApp::with(bounded(edge)).await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    app.database.put_many(agent, world.runtime_id, 10).await;
    let start = world.cursor().await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    let hot = "subscription($id: UUID!) { taskEvents(workspaceId: $id) { task { context } } }";
    for number in 0..99 {
        let id = number.to_string();
        socket.subscribe(&id, hot, of_workspace(&world)).await;
    }
    begin_banner(&mut socket, "banner").await;
    assert_eq!(socket.receive().await, json!({"type": "ping"}));
    // More than the buffers between two sockets hold.
    let change =
        "update agent_task_queue set progress_at = now(), context = to_jsonb(repeat('x', 60000))";
    app.database.execute(change).await;
    assert_eq!(socket.receive().await["type"], "next");
    world.follow(&start).await.take(10).await;
    socket.send(json!({"type": "pong"})).await;
    let now = "(extract(epoch from clock_timestamp()) * 1000)::int8";
    let due = app.database.count(&format!("select {now} + 3500")).await;
    app.database.until(&format!("{now} > {due}")).await;
    while socket.receive().await["type"] != "ping" {}
}

#[tokio::test]
async fn pings_of_the_socket_itself_are_answered_too() {
    use futures::StreamExt;
    use tokio_tungstenite::tungstenite::Message;
    let app = TestApp::start().await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    socket.send_frame(Message::Ping("there?".into())).await;
    let answer = tokio::time::timeout(crate::harness::PATIENCE, socket.stream.next()).await;
    assert_eq!(
        answer.unwrap().unwrap().unwrap(),
        Message::Pong("there?".into())
    );
    begin_banner(&mut socket, "1").await;
}
