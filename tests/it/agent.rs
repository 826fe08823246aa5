//! Making agents, and the status that follows from their tasks.

use entity::id::AgentId;
use entity::member::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestApp, World, merge};

#[tokio::test]
async fn an_agent_is_what_it_was_given_and_keeps_its_secrets() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let given = json!({
        "name": "coder", "description": "codes", "avatarUrl": "https://a/b.png", "runtimeMode": "CLOUD",
        "runtimeConfig": {"a": [1]}, "visibility": "WORKSPACE", "maxConcurrentTasks": 3, "instructions": "be kind",
        "customArgs": ["-v"], "model": "opus",
    });
    let mut more = given.clone();
    merge(
        &mut more,
        json!({"customEnv": {"B": "2", "A": "1"}, "mcpConfig": {"servers": []}}),
    );
    let agent = world
        .host
        .mutate("createAgent", input(&world, more))
        .await
        .unwrap();
    for (field, value) in given.as_object().unwrap() {
        assert_eq!(&agent[field], value, "{field}");
    }
    assert_eq!(agent["runtime"]["id"], json!(world.runtime_id.0));
    assert_eq!(agent["customEnvKeys"], json!(["A", "B"]));
    assert_eq!(agent["hasMcpConfig"], true);
    assert_eq!(
        (&agent["ownerId"], &agent["archivedAt"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(agent["status"], "IDLE");

    let plain = world
        .host
        .mutate("createAgent", input(&world, json!({})))
        .await
        .unwrap();
    for (field, value) in [
        ("description", json!("")),
        ("runtimeMode", json!("LOCAL")),
        ("runtimeConfig", json!({})),
        ("visibility", json!("PRIVATE")),
        ("maxConcurrentTasks", json!(6)),
        ("instructions", json!("")),
        ("customArgs", json!([])),
        ("customEnvKeys", json!([])),
        ("hasMcpConfig", json!(false)),
        ("model", Value::Null),
        ("avatarUrl", Value::Null),
    ] {
        assert_eq!(plain[field], value, "{field}");
    }
}

#[tokio::test]
async fn an_agent_that_makes_no_sense_is_refused_by_name() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    for (field, value) in [
        ("name", json!(" ")),
        ("name", json!("\u{0}")),
        ("name", json!("x".repeat(1025))),
        ("maxConcurrentTasks", json!(0)),
        ("maxConcurrentTasks", json!(1001)),
        ("runtimeConfig", json!([])),
        ("mcpConfig", json!("x")),
        ("customEnv", json!({"A": 1})),
        ("customEnv", json!({"": "x"})),
        ("customEnv", json!({"A=B": "x"})),
        ("customArgs", json!({"a": "b"})),
        ("customArgs", json!(["a", 1])),
        ("instructions", json!("x".repeat(64 * 1024 + 1))),
    ] {
        let mut more = json!({});
        more[field] = value.clone();
        let error = world
            .host
            .mutate("createAgent", input(&world, more))
            .await
            .unwrap_err();
        assert_eq!(error.code, "BAD_USER_INPUT", "{field}");
        assert!(error.message.contains(field), "{field}: {}", error.message);
    }
    assert_eq!(app.database.count("select count(*) from agent").await, 0);
    for more in [
        json!({"maxConcurrentTasks": 1}),
        json!({"maxConcurrentTasks": 1000}),
    ] {
        world
            .host
            .mutate("createAgent", input(&world, more))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_agent_is_made_by_people_and_hosts_on_a_runtime_of_their_workspace() {
    let app = TestApp::start().await;
    let (world, elsewhere) = (World::new(&app).await, World::new(&app).await);
    let member = world.member(Role::Member).await;
    let theirs = member
        .mutate("createAgent", input(&world, json!({})))
        .await
        .unwrap();
    assert_ne!(theirs["ownerId"], Value::Null);
    for (client, more, code) in [
        (&world.daemon, json!({}), "FORBIDDEN"),
        (&elsewhere.host, json!({}), "NOT_FOUND"),
        (
            &world.host,
            json!({"runtimeId": elsewhere.runtime_id.0}),
            "NOT_FOUND",
        ),
        (
            &world.host,
            json!({"runtimeId": Uuid::new_v4()}),
            "NOT_FOUND",
        ),
        (
            &world.host,
            json!({"workspaceId": elsewhere.workspace_id.0}),
            "NOT_FOUND",
        ),
    ] {
        let input = input(&world, more);
        assert_eq!(client.refused("createAgent", input).await, code);
    }
}

#[tokio::test]
async fn an_agent_works_while_a_task_is_dispatched_or_running() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    app.database.put_many(agent, world.runtime_id, 3).await;
    assert_eq!(status(&world, agent).await, "IDLE", "queued");
    let first = world.claim().await.expect("a task");
    assert_eq!(status(&world, agent).await, "WORKING", "dispatched");
    world.start(first).await;
    assert_eq!(status(&world, agent).await, "WORKING", "running");
    let second = world.run().await;
    world.complete(first).await;
    assert_eq!(status(&world, agent).await, "WORKING", "one of two");
    world.fail(second, "agent_error").await;
    assert_eq!(status(&world, agent).await, "IDLE", "none, and one queued");

    let third = world.claim().await.expect("the last task");
    world
        .host
        .mutate("cancelTask", json!({"taskId": third.task_id.0}))
        .await
        .unwrap();
    assert_eq!(status(&world, agent).await, "IDLE", "cancelled");
}

#[tokio::test]
async fn an_agent_s_status_is_written_when_it_changes_and_not_otherwise() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(3).await;
    app.database.put_many(agent, world.runtime_id, 3).await;
    let version = async || {
        let rows = app
            .database
            .rows("select xmin::text as version from agent")
            .await;
        rows[0].try_get::<String>("", "version").unwrap()
    };
    let claim = world.claim().await.expect("a task");
    let working = version().await;
    world.start(claim).await;
    let others = [world.run().await, world.run().await];
    world.complete(claim).await;
    world.complete(others[0]).await;
    assert_eq!(version().await, working);
    world.complete(others[1]).await;
    assert_ne!(version().await, working);
}

/// An agent of the world's runtime.
fn input(world: &World<'_>, more: Value) -> Value {
    let (workspace, runtime) = (world.workspace_id.0, world.runtime_id.0);
    let mut input = json!({"workspaceId": workspace, "name": "agent", "runtimeId": runtime});
    merge(&mut input, more);
    input
}

/// What the agent is doing.
async fn status(world: &World<'_>, agent: AgentId) -> Value {
    let document = "query($id: UUID!) { agent(id: $id) { status } }";
    let data = world.host.data(document, json!({"id": agent.0})).await;
    data["agent"]["status"].clone()
}
