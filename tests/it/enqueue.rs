//! Putting work on the board: what a task is then, and when there is one already.

use entity::id::AgentId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestApp, World};

#[tokio::test]
async fn a_task_is_queued_with_what_it_was_given() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let given = json!({
        "issueId": Uuid::new_v4(), "chatSessionId": Uuid::new_v4(), "autopilotRunId": Uuid::new_v4(),
        "priority": 7, "triggerCommentId": Uuid::new_v4(), "triggerSummary": "please", "context": {"prompt": ["do"]},
        "forceFreshSession": true, "isLeaderTask": true, "maxAttempts": 5,
    });
    let task = world
        .host
        .task(world.enqueue(agent, given.clone()).await)
        .await;
    for (field, value) in given.as_object().unwrap() {
        assert_eq!(&task[field], value, "{field}");
    }
    assert_eq!(task["status"], "QUEUED");
    assert_eq!(task["attempt"], 1);
    assert_eq!(task["runtimeId"], json!(world.runtime_id.0));
    for field in ["dispatchedAt", "startedAt", "completedAt", "claimExpiresAt"] {
        assert_eq!(task[field], Value::Null, "{field}");
    }

    let plain = world.host.task(world.enqueue(agent, json!({})).await).await;
    assert_eq!(plain["priority"], 0);
    assert_eq!(plain["maxAttempts"], 2);
    assert_eq!(plain["forceFreshSession"], false);
}

#[tokio::test]
async fn a_task_keeps_the_runtime_that_its_agent_had() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    let other = world.second_runtime("codex").await;
    let before = world.enqueue(agent, json!({})).await;
    app.database.move_agent(agent, other).await;
    let after = world.enqueue(agent, json!({})).await;
    assert_eq!(
        world.host.task(before).await["runtimeId"],
        json!(world.runtime_id.0)
    );
    assert_eq!(world.host.task(after).await["runtimeId"], json!(other.0));
    assert_eq!(world.claim().await.expect("the first").task_id, before);
}

#[tokio::test]
async fn an_issue_and_agent_have_one_task_that_waits_and_one_that_runs() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(4).await;
    let input = json!({"agentId": agent.0, "issueId": Uuid::new_v4(), "triggerSummary": "first"});
    let again =
        json!({"agentId": agent.0, "issueId": input["issueId"], "triggerSummary": "second"});
    let first = enqueue(&world, &input).await;
    assert_eq!(first["deduplicated"], false);
    // While it is queued, and while it is dispatched.
    for status in ["QUEUED", "DISPATCHED"] {
        let answer = enqueue(&world, &again).await;
        assert_eq!(answer["deduplicated"], true);
        assert_eq!(answer["task"]["id"], first["task"]["id"]);
        assert_eq!(answer["task"]["status"], status);
        if status == "QUEUED" {
            world.claim().await.expect("the first");
        }
    }
    assert_eq!(app.database.event_count("queued").await, 1);

    app.database
        .execute("update agent_task_queue set status = 'running', started_at = now()")
        .await;
    let successor = enqueue(&world, &again).await;
    assert_eq!(successor["deduplicated"], false);
    let third = enqueue(&world, &again).await;
    assert_eq!(third["deduplicated"], true);
    assert_eq!(third["task"]["id"], successor["task"]["id"]);

    for ended in ["completed", "failed", "cancelled"] {
        app.database
            .execute(&format!(
                "update agent_task_queue set status = '{ended}', completed_at = now() where status = 'queued'"
            ))
            .await;
        assert_eq!(
            enqueue(&world, &again).await["deduplicated"],
            false,
            "{ended}"
        );
    }
}

#[tokio::test]
async fn other_issues_other_agents_and_tasks_without_an_issue_are_never_the_same() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (one, other) = (world.agent(1).await, world.agent(1).await);
    let (issue, chat, run) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    for input in [
        json!({"agentId": one.0, "issueId": issue}),
        json!({"agentId": other.0, "issueId": issue}),
        json!({"agentId": one.0, "issueId": Uuid::new_v4()}),
        json!({"agentId": one.0, "chatSessionId": chat}),
        json!({"agentId": one.0, "chatSessionId": chat}),
        json!({"agentId": one.0, "autopilotRunId": run}),
        json!({"agentId": one.0, "autopilotRunId": run}),
        json!({"agentId": one.0}),
        json!({"agentId": one.0}),
    ] {
        assert_eq!(
            enqueue(&world, &input).await["deduplicated"],
            false,
            "{input}"
        );
    }
    assert_eq!(app.database.task_count("queued").await, 9);
}

