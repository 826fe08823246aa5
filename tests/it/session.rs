//! The agent's own session: pinning it, and which one a claim goes on with.

use entity::id::{AgentId, TaskId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Claim, TestApp, World};

#[tokio::test]
async fn a_pin_keeps_what_it_does_not_give_and_says_what_changed() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let claim = world.claim().await.expect("the task");
    for (started, more, session, dir, events) in [
        (
            false,
            json!({"sessionId": "a\u{0}"}),
            json!("a"),
            Value::Null,
            1,
        ),
        (false, json!({"workDir": "/w"}), json!("a"), json!("/w"), 2),
        (
            true,
            json!({"sessionId": "b", "workDir": "/v"}),
            json!("b"),
            json!("/v"),
            3,
        ),
        (true, json!({"sessionId": "b"}), json!("b"), json!("/v"), 3),
        (true, json!({}), json!("b"), json!("/v"), 3),
    ] {
        if started {
            world.start(claim).await;
        }
        let pinned = pin(&world, claim, more).await;
        assert_eq!((&pinned["sessionId"], &pinned["workDir"]), (&session, &dir));
        assert_eq!(app.database.event_count("session_pinned").await, events);
    }
    assert_eq!(world.status(task).await, "RUNNING");
    let long = claim.with(json!({"sessionId": "x".repeat(1025)}));
    assert_eq!(
        world.daemon.refused("pinTaskSession", long).await,
        "BAD_USER_INPUT"
    );
}

#[tokio::test]
async fn a_claim_that_does_not_hold_pins_nothing() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (foreign, _) = world.second_daemon("desktop").await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let superseded = world.claim().await.expect("the task");
    app.database.expire_lease(task).await;
    let claim = world.claim().await.expect("the task again");
    let more = json!({"sessionId": "stolen"});
    let wrong = json!({"taskId": task.0, "claimToken": Uuid::new_v4(), "sessionId": "stolen"});
    let without = json!({"taskId": task.0, "sessionId": "stolen"});
    for input in [superseded.with(more.clone()), wrong, without] {
        assert_eq!(
            world.daemon.refused("pinTaskSession", input).await,
            "CLAIM_CONFLICT"
        );
    }
    assert_eq!(
        foreign
            .refused("pinTaskSession", claim.with(more.clone()))
            .await,
        "NOT_FOUND"
    );
    assert_eq!(
        world
            .host
            .refused("pinTaskSession", claim.with(more.clone()))
            .await,
        "FORBIDDEN"
    );
    world.start(claim).await;
    world.complete(claim).await;
    let code = world
        .daemon
        .refused("pinTaskSession", claim.with(more))
        .await;
    assert_eq!(code, "CLAIM_CONFLICT", "after the end");
    assert_eq!(world.host.task(task).await["sessionId"], Value::Null);
}

#[tokio::test]
async fn the_next_task_of_an_issue_goes_on_with_the_session_of_the_last() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, other) = (world.agent(1).await, world.agent(1).await);
    let issue = Uuid::new_v4();
    end(&world, agent, issue, "first", None).await;
    end(&world, agent, issue, "second", None).await;
    // One that ended without a session, and one that was taken off, hide nothing.
    let running = run(&world, agent, issue).await;
    world.complete(running).await;
    let running = run(&world, agent, issue).await;
    pin(&world, running, json!({"sessionId": "cancelled"})).await;
    world
        .host
        .mutate("cancelTask", json!({"taskId": running.task_id.0}))
        .await
        .unwrap();

    let expected =
        json!({"sessionId": "second", "workDir": "/second", "runtimeId": world.runtime_id.0});
    assert_eq!(last_session(&world, agent, issue).await, expected);
    assert_eq!(
        resumed(&world, agent, json!({"issueId": issue})).await,
        expected
    );
    let elsewhere = json!({"issueId": Uuid::new_v4()});
    assert_eq!(resumed(&world, agent, elsewhere).await, Value::Null);
    assert_eq!(
        resumed(&world, other, json!({"issueId": issue})).await,
        Value::Null
    );
    assert_eq!(resumed(&world, agent, json!({})).await, Value::Null);
}

