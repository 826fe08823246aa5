//! What holds back a queued task, and its place in line.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestApp, World};

#[tokio::test]
async fn a_waiting_task_says_where_it_stands_and_behind_what() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    let (issue, chat) = (
        json!({"issueId": Uuid::new_v4()}),
        json!({"chatSessionId": Uuid::new_v4()}),
    );
    let mut running = Vec::new();
    for more in [issue.clone(), chat.clone(), json!({})] {
        running.push(world.enqueue(agent, more).await);
        world.run().await;
    }
    let cases = [
        (
            issue,
            json!([{"reason": "SAME_ISSUE_ACTIVE", "task": {"id": running[0].0}}]),
        ),
        (
            chat,
            json!([{"reason": "SAME_CHAT_ACTIVE", "task": {"id": running[1].0}}]),
        ),
        (
            json!({}),
            json!([{"reason": "QUICK_CREATE_ACTIVE", "task": {"id": running[2].0}}]),
        ),
        (json!({"issueId": Uuid::new_v4()}), json!([])),
        (json!({"autopilotRunId": Uuid::new_v4()}), json!([])),
    ];
    for (place, (more, blocked_by)) in cases.into_iter().enumerate() {
        let task = world.enqueue(agent, more).await;
        let expected = json!({"position": place + 1, "blockedBy": blocked_by});
        assert_eq!(waiting(&world, task.0).await, expected);
    }
    let first = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4(), "priority": 7}))
        .await;
    assert_eq!(waiting(&world, first.0).await["position"], 1);
    assert_eq!(waiting(&world, running[0].0).await, Value::Null);
}

#[tokio::test]
async fn what_holds_back_all_of_an_agents_tasks_is_told_of_each() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    world.run().await;
    let task = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    app.database.archive_agent(agent).await;
    world
        .daemon
        .mutate("deregisterRuntime", json!({"id": world.runtime_id.0}))
        .await
        .unwrap();
    let told = waiting(&world, task.0).await;
    let mut reasons: Vec<_> = told["blockedBy"]
        .as_array()
        .unwrap()
        .iter()
        .map(|blocker| blocker["reason"].as_str().unwrap())
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        ["AGENT_ARCHIVED", "AGENT_AT_CAPACITY", "RUNTIME_OFFLINE"]
    );
}

#[tokio::test]
async fn the_first_claimable_candidate_is_what_the_next_claim_gets() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agents = [
        world.agent(1).await,
        world.agent(2).await,
        world.agent(3).await,
    ];
    let (issues, chat) = ([Uuid::new_v4(), Uuid::new_v4()], Uuid::new_v4());
    for round in 0..12 {
        let links = [
            json!({"issueId": issues[round % 2]}),
            json!({"chatSessionId": chat}),
            json!({}),
            json!({"autopilotRunId": chat}),
        ];
        let mut more = links[round % 4].clone();
        crate::harness::merge(&mut more, json!({"priority": round * 7 % 5}));
        world.enqueue(agents[round % 3], more).await;
    }
    loop {
        let expected = first_claimable(&world).await;
        let claimed = world.claim().await.map(|claim| json!(claim.task_id.0));
        assert_eq!(claimed, expected);
        if claimed.is_none() {
            return;
        }
    }
}

async fn waiting(world: &World<'_>, id: Uuid) -> Value {
    let document = "query($id: UUID!) { task(id: $id) { waiting { position blockedBy { reason task { id } } } } }";
    world.host.data(document, json!({"id": id})).await["task"]["waiting"].clone()
}

async fn first_claimable(world: &World<'_>) -> Option<Value> {
    let document = "query($id: UUID!) { runtime(id: $id) { claimCandidates { claimable blockedBy { reason } task { id } } } }";
    let data = world
        .host
        .data(document, json!({"id": world.runtime_id.0}))
        .await;
    let candidates = data["runtime"]["claimCandidates"].as_array().unwrap();
    for candidate in candidates {
        assert_eq!(
            candidate["claimable"] == true,
            candidate["blockedBy"] == json!([])
        );
    }
    candidates
        .iter()
        .find(|candidate| candidate["claimable"] == true)
        .map(|candidate| candidate["task"]["id"].clone())
}
