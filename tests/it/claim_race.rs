//! Claims at once: whatever the moment, capacity and serialisation hold, and nothing is given twice.

use entity::id::TaskId;
use futures::FutureExt;
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{Claim, Held, TestApp, World, claim};

#[tokio::test]
async fn two_claims_of_one_chat_session_dispatch_one() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    for more in [json!({"chatSessionId": Uuid::new_v4()}), json!({})] {
        let agent = world.agent(9).await;
        for _ in 0..2 {
            world.enqueue(agent, more.clone()).await;
        }
        let held = app.database.hold_agent(agent).await;
        let claims = (0..2).map(|_| world.claim()).collect();
        let claims = app.database.collide(held.commit(), claims).await;
        assert_eq!(claims.iter().flatten().count(), 1, "{more}");
        world
            .host
            .mutate(
                "cancelTask",
                json!({"taskId": claims.iter().flatten().next().unwrap().task_id.0}),
            )
            .await
            .unwrap();
        world.run().await;
    }
}

#[tokio::test]
async fn an_issue_s_successor_is_not_given_beside_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    let issue = json!({"issueId": Uuid::new_v4()});
    world.enqueue(agent, issue.clone()).await;
    let running = world.run().await;
    world.enqueue(agent, issue).await;
    let held = app.database.hold_agent(agent).await;
    let completion = world.daemon.mutate("completeTask", running.input());
    let (completed, ()) = tokio::join!(completion, async {
        app.database.until_waiting(1).await;
        // Nothing is claimable until the completion is through.
        assert_eq!(world.claim().await, None);
        held.commit().await;
    });
    assert_eq!(completed.unwrap()["status"], "COMPLETED");
    assert!(world.claim().await.is_some());
}

#[tokio::test]
async fn thirty_two_claims_on_as_many_runtimes_never_overshoot_an_agent() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (second, third, fourth) = (
        app.second_server().await,
        app.second_server().await,
        app.second_server().await,
    );
    let servers = [app.address(), second.address, third.address, fourth.address];
    let mut daemons = Vec::new();
    for number in 0..32 {
        let (client, runtime) = world.second_daemon(&format!("daemon-{number}")).await;
        daemons.push((client.at(servers[number % servers.len()]), runtime));
    }
    for capacity in [1, 5] {
        let agent = world.agent(capacity).await;
        for (_, runtime) in &daemons {
            app.database.put_many(agent, *runtime, 2).await;
        }
        // Every claim has found the agent free when the first of them takes something.
        let held = app.database.hold_agent(agent).await;
        let claims = daemons
            .iter()
            .map(|(client, runtime)| claim(client, *runtime));
        let claims = app.database.collide(held.commit(), claims.collect()).await;
        let given = claims.iter().flatten().count();
        assert_eq!(i32::try_from(given).unwrap(), capacity);
        assert_eq!(
            app.database.task_count("dispatched").await,
            i64::from(capacity)
        );
        app.database
            .execute("update agent_task_queue set status = 'cancelled', completed_at = now() where completed_at is null")
            .await;
    }
}

#[tokio::test]
async fn a_claim_repeated_while_it_is_under_way_is_the_same() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    app.database.put_many(agent, world.runtime_id, 4).await;
    let input = json!({"runtimeId": world.runtime_id.0, "requestId": Uuid::new_v4()});
    let held = app.database.hold_agent(agent).await;
    let requests = (0..4).map(|_| world.daemon.mutate("claimTask", input.clone()));
    let answers = app
        .database
        .collide(held.commit(), requests.collect())
        .await;
    let claims: Vec<Claim> = answers.iter().flatten().map(Claim::of).collect();
    assert_eq!(claims, [claims[0]; 4]);
    assert_eq!(app.database.event_count("dispatched").await, 1);
}

#[tokio::test]
async fn claims_that_find_one_expired_lease_take_it_back_once() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    let task = world.enqueue(agent, json!({})).await;
    world.claim().await.expect("the task");
    app.database.expire_lease(task).await;
    let held = app.database.hold_agent(agent).await;
    let claims = (0..4).map(|_| world.claim()).collect();
    let claims = app.database.collide(held.commit(), claims).await;
    assert_eq!(claims.iter().flatten().count(), 1);
    let events = ["QUEUED", "DISPATCHED", "REQUEUED", "DISPATCHED"];
    assert_eq!(world.host.events(task).await, events);
}