#[tokio::test]
async fn a_session_is_resumed_on_its_own_runtime_unless_a_fresh_one_is_forced() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let issue = Uuid::new_v4();
    end(&world, agent, issue, "old", None).await;
    let fresh = json!({"issueId": issue, "forceFreshSession": true});
    assert_eq!(resumed(&world, agent, fresh).await, Value::Null);

    let other = world.second_runtime("codex").await;
    app.database.move_agent(agent, other).await;
    world.enqueue(agent, json!({"issueId": issue})).await;
    let input = json!({"runtimeId": other.0});
    let answer = world.daemon.mutate("claimTask", input).await.unwrap();
    assert_eq!(answer["resume"], Value::Null, "made elsewhere");
    let claim = Claim::of(&answer);
    world
        .host
        .mutate("cancelTask", json!({"taskId": claim.task_id.0}))
        .await
        .unwrap();

    app.database.move_agent(agent, world.runtime_id).await;
    let resumed = resumed(&world, agent, json!({"issueId": issue})).await;
    assert_eq!(resumed["sessionId"], "old", "back again");
}

#[tokio::test]
async fn a_session_that_would_poison_whoever_resumes_it_is_left_out() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    for (reason, error, poisoned) in [
        ("agent_error", "it broke", false),
        ("timeout", "task timed out", false),
        ("iteration_limit", "it broke", true),
        ("agent_fallback_message", "it broke", true),
        ("api_invalid_request", "it broke", true),
        (
            "agent_error",
            "HTTP 400 {\"type\": \"invalid_request_error\"}",
            true,
        ),
        ("agent_error", "HTTP 400", false),
        ("agent_error", "invalid_request_error", false),
    ] {
        let agent = world.agent(1).await;
        let issue = Uuid::new_v4();
        end(&world, agent, issue, "good", None).await;
        // One try, so that what is resumed is what the issue's next task is given.
        end(&world, agent, issue, "bad", Some((reason, error))).await;
        let expected = if poisoned { "good" } else { "bad" };
        let last = last_session(&world, agent, issue).await;
        assert_eq!(last["sessionId"], expected, "{reason}: {error}");
        let resumed = resumed(&world, agent, json!({"issueId": issue})).await;
        assert_eq!(resumed, last, "{reason}: {error}");
    }
}

#[tokio::test]
async fn a_retry_goes_on_with_the_session_of_the_task_that_failed() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    for more in [
        json!({"issueId": Uuid::new_v4()}),
        json!({"chatSessionId": Uuid::new_v4()}),
    ] {
        let agent = world.agent(1).await;
        world.enqueue(agent, more.clone()).await;
        let running = world.run().await;
        pin(&world, running, json!({"sessionId": "s", "workDir": "/s"})).await;
        world.fail(running, "runtime_offline").await;
        let input = json!({"runtimeId": world.runtime_id.0});
        let answer = world.daemon.mutate("claimTask", input).await.unwrap();
        let expected = json!({"sessionId": "s", "workDir": "/s", "runtimeId": world.runtime_id.0});
        assert_eq!(answer["resume"], expected, "{more}");
    }
}

