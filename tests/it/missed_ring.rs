//! The doorbell of daemons rings though something was missed on the way to it: by the server, or by the bell itself.

use callboard::auth::{Daemon, Identity};
use entity::id::{AgentId, RuntimeId, TaskId};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{PATIENCE, Socket, TestApp, World, uuid};

const BELL: &str = "subscription($ids: [UUID!]!) { taskAvailable(runtimeIds: $ids) { runtimeId } }";

/// Enough of it is more than a socket's buffers hold, or than is kept for anybody who is late.
const EVENTS: &str =
    "subscription($id: UUID!) { taskEvents(workspaceId: $id) { kind task { context } } }";

#[tokio::test]
async fn it_rings_though_the_listeners_connection_was_cut() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    let mut socket = socket(&app, &world).await;
    listen(&mut socket, &world).await;
    let listeners =
        "from pg_stat_activity where datname = current_database() and query ilike 'listen %'";
    let listening = format!("(select count(*) = 1 {listeners})");
    for _ in 0..2 {
        app.database.until(&listening).await;
        let cut = app.database.hold("select").await;
        cut.execute(&format!("select pg_terminate_backend(pid) {listeners}"))
            .await;
        cut.execute(&world.insertion(agent, TaskId(Uuid::now_v7())))
            .await;
        cut.commit().await;
        // By looking now and then, or when the connection is there again.
        assert_eq!(rung(&mut socket).await, world.runtime_id);
    }
}

#[tokio::test]
async fn it_rings_though_what_would_have_rung_it_was_gone_before_it_could_be_heard() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let elsewhere = world.second_runtime("elsewhere").await;
    let chatty = world
        .agent_of(&world.host, elsewhere, json!({"visibility": "WORKSPACE"}))
        .await;
    app.database.put_many(chatty, elsewhere, 100).await;
    world.until_read(&world.host).await;
    let agent = world.agent(1).await;
    let mut socket = socket(&app, &world).await;
    socket
        .subscribe("events", EVENTS, json!({"id": world.workspace_id.0}))
        .await;
    listen(&mut socket, &world).await;

    // Nothing is read until the server cannot write any more, and hears nothing of what happens on behalf of this socket.
    for _ in 0..2 {
        talk(&app, chatty).await;
        world.until_read(&world.host).await;
    }
    app.database
        .execute(&world.insertion(agent, TaskId(Uuid::now_v7())))
        .await;
    world.until_read(&world.host).await;
    talk(&app, chatty).await;
    world.until_read(&world.host).await;
    // It looks anew, and may ring for what it has rung for before.
    while rung(&mut socket).await != world.runtime_id {}
}

/// A hundred events, more than is kept for those who are late.
async fn talk(app: &TestApp, agent: AgentId) {
    let change = format!(
        "update agent_task_queue set progress_at = clock_timestamp(), context = to_jsonb(repeat('x', 200000))
         where agent_id = '{agent}'"
    );
    app.database.execute(&change).await;
}

/// A socket of the daemon's.
async fn socket(app: &TestApp, world: &World<'_>) -> Socket {
    let daemon = Daemon {
        workspace_id: world.workspace_id,
        daemon_id: "laptop".to_owned(),
    };
    let token = app.token(Identity::Daemon(daemon)).await;
    Socket::acknowledged(app.address(), &token).await
}

/// Begins to listen for the first runtime, on which nothing waits, and for another one that has work: it has begun when it
/// has rung for that.
async fn listen(socket: &mut Socket, world: &World<'_>) {
    let marker = world.second_runtime("marker").await;
    let of_marker = world
        .agent_of(&world.host, marker, json!({"visibility": "WORKSPACE"}))
        .await;
    world
        .enqueue(of_marker, json!({"issueId": Uuid::new_v4()}))
        .await;
    world.until_read(&world.host).await;
    socket
        .subscribe("bell", BELL, json!({"ids": [world.runtime_id.0, marker.0]}))
        .await;
    assert_eq!(rung(socket).await, marker);
}

/// For which runtime the bell rings next.
async fn rung(socket: &mut Socket) -> RuntimeId {
    let ring = async {
        loop {
            let message = socket.receive().await;
            match message["id"].as_str() {
                Some("bell") => break message["payload"]["data"]["taskAvailable"].clone(),
                Some(_) => assert_eq!(message["type"], "next", "{message}"),
                None => socket.send(json!({"type": "pong"})).await,
            }
        }
    };
    let ring = tokio::time::timeout(PATIENCE, ring).await;
    RuntimeId(uuid(&ring.expect("a ring in time")["runtimeId"]))
}
