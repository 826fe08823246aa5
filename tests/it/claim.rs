//! Claiming, one at a time: what is given, in which order, and what is held back.

use std::time::Duration;

use callboard::settings::Settings;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Claim, TestApp, World, claim};

#[tokio::test]
async fn a_claim_carries_what_its_daemon_needs() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let more = json!({
        "name": "coder", "instructions": "be kind", "model": "opus", "runtimeConfig": {"a": 1},
        "customArgs": ["-v"], "customEnv": {"KEY": "secret"}, "mcpConfig": {"servers": []},
    });
    let agent = world
        .agent_of(&world.host, world.runtime_id, more.clone())
        .await;
    let task = world.enqueue(agent, json!({})).await;
    let input = json!({"runtimeId": world.runtime_id.0});
    let answer = world.daemon.mutate("claimTask", input).await.unwrap();
    assert_eq!(answer["task"]["id"], json!(task.0));
    assert_eq!(answer["task"]["status"], "DISPATCHED");
    assert_ne!(answer["task"]["dispatchedAt"], Value::Null);
    assert_eq!(answer["task"]["claimExpiresAt"], answer["leaseExpiresAt"]);
    assert_eq!(answer["resume"], Value::Null);
    for (field, value) in more.as_object().unwrap() {
        assert_eq!(&answer["agent"][field], value, "{field}");
    }
    let leases = "select count(*) from agent_task_queue where claim_expires_at = dispatched_at + interval '60 s'";
    assert_eq!(app.database.count(leases).await, 1);
}

#[tokio::test]
async fn the_best_goes_first_by_priority_then_age_then_id() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (one, other) = (world.agent(9).await, world.agent(9).await);
    let mut expected = Vec::new();
    // In the order of claiming; enqueued the other way round, so that the ids say the opposite.
    let order = [
        (9, 50, one),
        (1, 10, one),
        (1, 15, other),
        (1, 20, one),
        (0, 1, other),
        (0, 2, other),
    ];
    for (priority, second, agent) in order.into_iter().rev() {
        let more = json!({"issueId": Uuid::new_v4(), "priority": priority});
        let task = world.enqueue(agent, more).await;
        app.database.put_on_board_at(task, second).await;
        expected.insert(0, task);
    }
    let mut twins = Vec::new();
    for agent in [one, other, one] {
        let more = json!({"issueId": Uuid::new_v4()});
        let task = world.enqueue(agent, more).await;
        app.database.put_on_board_at(task, 3).await;
        twins.push(task);
    }
    twins.sort_unstable();
    expected.extend(twins);
    for task in expected {
        assert_eq!(world.claim().await.expect("a task").task_id, task);
    }
    assert_eq!(world.claim().await, None);
}

#[tokio::test]
async fn what_is_serialised_waits_and_holds_nobody_up() {
    let (issue, chat, run) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    let bare = json!({});
    let of_issue = json!({"issueId": issue});
    let of_chat = json!({"chatSessionId": chat});
    let of_run = json!({"autopilotRunId": run});
    let of_both = json!({"issueId": Uuid::new_v4(), "chatSessionId": chat});
    let app = TestApp::start().await;
    for (active, waiting, serialised) in [
        (&of_issue, &of_issue, true),
        (&of_chat, &of_chat, true),
        (&bare, &bare, true),
        (&of_both, &of_chat, true),
        (&of_chat, &of_both, true),
        (&of_run, &of_run, false),
        (&of_run, &bare, false),
        (&bare, &of_run, false),
        (&of_issue, &bare, false),
        (&bare, &of_issue, false),
        (&of_chat, &bare, false),
        (&of_chat, &of_issue, false),
        (&of_issue, &of_both, false),
    ] {
        let world = World::new(&app).await;
        let agent = world.agent(9).await;
        world.enqueue(agent, active.clone()).await;
        let first = world.run().await;
        let mut head = waiting.clone();
        head["priority"] = json!(9);
        let head = world.enqueue(agent, head).await;
        let other = json!({"issueId": Uuid::new_v4()});
        let behind = world.enqueue(agent, other).await;
        let next = world.claim().await.expect("one of the two").task_id;
        let expected = if serialised { behind } else { head };
        assert_eq!(next, expected, "{waiting} while {active} is active");
        if serialised {
            assert_eq!(world.claim().await, None);
            world.complete(first).await;
            assert_eq!(world.claim().await.expect("the head").task_id, head);
        }
    }
}

#[tokio::test]
async fn agents_work_on_one_issue_and_in_one_chat_in_parallel() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    for more in [
        json!({"issueId": Uuid::new_v4()}),
        json!({"chatSessionId": Uuid::new_v4()}),
        json!({}),
    ] {
        let (one, other) = (world.agent(1).await, world.agent(1).await);
        for agent in [one, other] {
            world.enqueue(agent, more.clone()).await;
            assert!(world.claim().await.is_some(), "{more}");
        }
    }
}

