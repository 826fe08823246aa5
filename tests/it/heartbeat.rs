//! Signs of life: which runtimes they bring on line, and what a daemon is told that it has lost.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Claim, TestApp, World, uuid};

#[tokio::test]
async fn a_heartbeat_brings_all_of_a_daemon_s_runtimes_on_line() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let other = world.second_runtime("codex").await;
    let (_, foreign) = world.second_daemon("desktop").await;
    let off = world
        .daemon
        .mutate("deregisterRuntime", json!({"id": other.0}))
        .await
        .unwrap();
    assert_eq!(off["status"], "OFFLINE");
    app.database
        .execute("update agent_runtime set last_seen_at = null")
        .await;
    let before = app.database.event_count("runtime_changed").await;

    let all = json!({"runtimeIds": [world.runtime_id.0, other.0]});
    let answer = world.daemon.mutate("heartbeat", all.clone()).await.unwrap();
    let runtimes = answer["runtimes"].as_array().unwrap();
    assert_eq!(runtimes.len(), 2);
    for runtime in runtimes {
        assert_eq!(runtime["status"], "ONLINE");
        assert_ne!(runtime["lastSeenAt"], Value::Null);
    }
    assert_eq!(answer["lost"], json!([]));
    world.daemon.mutate("heartbeat", all).await.unwrap();
    let events = app.database.event_count("runtime_changed").await;
    assert_eq!(events, before + 1, "only the one that came on line says so");

    for ids in [
        json!([foreign.0]),
        json!([world.runtime_id.0, Uuid::new_v4()]),
    ] {
        let input = json!({"runtimeIds": ids});
        assert_eq!(
            world.daemon.refused("heartbeat", input.clone()).await,
            "NOT_FOUND"
        );
        assert_eq!(world.host.refused("heartbeat", input).await, "FORBIDDEN");
    }
    let foreign = json!({"id": foreign.0});
    assert_eq!(
        world.daemon.refused("deregisterRuntime", foreign).await,
        "NOT_FOUND"
    );
}

#[tokio::test]
async fn a_heartbeat_names_the_tasks_that_its_daemon_no_longer_holds() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    app.database.put_many(agent, world.runtime_id, 6).await;
    let mut claims = Vec::new();
    for _ in 0..6 {
        claims.push(world.claim().await.expect("a task"));
    }
    let [
        dispatched,
        running,
        cancelled,
        expired,
        superseded,
        completed,
    ] = claims[..]
    else {
        panic!("six claims");
    };
    let beat = async || {
        let holding: Vec<Value> = claims.iter().map(|claim| claim.input()).collect();
        let input = json!({"runtimeIds": [world.runtime_id.0], "holding": holding});
        world.daemon.mutate("heartbeat", input).await.unwrap()["lost"].clone()
    };
    world.start(running).await;
    app.database.expire_lease(expired.task_id).await;
    assert_eq!(beat().await, json!([]), "whatever nobody took is held");

    app.database.expire_lease(superseded.task_id).await;
    world
        .host
        .mutate("cancelTask", json!({"taskId": cancelled.task_id.0}))
        .await
        .unwrap();
    world.start(completed).await;
    world.complete(completed).await;
    let anew = [
        world.claim().await.expect("one of the two"),
        world.claim().await.expect("the other"),
    ];
    let lost = beat().await;
    let mut lost: Vec<Uuid> = lost
        .as_array()
        .unwrap()
        .iter()
        .map(|task| uuid(&task["id"]))
        .collect();
    lost.sort_unstable();
    let mut expected = [cancelled, expired, superseded, completed].map(|claim| claim.task_id.0);
    expected.sort_unstable();
    assert_eq!(lost, expected);

    let held = [dispatched, running, anew[0], anew[1]].map(Claim::input);
    let input = json!({"runtimeIds": [world.runtime_id.0], "holding": held});
    assert_eq!(
        world.daemon.mutate("heartbeat", input).await.unwrap()["lost"],
        json!([])
    );
}