#[tokio::test]
async fn a_task_that_is_cancelled_while_it_is_claimed_is_cancelled() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let held = app.database.hold_agent(agent).await;
    let requests = vec![
        world
            .daemon
            .mutate("claimTask", json!({"runtimeId": world.runtime_id.0})),
        world.host.mutate("cancelTask", json!({"taskId": task.0})),
    ];
    let answers = app.database.collide(held.commit(), requests).await;
    let [claimed, cancelled] = answers.try_into().unwrap();
    assert_eq!(cancelled.unwrap()["status"], "CANCELLED");
    assert_eq!(world.status(task).await, "CANCELLED");
    // Whichever came first; a claim that did is told so when it starts.
    let claimed = claimed.unwrap();
    if !claimed.is_null() {
        let input = Claim::of(&claimed).input();
        assert_eq!(
            world.daemon.refused("startTask", input).await,
            "CLAIM_CONFLICT"
        );
    }
}

#[tokio::test]
async fn claims_that_pass_over_each_other_s_agents_do_not_wait_in_a_circle() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let other_runtime = world.second_runtime("codex").await;
    let (one, other) = (world.agent(9).await, world.agent(9).await);
    // Each runtime has a task of both agents, and prefers another of them; the task that it prefers goes away while
    // its claim waits for the agent.
    let (mut preferred, mut rest) = (Vec::new(), Vec::new());
    for (runtime, first, second) in [(world.runtime_id, one, other), (other_runtime, other, one)] {
        for (agent, priority, tasks) in [(first, 1, &mut preferred), (second, 0, &mut rest)] {
            app.database.move_agent(agent, runtime).await;
            tasks.push(
                world
                    .enqueue(
                        agent,
                        json!({"issueId": Uuid::new_v4(), "priority": priority}),
                    )
                    .await,
            );
        }
    }
    let mut held = Vec::new();
    for (agent, task) in [one, other].into_iter().zip(preferred) {
        let holding = app.database.hold_agent(agent).await;
        holding
            .execute(&format!("update agent_task_queue set status = 'cancelled', completed_at = now() where id = '{task}'"))
            .await;
        held.push(holding);
    }
    let claims = vec![
        claim(&world.daemon, world.runtime_id),
        claim(&world.daemon, other_runtime),
    ];
    let claims = app
        .database
        .collide(
            join_all(held.into_iter().map(Held::commit)).map(drop),
            claims,
        )
        .await;
    let given: Vec<TaskId> = claims.iter().flatten().map(|claim| claim.task_id).collect();
    assert_eq!(given, rest);
}

#[tokio::test]
async fn claims_that_take_back_each_other_s_agents_do_not_wait_in_a_circle() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let other_runtime = world.second_runtime("codex").await;
    let (one, other) = (world.agent(9).await, world.agent(9).await);
    // Each runtime has an expired lease of one agent, and prefers a task of the other.
    let mut preferred = Vec::new();
    for (runtime, expired, next) in [(world.runtime_id, one, other), (other_runtime, other, one)] {
        app.database.move_agent(expired, runtime).await;
        app.database.move_agent(next, runtime).await;
        let task = world
            .enqueue(expired, json!({"issueId": Uuid::new_v4()}))
            .await;
        claim(&world.daemon, runtime).await.expect("the task");
        app.database.expire_lease(task).await;
        preferred.push(
            world
                .enqueue(next, json!({"issueId": Uuid::new_v4(), "priority": 1}))
                .await,
        );
    }
    // Both have locked the agents of what they take back when they go on.
    let held = app.database.hold_event_log().await;
    let claims = vec![
        claim(&world.daemon, world.runtime_id),
        claim(&world.daemon, other_runtime),
    ];
    let claims = app.database.collide(held.commit(), claims).await;
    let given: Vec<TaskId> = claims.iter().flatten().map(|claim| claim.task_id).collect();
    assert_eq!(given, preferred);
    assert_eq!(app.database.event_count("requeued").await, 2);
}
