//! The filters of `taskEvents`: each shows what it names and nothing else, and what cannot be right is refused.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestApp, World};

/// Every kind that a filter can name.
const KINDS: [&str; 10] = [
    "QUEUED",
    "DISPATCHED",
    "REQUEUED",
    "RUNNING",
    "PROGRESS",
    "SESSION_PINNED",
    "LINKED",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
];

#[tokio::test]
async fn every_kind_is_found_by_its_name_and_by_no_other() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, start) = (world.agent(9).await, world.cursor().await);
    live_through_everything(&app, &world, agent).await;
    for kind in KINDS {
        let expected = app
            .database
            .log_where(&start, &format!("kind = lower('{kind}')"))
            .await;
        assert!(!expected.is_empty(), "{kind}");
        let filter = json!({"after": start, "filter": {"kinds": [kind]}});
        let mut feed = world.feed(&world.host, filter).await;
        assert_eq!(feed.take(expected.len()).await, expected);
    }
    // All but one, with another condition beside it.
    let log = format!("kind <> 'queued' and agent_id = '{agent}'");
    let expected = app.database.log_where(&start, &log).await;
    let filter = json!({"kinds": KINDS[1..], "agentId": agent.0});
    let arguments = json!({"after": start, "filter": filter});
    let mut feed = world.feed(&world.host, arguments).await;
    assert_eq!(feed.take(expected.len()).await, expected);
}

#[tokio::test]
async fn conditions_that_exclude_each_other_show_nothing_and_hold_nothing_up() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, other) = (world.agent(1).await, world.agent(1).await);
    let start = world.cursor().await;
    let task = world.enqueue(agent, json!({})).await;
    let last = world.enqueue(other, json!({})).await;
    for filter in [
        json!({"taskId": task.0, "agentId": other.0}),
        json!({"taskId": task.0, "kinds": ["CANCELLED"]}),
        json!({"issueId": Uuid::new_v4()}),
        json!({"runtimeId": Uuid::new_v4(), "agentId": agent.0}),
    ] {
        let arguments = json!({"after": start, "filter": filter});
        let none = world.feed(&world.host, arguments).await;
        let mut all = world.follow(&start).await;
        assert_eq!(all.tasks(2).await, [task, last]);
        none.expect_silence().await;
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_right_is_refused_by_name() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let many: Vec<&str> = std::iter::repeat_n("QUEUED", 1001).collect();
    for (filter, name) in [
        (json!({"kinds": ["NONSENSE"]}), "kinds"),
        (json!({"kinds": ["queued"]}), "kinds"),
        (json!({"kinds": [null]}), "kinds"),
        (json!({"kinds": many}), "kinds"),
        (json!({"agentId": "7"}), "agentId"),
        (json!({"issueId": 7}), "issueId"),
        (json!({"taskId": ""}), "taskId"),
        (
            json!({"runtimeId": [Uuid::new_v4(), Uuid::new_v4()]}),
            "runtimeId",
        ),
        (json!({"status": "QUEUED"}), "filter"),
    ] {
        let arguments = json!({"filter": filter});
        let error = world.feed(&world.host, arguments).await.error().await;
        assert_eq!(error.code, "BAD_USER_INPUT", "{filter}");
        assert!(error.message.contains(name), "{filter}: {}", error.message);
    }
}

/// Brings about an event of every kind.
async fn live_through_everything(app: &TestApp, world: &World<'_>, agent: entity::id::AgentId) {
    let mutate = async |name: &str, kind: &str, input: Value| {
        let document = format!("mutation($input: {kind}!) {{ {name}(input: $input) {{ id }} }}");
        world.daemon.data(&document, json!({"input": input})).await;
    };
    let task = world.enqueue(agent, json!({})).await;
    world.claim().await.expect("the task");
    app.database.expire_lease(task).await;
    let claim = world.run().await;
    mutate(
        "pinTaskSession",
        "PinTaskSessionInput",
        claim.with(json!({"sessionId": "s"})),
    )
    .await;
    mutate(
        "reportTaskProgress",
        "ReportTaskProgressInput",
        claim.with(json!({"summary": "s"})),
    )
    .await;
    let link = "mutation($id: UUID!, $issue: UUID!) { linkTaskToIssue(taskId: $id, issueId: $issue) { id } }";
    let variables = json!({"id": task.0, "issue": Uuid::new_v4()});
    world.host.data(link, variables).await;
    world.complete(claim).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    world.fail(claim, "agent_error").await;
    let task = world.enqueue(agent, json!({})).await;
    let cancel = "mutation($id: UUID!) { cancelTask(taskId: $id) { id } }";
    world.host.data(cancel, json!({"id": task.0})).await;
}
