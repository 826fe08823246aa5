//! Claims of several tasks for several runtimes, and lines in which much is held back.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Claim, TestApp, World};

#[tokio::test]
async fn one_call_claims_the_best_of_several_runtimes_in_their_order() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let other = world.second_runtime("codex").await;
    let here = world.agent(2).await;
    let there = world
        .agent_of(&world.host, other, json!({"maxConcurrentTasks": 1}))
        .await;
    let low = world
        .enqueue(here, json!({"issueId": Uuid::new_v4(), "priority": 1}))
        .await;
    let high = world
        .enqueue(there, json!({"issueId": Uuid::new_v4(), "priority": 9}))
        .await;
    let held_back = world
        .enqueue(there, json!({"issueId": Uuid::new_v4(), "priority": 8}))
        .await;
    let middle = world
        .enqueue(here, json!({"issueId": Uuid::new_v4(), "priority": 5}))
        .await;
    let beyond_capacity = world
        .enqueue(here, json!({"issueId": Uuid::new_v4()}))
        .await;

    let given = json!({"runtimeIds": [world.runtime_id.0, other.0], "max": 10});
    let claims = world
        .daemon
        .mutate("claimTasks", given.clone())
        .await
        .unwrap();
    let tasks: Vec<_> = claims
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| Claim::of(claim).task_id)
        .collect();
    assert_eq!(tasks, [high, middle, low]);
    assert_eq!(world.status(held_back).await, "QUEUED");
    assert_eq!(world.status(beyond_capacity).await, "QUEUED");
    assert_eq!(
        world.daemon.mutate("claimTasks", given).await.unwrap(),
        json!([])
    );
}

#[tokio::test]
async fn the_same_request_again_gets_the_same_claims() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(6).await;
    app.database.put_many(agent, world.runtime_id, 4).await;
    let given = json!({"runtimeIds": [world.runtime_id.0], "max": 3, "requestId": Uuid::new_v4()});
    let (first, second) = tokio::join!(
        world.daemon.mutate("claimTasks", given.clone()),
        world.daemon.mutate("claimTasks", given.clone())
    );
    let tokens = |claims: Value| {
        let mut tokens: Vec<_> = claims
            .as_array()
            .unwrap()
            .iter()
            .map(|claim| claim["claimToken"].to_string())
            .collect();
        tokens.sort();
        tokens
    };
    let first = tokens(first.unwrap());
    assert_eq!(first.len(), 3);
    assert_eq!(first, tokens(second.unwrap()));
    assert_eq!(app.database.task_count("dispatched").await, 3);
}

#[tokio::test]
async fn a_bad_claim_of_many_is_refused() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    for max in [0, -1, 101] {
        let given = json!({"runtimeIds": [world.runtime_id.0], "max": max});
        assert_eq!(
            world.daemon.refused("claimTasks", given).await,
            "BAD_USER_INPUT"
        );
    }
    let (_, foreign) = world.second_daemon("desktop").await;
    let given = json!({"runtimeIds": [world.runtime_id.0, foreign.0]});
    assert_eq!(world.daemon.refused("claimTasks", given).await, "NOT_FOUND");
}

#[tokio::test]
async fn what_is_free_is_found_behind_any_number_of_tasks_that_are_not() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    let chat = Uuid::new_v4();
    // One of a chat session and one without a link run; hundreds of each wait at the head of the line.
    world
        .enqueue(agent, json!({"chatSessionId": chat, "priority": 9}))
        .await;
    world.enqueue(agent, json!({"priority": 9})).await;
    world.run().await;
    world.run().await;
    app.database
        .execute(&format!(
            "insert into agent_task_queue (agent_id, runtime_id, chat_session_id, priority)
             select '{agent}', '{}', case when i % 2 = 0 then '{chat}'::uuid end, 5 from generate_series(1, 600) as i",
            world.runtime_id
        ))
        .await;
    assert_eq!(world.claim().await, None);

    let run = world
        .enqueue(agent, json!({"autopilotRunId": Uuid::new_v4()}))
        .await;
    let issue = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4(), "priority": 1}))
        .await;
    let other_chat = world
        .enqueue(
            agent,
            json!({"chatSessionId": Uuid::new_v4(), "priority": 2}),
        )
        .await;
    let claimed = [
        world.claim().await,
        world.claim().await,
        world.claim().await,
    ];
    assert_eq!(
        claimed.map(|claim| claim.unwrap().task_id),
        [other_chat, issue, run]
    );
    assert_eq!(world.claim().await, None);
}

#[tokio::test]
async fn a_runtime_that_is_off_line_is_given_nothing_until_it_is_heard_of() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    world
        .daemon
        .mutate("deregisterRuntime", json!({"id": world.runtime_id.0}))
        .await
        .unwrap();
    assert_eq!(world.claim().await, None);
    world
        .daemon
        .mutate("heartbeat", json!({"runtimeIds": [world.runtime_id.0]}))
        .await
        .unwrap();
    assert_eq!(world.claim().await.unwrap().task_id, task);
}

#[tokio::test]
async fn an_agent_that_waits_on_two_runtimes_does_not_stand_in_for_another() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let other = world.second_runtime("codex").await;
    let moved = world.agent(1).await;
    let first = world.enqueue(moved, json!({"priority": 9})).await;
    app.database.move_agent(moved, other).await;
    world.enqueue(moved, json!({"priority": 8})).await;
    let agent = world.agent(1).await;
    let second = world.enqueue(agent, json!({})).await;

    // The agent that was moved is first in both lines, and may do one task at a time.
    let given = json!({"runtimeIds": [world.runtime_id.0, other.0], "max": 2});
    let claims = world.daemon.mutate("claimTasks", given).await.unwrap();
    let claims = claims.as_array().unwrap().iter().map(Claim::of);
    let tasks: Vec<_> = claims.map(|claim| claim.task_id).collect();
    assert_eq!(tasks, [first, second]);
}

#[tokio::test]
async fn a_task_that_somebody_holds_does_not_keep_the_others_from_being_claimed() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (one, other) = (world.agent(6).await, world.agent(6).await);
    let held = world.enqueue(one, json!({"priority": 1})).await;
    let free = world.enqueue(other, json!({})).await;
    let holder = app.database.hold_task(held).await;
    let request = json!({"runtimeIds": [world.runtime_id.0], "max": 2});
    let claims = world.daemon.mutate("claimTasks", request).await.unwrap();
    let claimed: Vec<&Value> = claims
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| &claim["task"]["id"])
        .collect();
    assert_eq!(claimed, [&json!(free.0)]);
    holder.roll_back().await;
}

#[tokio::test]
async fn the_lowest_priority_that_there_is_can_be_claimed() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (busy, free) = (world.agent(1).await, world.agent(1).await);
    // So many before all others that they have to be passed over.
    app.database.put_many(busy, world.runtime_id, 40).await;
    world.run().await;
    let tasks = [world.enqueue(free, json!({})).await];
    let lowest = "update agent_task_queue set priority = -2147483648 where status = 'queued'";
    app.database.execute(lowest).await;
    let claim = world.claim().await.expect("something to claim");
    assert_eq!([claim.task_id], tasks);
}
