//! The path of a task, from the board to its end.

use serde_json::json;
use uuid::Uuid;

use crate::harness::{TestApp, World};

#[tokio::test]
async fn a_task_goes_from_the_board_to_its_end() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent_id = world.agent(1).await;
    let task_id = world
        .enqueue(
            agent_id,
            json!({"issueId": Uuid::new_v4(), "context": {"prompt": "do"}}),
        )
        .await;
    assert_eq!(world.status(task_id).await, "QUEUED");

    let claim = world.claim().await.expect("the task");
    assert_eq!(claim.task_id, task_id);
    assert_eq!(world.status(task_id).await, "DISPATCHED");

    let started = world.start(claim).await;
    assert_eq!(started["status"], "RUNNING");
    let completed = world.complete(claim).await;
    assert_eq!(completed["status"], "COMPLETED");

    let document = "query($id: UUID!) { task(id: $id) { events { kind fromStatus toStatus } agent { status } } }";
    let data = world.host.data(document, json!({"id": task_id.0})).await;
    assert_eq!(
        data["task"],
        json!({
            "events": [
                {"kind": "QUEUED", "fromStatus": null, "toStatus": "QUEUED"},
                {"kind": "DISPATCHED", "fromStatus": "QUEUED", "toStatus": "DISPATCHED"},
                {"kind": "RUNNING", "fromStatus": "DISPATCHED", "toStatus": "RUNNING"},
                {"kind": "COMPLETED", "fromStatus": "RUNNING", "toStatus": "COMPLETED"},
            ],
            "agent": {"status": "IDLE"},
        })
    );
}

#[tokio::test]
async fn every_change_is_seen_live_once_and_in_order() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent_id = world.agent(1).await;
    let document =
        "subscription($id: UUID!) { taskEvents(workspaceId: $id) { kind cursor task { id } } }";
    let mut events = world
        .host
        .subscribe(document, json!({"id": world.workspace_id.0}))
        .await;
    let snapshot = "query($id: UUID!) { workspace(id: $id) { snapshot { cursor } } }";
    world
        .host
        .data(snapshot, json!({"id": world.workspace_id.0}))
        .await;

    let task_id = world.enqueue(agent_id, json!({})).await;
    let claim = world.run().await;
    world.complete(claim).await;

    let mut last = String::new();
    for kind in ["QUEUED", "DISPATCHED", "RUNNING", "COMPLETED"] {
        let event = events.next().await["taskEvents"].clone();
        assert_eq!(event["kind"], kind);
        assert_eq!(event["task"]["id"], json!(task_id.0));
        let cursor = event["cursor"].as_str().unwrap().to_owned();
        assert!(cursor > last, "{cursor} comes after {last}");
        last = cursor;
    }
}
