//! Taking tasks off the board: one, or those of an issue, whatever they are at.

use entity::id::TaskId;
use entity::member::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestApp, World, claim, uuid};

#[tokio::test]
async fn an_active_task_is_cancelled_whatever_it_is_at() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    for status in ["QUEUED", "DISPATCHED", "RUNNING"] {
        let task = world.enqueue(agent, json!({})).await;
        match status {
            "DISPATCHED" => assert!(world.claim().await.is_some()),
            "RUNNING" => assert_eq!(world.run().await.task_id, task),
            _ => {}
        }
        assert_eq!(world.status(task).await, status);
        let cancelled = cancel(&world, task).await;
        assert_eq!(cancelled["status"], "CANCELLED");
        assert_ne!(cancelled["completedAt"], Value::Null);
        assert_eq!(world.host.events(task).await.last().unwrap(), "CANCELLED");
        assert_eq!(world.host.task(task).await["agent"]["status"], "IDLE");
        assert_eq!(world.claim().await, None);
    }
}

#[tokio::test]
async fn a_task_that_has_ended_is_returned_as_it_is() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    for end in ["COMPLETED", "FAILED", "CANCELLED"] {
        let task = world.enqueue(agent, json!({})).await;
        let running = world.run().await;
        match end {
            "COMPLETED" => drop(world.complete(running).await),
            "FAILED" => drop(world.fail(running, "agent_error").await),
            _ => drop(cancel(&world, task).await),
        }
        let (record, events) = (world.host.task(task).await, world.host.events(task).await);
        assert_eq!(record["status"], end);
        cancel(&world, task).await;
        assert_eq!(world.host.task(task).await, record);
        assert_eq!(world.host.events(task).await, events);
    }
}

#[tokio::test]
async fn a_daemon_learns_of_a_cancelled_task_whatever_it_does_with_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let running = world.run().await;
    let cancelled = cancel(&world, task).await;
    for (verb, more) in [
        ("startTask", json!({})),
        ("pinTaskSession", json!({"sessionId": "s"})),
        ("reportTaskProgress", json!({"summary": "s"})),
    ] {
        let code = world.daemon.refused(verb, running.with(more)).await;
        assert_eq!(code, "CLAIM_CONFLICT", "{verb}");
    }
    let completed = running.with(json!({"result": 1, "sessionId": "s"}));
    let completed = world
        .daemon
        .mutate("completeTask", completed)
        .await
        .unwrap();
    assert_eq!(completed, cancelled);
    let beat = json!({"runtimeIds": [world.runtime_id.0], "holding": [running.input()]});
    let answer = world.daemon.mutate("heartbeat", beat).await.unwrap();
    assert_eq!(answer["lost"], json!([cancelled]));
}

#[tokio::test]
async fn cancelling_an_issue_takes_all_of_it_or_one_agent_s_and_nothing_else() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (one, other) = (world.agent(9).await, world.agent(9).await);
    let (issue, elsewhere) = (Uuid::new_v4(), Uuid::new_v4());
    let on_issue = json!({"issueId": issue});
    let done = world.enqueue(one, on_issue.clone()).await;
    let claim = world.run().await;
    world.complete(claim).await;
    let running = world.enqueue(one, on_issue.clone()).await;
    world.run().await;
    let queued = world.enqueue(one, on_issue.clone()).await;
    let others = world.enqueue(other, on_issue.clone()).await;
    world.claim().await.expect("the other's");
    let kept = [
        world.enqueue(one, json!({"issueId": elsewhere})).await,
        world.enqueue(one, json!({})).await,
    ];

    let of_one = json!({"issueId": issue, "agentId": one.0});
    assert_eq!(
        cancel_issue(&world, of_one.clone()).await,
        [running, queued]
    );
    assert_eq!(world.status(others).await, "DISPATCHED");
    assert_eq!(cancel_issue(&world, of_one).await, []);
    let successor = world.enqueue(one, on_issue.clone()).await;
    assert_eq!(
        cancel_issue(&world, on_issue.clone()).await,
        [others, successor]
    );
    assert_eq!(cancel_issue(&world, on_issue).await, []);
    assert_eq!(
        cancel_issue(&world, json!({"issueId": Uuid::new_v4()})).await,
        []
    );
    assert_eq!(world.status(done).await, "COMPLETED");
    for task in kept {
        assert_eq!(world.status(task).await, "QUEUED");
    }
    assert_eq!(app.database.event_count("cancelled").await, 4);
}

