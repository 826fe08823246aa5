//! The retry of a failed task: who earns one, what it takes over, and that the failure never depends on it.

use entity::id::TaskId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Claim, TestApp, World, uuid};

#[tokio::test]
async fn failures_that_lie_outside_the_work_are_retried_where_somebody_waits() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let id = Uuid::new_v4;
    let reasons = [
        ("runtime_offline", true),
        ("runtime_recovery", true),
        ("timeout", true),
        ("agent_error", false),
        ("queued_expired", false),
        ("iteration_limit", false),
        ("undeliverable", false),
        ("TIMEOUT", false),
    ];
    for (reason, outside) in reasons {
        for (more, somebody_waits) in [
            (json!({"issueId": id()}), true),
            (json!({"chatSessionId": id()}), true),
            (json!({"issueId": id(), "chatSessionId": id()}), true),
            (json!({"autopilotRunId": id()}), false),
            (json!({"issueId": id(), "autopilotRunId": id()}), false),
            (json!({}), false),
        ] {
            let agent = world.agent(1).await;
            world.enqueue(agent, more.clone()).await;
            let failed = world.fail(world.run().await, reason).await;
            assert_eq!(failed["task"]["status"], "FAILED");
            let retried = !failed["retry"].is_null();
            assert_eq!(retried, outside && somebody_waits, "{reason} {more}");
            if retried {
                let retry = json!({"taskId": failed["retry"]["id"]});
                world.host.mutate("cancelTask", retry).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_retry_takes_over_what_the_task_was_about_and_where_it_was() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let other = world.second_runtime("codex").await;
    let given = json!({
        "issueId": Uuid::new_v4(), "chatSessionId": Uuid::new_v4(), "priority": 3, "triggerCommentId": Uuid::new_v4(),
        "triggerSummary": "please", "context": {"prompt": "do"}, "isLeaderTask": true, "maxAttempts": 4,
        "forceFreshSession": true,
    });
    let task = world.enqueue(agent, given).await;
    let claim = world.run().await;
    app.database.move_agent(agent, other).await;
    let ending = claim.with(json!({
        "error": "gone", "failureReason": "runtime_offline", "sessionId": "session", "workDir": "/dir",
    }));
    let failed = world.daemon.mutate("failTask", ending).await.unwrap();
    let parent = world.host.task(task).await;
    let retry = world.host.task(TaskId(uuid(&failed["retry"]["id"]))).await;
    for field in [
        "agentId",
        "runtimeId",
        "issueId",
        "chatSessionId",
        "autopilotRunId",
        "priority",
        "triggerCommentId",
        "triggerSummary",
        "context",
        "sessionId",
        "workDir",
        "maxAttempts",
        "isLeaderTask",
    ] {
        assert_eq!(retry[field], parent[field], "{field}");
    }
    assert_eq!(retry["sessionId"], "session");
    assert_eq!(retry["status"], "QUEUED");
    assert_eq!(retry["attempt"], 2);
    assert_eq!(retry["parentTask"]["id"], parent["id"]);
    assert_eq!(retry["forceFreshSession"], false);
    for field in [
        "error",
        "failureReason",
        "result",
        "dispatchedAt",
        "startedAt",
        "completedAt",
    ] {
        assert_eq!(retry[field], Value::Null, "{field}");
    }
    let again = world
        .claim()
        .await
        .expect("the retry, on the runtime of its parent");
    assert_eq!(json!(again.task_id.0), retry["id"]);
}

#[tokio::test]
async fn a_chain_ends_with_its_last_attempt() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    for max_attempts in [1, 2, 3] {
        let more = json!({"issueId": Uuid::new_v4(), "maxAttempts": max_attempts});
        world.enqueue(agent, more).await;
        for attempt in 1..=max_attempts {
            let failed = world.fail(world.run().await, "timeout").await;
            let next = if attempt < max_attempts {
                json!(attempt + 1)
            } else {
                Value::Null
            };
            assert_eq!(
                failed["retry"]["attempt"], next,
                "{attempt} of {max_attempts}"
            );
        }
        assert_eq!(world.claim().await, None);
    }
}

#[tokio::test]
async fn a_failure_stands_where_its_retry_finds_the_place_taken() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let more = json!({"issueId": Uuid::new_v4()});
    world.enqueue(agent, more.clone()).await;
    let running = world.run().await;
    let successor = world.enqueue(agent, more).await;
    let failed = world.fail(running, "timeout").await;
    assert_eq!(failed["retry"], Value::Null);
    assert_eq!(world.status(running.task_id).await, "FAILED");
    assert_eq!(
        world.claim().await.expect("the successor").task_id,
        successor
    );
}

#[tokio::test]
async fn a_failure_stands_whatever_becomes_of_an_enqueue_that_is_under_way() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    for enqueue_holds in [true, false] {
        let issue = Uuid::new_v4();
        world.enqueue(agent, json!({"issueId": issue})).await;
        let running = world.run().await;
        let runtime = world.runtime_id;
        let enqueue = format!(
            "insert into agent_task_queue (agent_id, runtime_id, issue_id) values ('{agent}', '{runtime}', '{issue}')"
        );
        let held = app.database.hold(&enqueue).await;
        let (failed, ()) = tokio::join!(world.fail(running, "timeout"), async {
            app.database.until_waiting(1).await;
            if enqueue_holds {
                held.commit().await;
            } else {
                held.roll_back().await;
            }
        });
        assert_eq!(failed["task"]["status"], "FAILED");
        assert_eq!(failed["retry"].is_null(), enqueue_holds);
        let next = world.run().await;
        let retried = world.host.task(next.task_id).await["attempt"] == 2;
        assert_eq!(retried, !enqueue_holds);
        world.complete(next).await;
        assert_eq!(world.claim().await, None);
    }
}

#[tokio::test]
async fn a_failure_told_again_or_twice_at_once_is_retried_once() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    // In a chat no index stands in the way of a second retry.
    for more in [
        json!({"chatSessionId": Uuid::new_v4()}),
        json!({"issueId": Uuid::new_v4()}),
    ] {
        world.enqueue(agent, more).await;
        let running = world.run().await;
        let held = app.database.hold_agent(agent).await;
        let input = running.with(json!({"error": "gone", "failureReason": "runtime_offline"}));
        let requests = (0..2).map(|_| world.daemon.mutate("failTask", input.clone()));
        let answers = app
            .database
            .collide(held.commit(), requests.collect())
            .await;
        let answers: Vec<Value> = answers.into_iter().map(Result::unwrap).collect();
        let retries = answers.iter().filter(|answer| !answer["retry"].is_null());
        assert_eq!(retries.count(), 1, "{answers:?}");
        let again = world.fail(running, "timeout").await;
        assert_eq!(again["retry"], Value::Null);
        assert_eq!(again["task"]["failureReason"], "runtime_offline");
        assert_eq!(app.database.task_count("queued").await, 1);
        let retry: Claim = world.run().await;
        world.complete(retry).await;
    }
}
