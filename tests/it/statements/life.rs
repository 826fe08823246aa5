//! What the life of a task costs, in statements. Whether the token holds is asked by the statement that does it.

use entity::id::TaskId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::scene::Scene;
use crate::harness::{Claim, uuid};

/// The most that each may take, its BEGIN and COMMIT counted.
const AT_MOST: [(&str, usize); 8] = [
    ("enqueueTask", 1),
    ("claimTask", 1),
    ("startTask", 1),
    ("heartbeat", 2),
    ("completeTask", 1),
    ("failTask", 1),
    ("claimTask of nothing", 1),
    ("claimTasks", 1),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_task_takes_no_more_statements_than_it_did() {
    let scene = Scene::set(1).await;
    let agent = scene.variables["agents"][0].clone();
    let runtime = scene.variables["runtime"].clone();
    let clear = json!({"agentId": agent});
    scene.of(&scene.host, "cancelByAgent", clear).await;
    // Who speaks is noted once a minute, which is not counted.
    let beat = json!({"runtimeIds": [runtime]});
    scene.of(&scene.daemon, "heartbeat", beat).await;

    let task = json!({"agentId": agent, "issueId": Uuid::new_v4()});
    let claim = json!({"runtimeId": runtime});
    let (_, enqueued) = scene.of(&scene.host, "enqueueTask", task.clone()).await;
    let (first, claimed) = scene.of(&scene.daemon, "claimTask", claim.clone()).await;
    let first = Claim::of(&first);
    let (_, started) = scene.of(&scene.daemon, "startTask", first.input()).await;
    let beat = json!({"runtimeIds": [runtime], "holding": [first.input()]});
    let (_, heard) = scene.of(&scene.daemon, "heartbeat", beat).await;
    let (_, completed) = scene.of(&scene.daemon, "completeTask", first.input()).await;
    scene.of(&scene.host, "enqueueTask", task).await;
    let (second, _) = scene.of(&scene.daemon, "claimTask", claim.clone()).await;
    let bad = Claim::of(&second).with(json!({"error": "it broke"}));
    let (_, failed) = scene.of(&scene.daemon, "failTask", bad).await;
    let (_, nothing) = scene.of(&scene.daemon, "claimTask", claim).await;
    for _ in 0..2 {
        let task = json!({"agentId": agent, "issueId": Uuid::new_v4()});
        scene.of(&scene.host, "enqueueTask", task).await;
    }
    let several = json!({"runtimeIds": scene.variables["runtimes"], "max": 5});
    let (claims, several) = scene.of(&scene.daemon, "claimTasks", several).await;
    assert_eq!(claims.as_array().unwrap().len(), 2);

    let taken = [
        enqueued, claimed, started, heard, completed, failed, nothing, several,
    ];
    for ((verb, most), taken) in AT_MOST.into_iter().zip(taken) {
        assert!(taken.len() <= most, "{verb}: {taken:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_takes_as_many_statements_for_many_runtimes_and_tasks_as_for_few() {
    let mut taken = Vec::new();
    for rows in [2, 40] {
        let scene = Scene::set(rows).await;
        let held: Vec<Value> = scene.held().await;
        assert_eq!(held.len(), rows);
        let lost = TaskId(uuid(&held[0]["taskId"]));
        let cancel = json!({"taskId": lost.0});
        scene.of(&scene.host, "cancelTask", cancel).await;
        let given = json!({"runtimeIds": scene.variables["runtimes"], "holding": held});
        scene.of(&scene.daemon, "heartbeat", given.clone()).await;
        let (answer, statements) = scene.of(&scene.daemon, "heartbeat", given).await;
        assert_eq!(answer["runtimes"].as_array().unwrap().len(), rows + 1);
        assert_eq!(answer["lost"].as_array().unwrap().len(), 1);
        taken.push(statements.len());
    }
    assert_eq!(taken[0], taken[1]);
}
