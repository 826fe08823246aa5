//! Completing and failing: by whoever holds the task, once, however often it is told.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Claim, TestApp, World, merge};

#[tokio::test]
async fn a_completion_keeps_what_it_does_not_give() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    let given = json!({"result": {"answer": [42]}, "sessionId": "given", "workDir": "/given"});
    for (more, session, dir) in [
        (given, "given", "/given"),
        (json!({}), "pinned", "/pinned"),
        (json!({"workDir": "/given"}), "pinned", "/given"),
    ] {
        world.enqueue(agent, json!({})).await;
        let claim = world.run().await;
        let pinned = claim.with(json!({"sessionId": "pinned", "workDir": "/pinned"}));
        world.daemon.mutate("pinTaskSession", pinned).await.unwrap();
        let completed = settle(&world, "completeTask", claim.with(more.clone())).await;
        assert_eq!(completed["status"], "COMPLETED");
        assert_ne!(completed["completedAt"], Value::Null);
        assert_eq!(completed["result"], more["result"]);
        assert_eq!(completed["sessionId"], session);
        assert_eq!(completed["workDir"], dir);
        assert_eq!(completed["error"], Value::Null);
    }
}

#[tokio::test]
async fn a_task_fails_with_a_reason_whether_it_was_started_or_not() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    for (started, reason, expected) in [
        (false, Value::Null, "agent_error"),
        (true, Value::Null, "agent_error"),
        (true, json!("iteration_limit"), "iteration_limit"),
    ] {
        world
            .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
            .await;
        let claim = world.claim().await.expect("the task");
        let pinned = claim.with(json!({"sessionId": "pinned", "workDir": "/pinned"}));
        world.daemon.mutate("pinTaskSession", pinned).await.unwrap();
        if started {
            world.start(claim).await;
        }
        let more = json!({"error": "it broke", "failureReason": reason, "sessionId": "given"});
        let failed = settle(&world, "failTask", claim.with(more)).await;
        assert_eq!(failed["status"], "FAILED");
        assert_ne!(failed["completedAt"], Value::Null);
        assert_eq!(failed["error"], "it broke");
        assert_eq!(failed["failureReason"], expected);
        assert_eq!(failed["sessionId"], "given");
        assert_eq!(failed["workDir"], "/pinned");
        assert_eq!(
            world.host.task(claim.task_id).await["agent"]["status"],
            "IDLE"
        );
    }
}

#[tokio::test]
async fn what_was_never_started_cannot_be_completed() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.claim().await.expect("the task");
    let code = world.daemon.refused("completeTask", claim.input()).await;
    assert_eq!(code, "FAILED_PRECONDITION");
    assert_eq!(world.status(claim.task_id).await, "DISPATCHED");
    world.start(claim).await;
    world.complete(claim).await;
}

#[tokio::test]
async fn telling_the_end_again_returns_the_task_as_it_is_and_says_nothing() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    for end in ["completeTask", "failTask", "cancelTask"] {
        world
            .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
            .await;
        let claim = world.run().await;
        let first = match end {
            "cancelTask" => {
                let task = json!({"taskId": claim.task_id.0});
                world.host.mutate(end, task).await.unwrap()
            }
            _ => settle(&world, end, ending(claim, end)).await,
        };
        let events = world.host.events(claim.task_id).await;
        for again in ["completeTask", "failTask", "completeTask"] {
            let other = json!({"result": "other", "sessionId": "other"});
            let mut input = ending(claim, again);
            if again == "completeTask" {
                merge(&mut input, other);
            }
            let repeated = settle(&world, again, input).await;
            assert_eq!(repeated, first, "{again} after {end}");
        }
        assert_eq!(world.host.events(claim.task_id).await, events, "{end}");
    }
}

#[tokio::test]
async fn a_claim_that_does_not_hold_ends_nothing() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (foreign, _) = world.second_daemon("desktop").await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let superseded = world.claim().await.expect("the task");
    app.database.expire_lease(task).await;
    let claim = world.claim().await.expect("the task again");
    let wrong = json!({"taskId": task.0, "claimToken": Uuid::new_v4(), "error": "e"});
    let without = json!({"taskId": task.0, "error": "e"});
    for status in ["DISPATCHED", "RUNNING"] {
        if status == "RUNNING" {
            world.start(claim).await;
        }
        for verb in ["completeTask", "failTask"] {
            for input in [ending(superseded, verb), wrong.clone(), without.clone()] {
                let mut input = input;
                if verb == "completeTask" {
                    input.as_object_mut().unwrap().remove("error");
                }
                let code = world.daemon.refused(verb, input.clone()).await;
                assert_eq!(code, "CLAIM_CONFLICT", "{verb} {status} {input}");
            }
            let input = ending(claim, verb);
            assert_eq!(foreign.refused(verb, input.clone()).await, "NOT_FOUND");
            assert_eq!(world.host.refused(verb, input).await, "FORBIDDEN");
        }
        assert_eq!(world.status(task).await, status);
    }
    let ends =
        app.database.event_count("completed").await + app.database.event_count("failed").await;
    assert_eq!(ends, 0);
}