#[tokio::test]
async fn what_the_viewer_may_not_see_is_not_cancelled() {
    let app = TestApp::start().await;
    let (world, elsewhere) = (World::new(&app).await, World::new(&app).await);
    let private = world
        .agent_of(&world.host, world.runtime_id, json!({}))
        .await;
    let public = world.agent(1).await;
    let issue = Uuid::new_v4();
    let hidden = world.enqueue(private, json!({"issueId": issue})).await;
    let shown = world.enqueue(public, json!({"issueId": issue})).await;
    let one = json!({"taskId": hidden.0});
    let member = world.member(Role::Member).await;
    assert_eq!(member.refused("cancelTask", one.clone()).await, "NOT_FOUND");
    assert_eq!(
        elsewhere.host.refused("cancelTask", one.clone()).await,
        "NOT_FOUND"
    );
    assert_eq!(world.daemon.refused("cancelTask", one).await, "FORBIDDEN");
    let nothing = json!({"taskId": Uuid::new_v4()});
    assert_eq!(world.host.refused("cancelTask", nothing).await, "NOT_FOUND");

    let all = json!({"issueId": issue});
    assert_eq!(
        world.daemon.refused("cancelByIssue", all.clone()).await,
        "FORBIDDEN"
    );
    assert_eq!(
        elsewhere
            .host
            .mutate("cancelByIssue", all.clone())
            .await
            .unwrap(),
        json!([])
    );
    let cancelled = member.mutate("cancelByIssue", all).await.unwrap();
    assert_eq!(cancelled.as_array().unwrap().len(), 1);
    assert_eq!(world.status(shown).await, "CANCELLED");
    assert_eq!(world.status(hidden).await, "QUEUED");
}

#[tokio::test]
async fn cancelling_an_issue_again_and_again_while_its_agents_work_waits_for_nobody_in_a_circle() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let mut agents = Vec::new();
    for _ in 0..4 {
        agents.push(world.agent(9).await);
    }
    let issue = Uuid::new_v4();
    let put = async || {
        for _ in 0..15 {
            for agent in agents.iter().rev() {
                world.enqueue(*agent, json!({"issueId": issue})).await;
            }
        }
    };
    let cancel = async || {
        let mut cancelled = 0;
        for _ in 0..30 {
            cancelled += cancel_issue(&world, json!({"issueId": issue})).await.len();
        }
        cancelled
    };
    let work = async || {
        for _ in 0..30 {
            let Some(claim) = claim(&world.daemon, world.runtime_id).await else {
                continue;
            };
            // Whatever it was cancelled before; anything but that would be a database that gave up on a request.
            match world.daemon.mutate("startTask", claim.input()).await {
                Ok(_) => drop(world.complete(claim).await),
                Err(error) => assert_eq!(error.code, "CLAIM_CONFLICT"),
            }
        }
    };
    let ((), one, other, ..) = tokio::join!(put(), cancel(), cancel(), work(), work(), work());
    let cancelled = i64::try_from(one + other).unwrap();
    assert_eq!(app.database.event_count("cancelled").await, cancelled);
    cancel_issue(&world, json!({"issueId": issue})).await;
    assert_eq!(app.database.task_count("queued").await, 0);
}

#[tokio::test]
async fn cancels_of_an_issue_and_the_end_of_its_tasks_at_once_end_each_of_them_once() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (one, other) = (world.agent(1).await, world.agent(1).await);
    let issue = json!({"issueId": Uuid::new_v4()});
    world.enqueue(one, issue.clone()).await;
    let running = world.run().await;
    world.enqueue(other, issue.clone()).await;
    let task = json!({"taskId": running.task_id.0});
    let held = app.database.hold_agent(one).await;
    let requests = vec![
        world.daemon.mutate("completeTask", running.input()),
        world.host.mutate("cancelByIssue", issue.clone()),
        world.host.mutate("cancelByIssue", issue),
        world.host.mutate("cancelTask", task),
    ];
    let answers = app.database.collide(held.commit(), requests).await;
    let [completed, all, again, cancelled] =
        <[_; 4]>::try_from(answers).unwrap().map(Result::unwrap);
    assert_eq!(completed, cancelled);
    let named = all.as_array().unwrap().len() + again.as_array().unwrap().len();
    assert!((1..=2).contains(&named), "{all} {again}");
    let ends =
        app.database.event_count("completed").await + app.database.event_count("cancelled").await;
    assert_eq!(ends, 2);
}

/// Takes one task off the board.
async fn cancel(world: &World<'_>, task: TaskId) -> Value {
    let input = json!({"taskId": task.0});
    world.host.mutate("cancelTask", input).await.unwrap()
}

/// Takes an issue's tasks off the board, and says which.
async fn cancel_issue(world: &World<'_>, which: Value) -> Vec<TaskId> {
    let cancelled = world.host.mutate("cancelByIssue", which).await.unwrap();
    let tasks = cancelled.as_array().unwrap().iter();
    tasks
        .map(|task| {
            assert_eq!(task["status"], "CANCELLED");
            TaskId(uuid(&task["id"]))
        })
        .collect()
}