#[tokio::test]
async fn a_retry_by_hand_does_not_go_on_with_a_poisoned_session() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    for by_sql in [false, true] {
        let agent = world.agent(1).await;
        let issue = Uuid::new_v4();
        let bad = Some(("iteration_limit", "it went round"));
        let failed = end(&world, agent, issue, "bad", bad).await;
        if by_sql {
            // As a host's own query does, which copies the session in any case.
            app.database
                .execute(&format!(
                    "insert into agent_task_queue (agent_id, runtime_id, issue_id, parent_task_id, session_id)
                     select agent_id, runtime_id, issue_id, id, session_id from agent_task_queue where id = '{}'",
                    failed.task_id
                ))
                .await;
        } else {
            let given = json!({"taskId": failed.task_id.0});
            let retried = world.host.mutate("retryTask", given).await.unwrap();
            assert_eq!(
                (&retried["sessionId"], &retried["workDir"]),
                (&Value::Null, &json!("/bad"))
            );
        }
        let input = json!({"runtimeId": world.runtime_id.0, "agentId": agent.0});
        let answer = world.daemon.mutate("claimTask", input).await.unwrap();
        assert_eq!(answer["resume"], Value::Null, "by SQL: {by_sql}");
    }
}

/// Notes a session.
async fn pin(world: &World<'_>, claim: Claim, more: Value) -> Value {
    let input = claim.with(more);
    world.daemon.mutate("pinTaskSession", input).await.unwrap()
}

/// Runs the agent's next task on an issue.
async fn run(world: &World<'_>, agent: AgentId, issue: Uuid) -> Claim {
    let more = json!({"issueId": issue, "maxAttempts": 1});
    let task: TaskId = world.enqueue(agent, more).await;
    let claim = world.run().await;
    assert_eq!(claim.task_id, task);
    claim
}

/// Runs a task to its end: with a session, and with a failure if there is one.
async fn end(
    world: &World<'_>,
    agent: AgentId,
    issue: Uuid,
    session: &str,
    failure: Option<(&str, &str)>,
) -> Claim {
    let claim = run(world, agent, issue).await;
    let more = json!({"sessionId": session, "workDir": format!("/{session}")});
    let mut input = claim.with(more);
    let verb = match failure {
        None => "completeTask",
        Some((reason, error)) => {
            input["failureReason"] = json!(reason);
            input["error"] = json!(error);
            "failTask"
        }
    };
    world.daemon.mutate(verb, input).await.unwrap();
    claim
}

/// What a new task of the agent goes on with when it is claimed; it is taken off again.
async fn resumed(world: &World<'_>, agent: AgentId, more: Value) -> Value {
    world.enqueue(agent, more).await;
    let input = json!({"runtimeId": world.runtime_id.0, "agentId": agent.0});
    let answer = world.daemon.mutate("claimTask", input).await.unwrap();
    let task = json!({"taskId": answer["task"]["id"]});
    world.host.mutate("cancelTask", task).await.unwrap();
    answer["resume"].clone()
}

/// What an issue says that the agent's next task would go on with.
async fn last_session(world: &World<'_>, agent: AgentId, issue: Uuid) -> Value {
    let document = "query($issue: UUID!, $agent: UUID!) {
        issue(id: $issue) { lastSession(agentId: $agent) { sessionId workDir runtimeId } } }";
    let variables = json!({"issue": issue, "agent": agent.0});
    world.host.data(document, variables).await["issue"]["lastSession"].clone()
}

#[tokio::test]
async fn a_claim_that_waited_goes_on_with_the_session_that_it_waited_for() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    let issue = json!({"issueId": Uuid::new_v4(), "priority": 9});
    world.enqueue(agent, issue.clone()).await;
    let running = world.run().await;
    let successor = world.enqueue(agent, issue).await;
    world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    // The claim is for the other issue's task, until it has waited.
    let held = app.database.hold_agent(agent).await;
    let (claim, ()) = tokio::join!(
        world
            .daemon
            .mutate("claimTask", json!({"runtimeId": world.runtime_id.0})),
        async {
            app.database.until_waiting(1).await;
            held.execute(&format!(
                "update agent_task_queue set status = 'completed', completed_at = now(), session_id = 'newest'
                 where id = '{}'",
                running.task_id
            ))
            .await;
            held.commit().await;
        }
    );
    let claim = claim.unwrap();
    assert_eq!(claim["task"]["id"], json!(successor.0));
    assert_eq!(claim["resume"]["sessionId"], "newest");
}
