//! Runtimes: registering, signing off, and the orphans of an earlier life.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Client, TestApp, World, claim};

#[tokio::test]
async fn registering_again_updates_and_keeps_what_is_not_given() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let input = json!({
        "workspaceId": world.workspace_id.0, "daemonId": "laptop", "provider": "codex", "name": "first",
        "runtimeMode": "CLOUD", "deviceInfo": "a mac\u{0}", "metadata": {"cores": 8},
    });
    let first = world
        .daemon
        .mutate("registerRuntime", input.clone())
        .await
        .unwrap();
    assert_eq!(first["status"], "ONLINE");
    assert_ne!(first["lastSeenAt"], Value::Null);
    assert_eq!(first["runtimeMode"], "CLOUD");
    assert_eq!(first["deviceInfo"], "a mac");
    assert_eq!(first["metadata"], json!({"cores": 8}));
    world
        .daemon
        .mutate("deregisterRuntime", json!({"id": first["id"]}))
        .await
        .unwrap();

    let mut again = input.clone();
    again["name"] = json!("second");
    for field in ["deviceInfo", "metadata", "runtimeMode"] {
        again.as_object_mut().unwrap().remove(field);
    }
    let second = world.daemon.mutate("registerRuntime", again).await.unwrap();
    for field in [
        "id",
        "createdAt",
        "deviceInfo",
        "metadata",
        "provider",
        "daemonId",
    ] {
        assert_eq!(second[field], first[field], "{field}");
    }
    assert_eq!(
        (&second["name"], &second["status"]),
        (&json!("second"), &json!("ONLINE"))
    );
    assert_ne!(second["id"], json!(world.runtime_id.0), "another provider");
}

#[tokio::test]
async fn registrations_of_one_runtime_at_once_make_one() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let workspace = world.workspace_id;
    let insert = format!(
        "insert into agent_runtime (workspace_id, daemon_id, provider, name) values ('{workspace}', 'laptop', 'codex', 'x')"
    );
    let input = json!({"workspaceId": workspace.0, "daemonId": "laptop", "provider": "codex", "name": "laptop"});
    for holds in [false, true] {
        let held = app.database.hold(&insert).await;
        let requests = (0..3).map(|_| world.daemon.mutate("registerRuntime", input.clone()));
        let let_go = async {
            if holds {
                held.commit().await;
            } else {
                held.roll_back().await;
            }
        };
        let answers = app.database.collide(let_go, requests.collect()).await;
        let ids: Vec<Value> = answers
            .into_iter()
            .map(|answer| answer.unwrap()["id"].clone())
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        app.database
            .execute("delete from agent_runtime where provider = 'codex'")
            .await;
    }
}

#[tokio::test]
async fn a_runtime_is_registered_by_its_own_daemon_and_with_sense() {
    let app = TestApp::start().await;
    let (world, elsewhere) = (World::new(&app).await, World::new(&app).await);
    let good = json!({"workspaceId": world.workspace_id.0, "daemonId": "laptop", "provider": "p", "name": "n"});
    for (field, value, code) in [
        ("daemonId", json!("desktop"), "FORBIDDEN"),
        ("workspaceId", json!(elsewhere.workspace_id.0), "NOT_FOUND"),
        ("daemonId", json!(""), "BAD_USER_INPUT"),
        ("provider", json!(" "), "BAD_USER_INPUT"),
        ("name", json!("x".repeat(1025)), "BAD_USER_INPUT"),
        ("metadata", json!([]), "BAD_USER_INPUT"),
    ] {
        let mut input = good.clone();
        input[field] = value;
        assert_eq!(
            world.daemon.refused("registerRuntime", input).await,
            code,
            "{field}"
        );
    }
    assert_eq!(
        world.host.refused("registerRuntime", good).await,
        "FORBIDDEN"
    );
}

#[tokio::test]
async fn signing_off_leaves_the_tasks_as_they_are() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let running = world.run().await;
    let off = json!({"id": world.runtime_id.0});
    for _ in 0..2 {
        let off = world
            .daemon
            .mutate("deregisterRuntime", off.clone())
            .await
            .unwrap();
        assert_eq!(off["status"], "OFFLINE");
    }
    assert_eq!(world.status(running.task_id).await, "RUNNING");
    world.complete(running).await;
}

#[tokio::test]
async fn recovery_fails_what_was_in_flight_on_the_runtime_and_retries_what_may_be() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let other_runtime = world.second_runtime("codex").await;
    let (agent, other) = (world.agent(9).await, world.agent(9).await);
    app.database.move_agent(other, other_runtime).await;
    let chat = world
        .enqueue(agent, json!({"chatSessionId": Uuid::new_v4()}))
        .await;
    world.claim().await.expect("the chat's");
    let issue = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    world.run().await;
    let bare = world.enqueue(agent, json!({})).await;
    world.run().await;
    let untouched = world
        .enqueue(other, json!({"issueId": Uuid::new_v4()}))
        .await;
    claim(&world.daemon, other_runtime)
        .await
        .expect("the other runtime's");
    let queued = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;

    let recovered = recover(&world, &world.daemon).await;
    assert_eq!(recovered["failed"].as_array().unwrap().len(), 3);
    for task in [chat, issue, bare] {
        let record = world.host.task(task).await;
        assert_eq!(record["status"], "FAILED");
        assert_eq!(record["failureReason"], "runtime_recovery");
        assert_eq!(record["error"], "daemon restarted while task was in flight");
        assert_eq!(record["agent"]["status"], "IDLE");
        let retries = recovered["retried"].as_array().unwrap().iter();
        let retries = retries.filter(|retry| retry["parentTask"]["id"] == json!(task.0));
        assert_eq!(retries.count(), usize::from(task != bare));
    }
    assert_eq!(world.status(untouched).await, "DISPATCHED");
    assert_eq!(world.status(queued).await, "QUEUED");
    let again = recover(&world, &world.daemon).await;
    assert_eq!(again, json!({"failed": [], "retried": []}));

    let (foreign, _) = world.second_daemon("desktop").await;
    let input = json!({"runtimeId": world.runtime_id.0});
    assert_eq!(
        foreign.refused("recoverOrphanedTasks", input.clone()).await,
        "NOT_FOUND"
    );
    assert_eq!(
        world.host.refused("recoverOrphanedTasks", input).await,
        "FORBIDDEN"
    );
}

#[tokio::test]
async fn what_ends_while_it_is_recovered_ends_once() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    for end in ["completeTask", "recoverOrphanedTasks"] {
        world
            .enqueue(agent, json!({"issueId": Uuid::new_v4(), "maxAttempts": 1}))
            .await;
        let running = world.run().await;
        let held = app.database.hold_agent(agent).await;
        let runtime = json!({"runtimeId": world.runtime_id.0});
        let given = if end == "completeTask" {
            running.input()
        } else {
            runtime.clone()
        };
        let requests = vec![
            world.daemon.mutate("recoverOrphanedTasks", runtime),
            world.daemon.mutate(end, given),
        ];
        for answer in app.database.collide(held.commit(), requests).await {
            answer.unwrap();
        }
        assert_eq!(world.host.events(running.task_id).await.len(), 4, "{end}");
    }
}

/// Recovers what an earlier life of the daemon left behind.
async fn recover(world: &World<'_>, daemon: &Client) -> Value {
    let input = json!({"runtimeId": world.runtime_id.0});
    daemon.mutate("recoverOrphanedTasks", input).await.unwrap()
}