#[tokio::test]
async fn ends_that_race_are_one_end_and_everyone_is_told_the_same() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    for (one, other) in [
        ("completeTask", "completeTask"),
        ("completeTask", "failTask"),
        ("failTask", "completeTask"),
        ("failTask", "failTask"),
        ("completeTask", "cancelTask"),
        ("cancelTask", "completeTask"),
        ("failTask", "cancelTask"),
    ] {
        world
            .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
            .await;
        let claim = world.run().await;
        let held = app.database.hold_agent(agent).await;
        let requests = [one, other].map(|verb| match verb {
            "cancelTask" => world.host.mutate(verb, json!({"taskId": claim.task_id.0})),
            _ => world.daemon.mutate(verb, ending(claim, verb)),
        });
        let answers = app.database.collide(held.commit(), requests.into()).await;
        let told: Vec<Value> = answers
            .into_iter()
            .map(|answer| task_of(answer.unwrap())["status"].clone())
            .collect();
        assert_eq!(told[0], told[1], "{one} and {other}");
        let events = world.host.events(claim.task_id).await;
        assert_eq!(events.len(), 4, "{one} and {other}: {events:?}");
        assert_eq!(told[0], *events.last().unwrap());
    }
}

#[tokio::test]
async fn an_agent_is_idle_when_its_last_two_tasks_end_at_once() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    app.database.put_many(agent, world.runtime_id, 2).await;
    let claims = [world.run().await, world.run().await];
    let held = app.database.hold_agent(agent).await;
    let requests = claims.map(|claim| world.daemon.mutate("completeTask", claim.input()));
    for answer in app.database.collide(held.commit(), requests.into()).await {
        assert_eq!(answer.unwrap()["status"], "COMPLETED");
    }
    assert_eq!(
        world.host.task(claims[0].task_id).await["agent"]["status"],
        "IDLE"
    );

    // Plain SQL locks nothing beforehand.
    app.database.put_many(agent, world.runtime_id, 2).await;
    let [one, other] = [world.run().await, world.run().await]
        .map(|claim| format!("update agent_task_queue set status = 'completed', completed_at = now() where id = '{}'", claim.task_id));
    let first = app.database.hold(&one).await;
    tokio::join!(app.database.execute(&other), async {
        app.database.until_waiting(1).await;
        first.commit().await;
    });
    assert_eq!(
        world.host.task(claims[0].task_id).await["agent"]["status"],
        "IDLE"
    );
}

#[tokio::test]
async fn what_an_agent_says_at_the_end_is_bounded_and_without_nul() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    app.database.put_many(agent, world.runtime_id, 2).await;
    let claim = world.run().await;
    let more =
        json!({"result": {"\u{0}k": "a\u{0}b"}, "sessionId": "s\u{0}", "workDir": "\u{0}/w"});
    let completed = settle(&world, "completeTask", claim.with(more)).await;
    assert_eq!(completed["result"], json!({"k": "ab"}));
    assert_eq!(
        (&completed["sessionId"], &completed["workDir"]),
        (&json!("s"), &json!("/w"))
    );

    let claim = world.run().await;
    let long = claim.with(json!({"error": "x".repeat(64 * 1024 + 1)}));
    let error = world.daemon.mutate("failTask", long).await.unwrap_err();
    assert_eq!(error.code, "BAD_USER_INPUT");
    assert!(error.message.contains("input.error"), "{}", error.message);
    let more = json!({"error": "bro\u{0}ken", "failureReason": "agent\u{0}_error"});
    let failed = settle(&world, "failTask", claim.with(more)).await;
    assert_eq!(failed["error"], "broken");
    assert_eq!(failed["failureReason"], "agent_error");
}

/// The input with which a claim's task is ended by a verb.
fn ending(claim: Claim, verb: &str) -> Value {
    match verb {
        "failTask" => claim.with(json!({"error": "it broke"})),
        _ => claim.input(),
    }
}

/// The task that a settlement answers with.
async fn settle(world: &World<'_>, verb: &str, input: Value) -> Value {
    task_of(world.daemon.mutate(verb, input).await.unwrap())
}

/// The task in an answer.
fn task_of(answer: Value) -> Value {
    match answer.get("task") {
        Some(task) => task.clone(),
        None => answer,
    }
}