#[tokio::test]
async fn enqueues_of_one_issue_and_agent_that_race_make_one_task() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    // They wait for one that never comes to be.
    let issue = Uuid::new_v4();
    let requests = || {
        (0..4).map(|_| {
            world
                .host
                .mutate("enqueueTask", json!({"agentId": agent.0, "issueId": issue}))
        })
    };
    let held = app.database.hold(&insert(&world, agent, issue)).await;
    let answers = app
        .database
        .collide(held.roll_back(), requests().collect())
        .await;
    let answers: Vec<Value> = answers.into_iter().map(Result::unwrap).collect();
    let made: Vec<&Value> = answers
        .iter()
        .filter(|answer| answer["deduplicated"] == false)
        .collect();
    assert_eq!(made.len(), 1, "{answers:?}");
    assert!(
        answers
            .iter()
            .all(|answer| answer["task"]["id"] == made[0]["task"]["id"])
    );
    assert_eq!(app.database.event_count("queued").await, 1);

    // They wait for the start of the one that is in their way: then there is room for one.
    let first = world.claim().await.expect("the one that was made");
    let held = app
        .database
        .hold("update agent_task_queue set status = 'running', started_at = now()")
        .await;
    let answers = app
        .database
        .collide(held.commit(), requests().collect())
        .await;
    let made = answers
        .iter()
        .flatten()
        .filter(|answer| answer["deduplicated"] == false);
    assert_eq!(made.count(), 1, "{answers:?}");
    assert_eq!(world.status(first.task_id).await, "RUNNING");
    assert_eq!(app.database.event_count("queued").await, 2);
}

#[tokio::test]
async fn enqueues_that_wait_for_one_that_comes_to_be_are_the_same() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let issue = Uuid::new_v4();
    let held = app.database.hold(&insert(&world, agent, issue)).await;
    let input = json!({"agentId": agent.0, "issueId": issue});
    let requests = (0..4).map(|_| world.host.mutate("enqueueTask", input.clone()));
    for answer in app
        .database
        .collide(held.commit(), requests.collect())
        .await
    {
        assert_eq!(answer.unwrap()["deduplicated"], true);
    }
    assert_eq!(app.database.event_count("queued").await, 1);
}

#[tokio::test]
async fn what_can_never_be_right_is_refused_by_name() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    for (field, value) in [
        ("priority", json!(-1)),
        ("maxAttempts", json!(0)),
        ("maxAttempts", json!(101)),
        ("triggerSummary", json!("x".repeat(64 * 1024 + 1))),
        ("context", json!("x".repeat(256 * 1024))),
        ("issueId", json!("not-a-uuid")),
    ] {
        let mut input = json!({"agentId": agent.0});
        input[field] = value;
        let error = world.host.mutate("enqueueTask", input).await.unwrap_err();
        assert_eq!(error.code, "BAD_USER_INPUT", "{field}");
        assert!(error.message.contains(field), "{field}: {}", error.message);
    }
    let extremes =
        json!({"priority": i32::MAX, "maxAttempts": 100, "triggerSummary": "x".repeat(64 * 1024)});
    let task = world.enqueue(agent, extremes).await;
    assert_eq!(world.host.task(task).await["priority"], i32::MAX);
}

#[tokio::test]
async fn work_is_put_on_the_board_by_hosts_for_agents_that_they_see_and_that_are_there() {
    let app = TestApp::start().await;
    let (world, elsewhere) = (World::new(&app).await, World::new(&app).await);
    let agent = world.agent(1).await;
    let input = json!({"agentId": agent.0});
    assert_eq!(
        world.daemon.refused("enqueueTask", input.clone()).await,
        "FORBIDDEN"
    );
    assert_eq!(
        elsewhere.host.refused("enqueueTask", input.clone()).await,
        "NOT_FOUND"
    );
    let nobody = json!({"agentId": Uuid::new_v4()});
    assert_eq!(world.host.refused("enqueueTask", nobody).await, "NOT_FOUND");
    app.database.archive_agent(agent).await;
    assert_eq!(
        world.host.refused("enqueueTask", input).await,
        "FAILED_PRECONDITION"
    );
    assert_eq!(app.database.event_count("queued").await, 0);
}

#[tokio::test]
async fn a_nul_character_is_left_out() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let given = json!({"triggerSummary": "a\u{0}b", "context": {"k\u{0}": ["\u{0}v"]}});
    let task = world.host.task(world.enqueue(agent, given).await).await;
    assert_eq!(task["triggerSummary"], "ab");
    assert_eq!(task["context"], json!({"k": ["v"]}));
}

/// The answer to an enqueue.
async fn enqueue(world: &World<'_>, input: &Value) -> Value {
    world
        .host
        .mutate("enqueueTask", input.clone())
        .await
        .unwrap()
}

/// Another application's enqueue.
fn insert(world: &World<'_>, agent: AgentId, issue: Uuid) -> String {
    let runtime = world.runtime_id;
    format!(
        "insert into agent_task_queue (agent_id, runtime_id, issue_id) values ('{agent}', '{runtime}', '{issue}')"
    )
}