#[tokio::test]
async fn an_agent_at_capacity_holds_nobody_up() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (busy, idle) = (world.agent(2).await, world.agent(1).await);
    for _ in 0..3 {
        let more = json!({"issueId": Uuid::new_v4(), "priority": 5});
        world.enqueue(busy, more).await;
    }
    let other = world.enqueue(idle, json!({})).await;
    // One dispatched, one running: both count.
    let running = world.run().await;
    world.claim().await.expect("the second");
    assert_eq!(world.claim().await.expect("the other").task_id, other);
    assert_eq!(world.claim().await, None);
    world.complete(running).await;
    assert!(world.claim().await.is_some());

    let six = world
        .agent_of(&world.host, world.runtime_id, json!({}))
        .await;
    app.database.put_many(six, world.runtime_id, 7).await;
    let mut claimed = 0;
    while world.claim().await.is_some() {
        claimed += 1;
    }
    assert_eq!(claimed, 6, "the default capacity");
}

#[tokio::test]
async fn a_runtime_is_given_its_own_tasks_of_agents_that_are_there() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let other = world.second_runtime("codex").await;
    let (foreign_daemon, foreign) = world.second_daemon("desktop").await;
    let (agent, archived) = (world.agent(1).await, world.agent(1).await);
    let task = world.enqueue(agent, json!({})).await;
    world.enqueue(archived, json!({"priority": 1})).await;
    app.database.archive_agent(archived).await;

    assert_eq!(claim(&world.daemon, other).await, None);
    assert_eq!(claim(&foreign_daemon, foreign).await, None);
    let input = json!({"runtimeId": world.runtime_id.0});
    assert_eq!(
        foreign_daemon.refused("claimTask", input.clone()).await,
        "NOT_FOUND"
    );
    assert_eq!(
        world.host.refused("claimTask", input.clone()).await,
        "FORBIDDEN"
    );
    let nowhere = json!({"runtimeId": Uuid::new_v4()});
    assert_eq!(
        world.daemon.refused("claimTask", nowhere).await,
        "NOT_FOUND"
    );

    let only = json!({"runtimeId": world.runtime_id.0, "agentId": archived.0});
    assert_eq!(
        world.daemon.mutate("claimTask", only).await.unwrap(),
        Value::Null
    );
    let only = json!({"runtimeId": world.runtime_id.0, "agentId": agent.0});
    let answer = world.daemon.mutate("claimTask", only).await.unwrap();
    assert_eq!(Claim::of(&answer).task_id, task);
    assert_eq!(world.claim().await, None);
}

#[tokio::test]
async fn a_claim_that_finds_nothing_writes_and_locks_nothing() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    world.claim().await.expect("the only task");
    world.enqueue(agent, json!({})).await;
    // Plain reads pass this lock; a write or a row lock would wait for it until its statement is given up.
    let held = app
        .database
        .hold("lock table agent, agent_runtime, agent_task_queue in exclusive mode")
        .await;
    assert_eq!(world.claim().await, None);
    held.roll_back().await;
}

#[tokio::test]
async fn a_repeated_request_is_given_what_it_holds() {
    let app = TestApp::with(Settings {
        claim_lease: Duration::from_mins(2),
        ..Settings::default()
    })
    .await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    app.database.put_many(agent, world.runtime_id, 3).await;
    let request = |id: Uuid| json!({"runtimeId": world.runtime_id.0, "requestId": id});
    let (first_id, second_id) = (Uuid::new_v4(), Uuid::new_v4());
    let ask = async |id| Claim::of(&world.daemon.mutate("claimTask", request(id)).await.unwrap());

    let first = ask(first_id).await;
    assert_eq!(ask(first_id).await, first);
    let second = ask(second_id).await;
    assert_ne!(second.task_id, first.task_id);
    world.start(first).await;
    assert_eq!(ask(first_id).await, first, "while it runs");
    assert_eq!(app.database.event_count("dispatched").await, 2);

    // Another runtime that makes up the same id is given nothing of it.
    let other = world.second_runtime("codex").await;
    let stolen = json!({"runtimeId": other.0, "requestId": first_id});
    assert_eq!(
        world.daemon.mutate("claimTask", stolen).await.unwrap(),
        Value::Null
    );

    world.complete(first).await;
    let next = ask(first_id).await;
    assert_ne!(
        next.task_id, first.task_id,
        "what has ended is not given again"
    );
    app.database.expire_lease(second.task_id).await;
    let anew = ask(second_id).await;
    assert_eq!(anew.task_id, second.task_id);
    assert_ne!(
        anew.token, second.token,
        "a lease that has run out is not renewed"
    );
}
