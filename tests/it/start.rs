//! Starting: within the lease, by the token that holds, once and for as often as it is asked.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Claim, TestApp, World};

#[tokio::test]
async fn a_start_uses_up_the_lease_and_keeps_the_token() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.claim().await.expect("the task");
    let started = start(&world, claim).await;
    assert_eq!(started["status"], "RUNNING");
    assert_ne!(started["startedAt"], Value::Null);
    assert_eq!(started["claimExpiresAt"], Value::Null);
    world.complete(claim).await;
}

#[tokio::test]
async fn a_start_that_is_repeated_returns_the_running_task_as_it_is() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.claim().await.expect("the task");
    let first = start(&world, claim).await;
    assert_eq!(start(&world, claim).await, first);
    assert_eq!(start(&world, claim).await, first);
    assert_eq!(app.database.event_count("running").await, 1);
}

#[tokio::test]
async fn starts_that_race_are_given_one_running_task() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let claim = world.claim().await.expect("the task");
    let held = app.database.hold_task(task).await;
    let starts = (0..4).map(|_| start(&world, claim)).collect();
    let started = app.database.collide(held.commit(), starts).await;
    assert!(
        started.iter().all(|task| *task == started[0]),
        "{started:?}"
    );
    assert_eq!(started[0]["status"], "RUNNING");
    assert_eq!(app.database.event_count("running").await, 1);
}

#[tokio::test]
async fn a_start_that_finds_its_claim_being_taken_back_conflicts() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let first = world.claim().await.expect("the task");
    // The start reads the task under a lease that holds, and waits for the transaction that takes it back.
    let take_back = "update agent_task_queue
         set status = 'queued', dispatched_at = null, claim_token = null, claim_expires_at = null";
    let held = app.database.hold(take_back).await;
    let starts = vec![world.daemon.mutate("startTask", first.input())];
    let answers = app.database.collide(held.commit(), starts).await;
    assert_eq!(answers[0].as_ref().unwrap_err().code, "CLAIM_CONFLICT");
    assert_eq!(world.claim().await.expect("the task again").task_id, task);
}

#[tokio::test]
async fn a_claim_that_does_not_hold_starts_nothing() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let id = task.0;
    let refused = async |input: Value| world.daemon.refused("startTask", input).await;
    assert_eq!(
        refused(json!({"taskId": id})).await,
        "CLAIM_CONFLICT",
        "queued"
    );

    let first = world.claim().await.expect("the task");
    let wrong = json!({"taskId": id, "claimToken": Uuid::new_v4()});
    assert_eq!(
        refused(wrong.clone()).await,
        "CLAIM_CONFLICT",
        "wrong token"
    );
    assert_eq!(
        refused(json!({"taskId": id})).await,
        "CLAIM_CONFLICT",
        "no token"
    );
    app.database.expire_lease(task).await;
    assert_eq!(
        refused(first.input()).await,
        "CLAIM_CONFLICT",
        "expired lease"
    );
    assert_eq!(world.status(task).await, "DISPATCHED");

    let second = world.claim().await.expect("the task again");
    assert_eq!(refused(first.input()).await, "CLAIM_CONFLICT", "superseded");
    start(&world, second).await;
    assert_eq!(
        refused(first.input()).await,
        "CLAIM_CONFLICT",
        "superseded, running"
    );
    assert_eq!(
        refused(wrong).await,
        "CLAIM_CONFLICT",
        "wrong token, running"
    );
    assert_eq!(
        refused(json!({"taskId": id})).await,
        "CLAIM_CONFLICT",
        "no token, running"
    );
    assert_eq!(app.database.event_count("running").await, 1);

    world.complete(second).await;
    assert_eq!(refused(second.input()).await, "CLAIM_CONFLICT", "completed");
    assert_eq!(world.status(task).await, "COMPLETED");
}

#[tokio::test]
async fn a_token_that_is_none_is_bad_input() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    world.claim().await.expect("the task");
    for token in ["", "token", "0190f3c2-7b1a-7c3e-9d5f"] {
        let input = json!({"taskId": task.0, "claimToken": token});
        let error = world.daemon.mutate("startTask", input).await.unwrap_err();
        assert_eq!(error.code, "BAD_USER_INPUT", "{token}");
        assert!(error.message.contains("claimToken"), "{}", error.message);
    }
    assert_eq!(world.status(task).await, "DISPATCHED");
}

#[tokio::test]
async fn without_a_token_starts_what_was_dispatched_without_one() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    app.database.dispatch_without_token(task).await;
    let made_up = json!({"taskId": task.0, "claimToken": Uuid::new_v4()});
    assert_eq!(
        world.daemon.refused("startTask", made_up.clone()).await,
        "CLAIM_CONFLICT"
    );
    let input = json!({"taskId": task.0});
    let started = world
        .daemon
        .mutate("startTask", input.clone())
        .await
        .unwrap();
    assert_eq!(started["status"], "RUNNING");
    assert_eq!(
        world.daemon.refused("completeTask", made_up).await,
        "CLAIM_CONFLICT"
    );
    let completed = world.daemon.mutate("completeTask", input).await.unwrap();
    assert_eq!(completed["status"], "COMPLETED");
}

#[tokio::test]
async fn a_task_is_started_by_its_runtime_s_daemon_alone() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (foreign, _) = world.second_daemon("desktop").await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.claim().await.expect("the task");
    assert_eq!(
        foreign.refused("startTask", claim.input()).await,
        "NOT_FOUND"
    );
    assert_eq!(
        world.host.refused("startTask", claim.input()).await,
        "FORBIDDEN"
    );
    let nothing = json!({"taskId": Uuid::new_v4(), "claimToken": claim.token.0});
    assert_eq!(
        world.daemon.refused("startTask", nothing).await,
        "NOT_FOUND"
    );
    assert_eq!(world.status(claim.task_id).await, "DISPATCHED");
}

#[tokio::test]
async fn a_task_that_is_cancelled_while_it_is_started_is_cancelled() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let claim = world.claim().await.expect("the task");
    let held = app.database.hold_task(task).await;
    let requests = vec![
        world.daemon.mutate("startTask", claim.input()),
        world.host.mutate("cancelTask", json!({"taskId": task.0})),
    ];
    let answers = app.database.collide(held.commit(), requests).await;
    let [started, cancelled] = answers.try_into().unwrap();
    assert_eq!(cancelled.unwrap()["status"], "CANCELLED");
    match started {
        Ok(started) => assert_eq!(started["status"], "RUNNING"),
        Err(error) => assert_eq!(error.code, "CLAIM_CONFLICT"),
    }
    assert_eq!(world.status(task).await, "CANCELLED");
}

/// Starts a claimed task.
async fn start(world: &World<'_>, claim: Claim) -> Value {
    world
        .daemon
        .mutate("startTask", claim.input())
        .await
        .unwrap()
}
