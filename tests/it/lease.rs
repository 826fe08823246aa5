//! Leases: a claim that is not started in time is taken back by its runtime's next claim, and by nobody else's.

use callboard::settings::Settings;
use entity::id::TaskId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestApp, World, claim};

#[tokio::test]
async fn an_expired_lease_is_taken_back_by_the_next_claim_of_its_own_runtime() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let other = world.second_runtime("codex").await;
    let (foreign_daemon, foreign) = world.second_daemon("desktop").await;
    let agent = world.agent(1).await;
    let task = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    let first = world.claim().await.expect("the task");
    let pinned = first.with(json!({"sessionId": "s", "workDir": "/w"}));
    world.daemon.mutate("pinTaskSession", pinned).await.unwrap();
    let before = world.host.task(task).await;

    assert_eq!(world.claim().await, None, "while the lease holds");
    app.database.expire_lease(task).await;
    assert_eq!(claim(&world.daemon, other).await, None);
    assert_eq!(claim(&foreign_daemon, foreign).await, None);
    assert_eq!(world.status(task).await, "DISPATCHED");

    let second = world.claim().await.expect("the task again");
    assert_eq!(second.task_id, task);
    assert_ne!(second.token, first.token);
    let events = [
        "QUEUED",
        "DISPATCHED",
        "SESSION_PINNED",
        "REQUEUED",
        "DISPATCHED",
    ];
    assert_eq!(world.host.events(task).await, events);
    let after = world.host.task(task).await;
    for field in ["attempt", "createdAt", "sessionId", "workDir", "priority"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    world.start(second).await;
    world.complete(second).await;
}

#[tokio::test]
async fn what_is_taken_back_and_held_back_waits_as_if_it_had_never_been_given() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    world.claim().await.expect("the task");
    app.database.expire_lease(task).await;
    app.database.archive_agent(agent).await;
    assert_eq!(world.claim().await, None);
    let task = world.host.task(task).await;
    assert_eq!(task["status"], "QUEUED");
    assert_eq!(task["dispatchedAt"], Value::Null);
    assert_eq!(task["claimExpiresAt"], Value::Null);
    assert_eq!(task["agent"]["status"], "IDLE");
    let traces = "select count(*) from agent_task_queue where claim_token is not null or claim_request_id is not null";
    assert_eq!(app.database.count(traces).await, 0);
}

#[tokio::test]
async fn a_running_task_has_no_lease_to_run_out() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let running = world.run().await;
    app.database.expire_lease(running.task_id).await;
    assert_eq!(world.claim().await, None);
    assert_eq!(world.status(running.task_id).await, "RUNNING");
}

#[tokio::test]
async fn a_task_that_nobody_ever_starts_fails_in_the_end() {
    let app = TestApp::with(Settings {
        max_deliveries: 2,
        ..Settings::default()
    })
    .await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    for delivery in 1..=2 {
        assert!(world.claim().await.is_some(), "delivery {delivery}");
        app.database.expire_lease(task).await;
    }
    assert_eq!(world.claim().await, None);
    let record = world.host.task(task).await;
    assert_eq!(record["status"], "FAILED");
    assert_eq!(record["failureReason"], "undeliverable");
    assert_ne!(record["completedAt"], Value::Null);
    assert_eq!(record["agent"]["status"], "IDLE");
    let events = world.host.events(task).await;
    assert_eq!(
        events,
        ["QUEUED", "DISPATCHED", "REQUEUED", "DISPATCHED", "FAILED"]
    );
    assert_eq!(app.database.event_count("queued").await, 1, "no retry");
}

#[tokio::test]
async fn a_claim_takes_back_a_batch_of_leases_oldest_first() {
    let app = TestApp::with(Settings {
        requeue_batch: 2,
        ..Settings::default()
    })
    .await;
    let world = World::new(&app).await;
    let agent = world.agent(4).await;
    app.database.put_many(agent, world.runtime_id, 4).await;
    let mut tasks: Vec<TaskId> = Vec::new();
    for _ in 0..4 {
        tasks.push(world.claim().await.expect("a task").task_id);
    }
    for (task, seconds) in tasks.iter().zip([10, 40, 20, 30]) {
        app.database.expire_lease_since(*task, seconds).await;
    }
    world.claim().await.expect("one of those taken back");
    for (task, requeued) in tasks.into_iter().zip([false, true, false, true]) {
        let events = world.host.events(task).await;
        assert_eq!(events.contains(&"REQUEUED".to_owned()), requeued);
    }
}

#[tokio::test]
async fn a_request_is_not_given_the_claim_that_plain_sql_has_made_after_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let request = json!({"runtimeId": world.runtime_id.0, "requestId": Uuid::new_v4()});
    let first = world.daemon.mutate("claimTask", request.clone()).await;
    assert_eq!(first.unwrap()["task"]["id"], json!(task.0));
    // As the document takes a lease back, and claims anew: it knows of no requests.
    for sql in [
        "set status = 'queued', dispatched_at = null, claim_token = null, claim_expires_at = null",
        "set status = 'dispatched', dispatched_at = now(), claim_token = gen_random_uuid(),
             claim_expires_at = now() + interval '1 minute'",
    ] {
        let sql = format!("update agent_task_queue {sql} where id = '{task}'");
        app.database.execute(&sql).await;
    }
    let again = world.daemon.mutate("claimTask", request).await.unwrap();
    assert_eq!(again, Value::Null);
    let ways = app.database.ways(task).await;
    assert_eq!(ways.len(), 3, "one event for each: {ways:?}");
}
