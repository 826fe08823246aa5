//! What plain SQL can write and this program cannot read: nobody else goes without anything because of it.

use entity::id::TaskId;
use futures::future::join_all;
use sea_orm::ConnectionTrait;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{TestApp, World};

/// A number that JSON can have and no number here is large enough for.
const TOO_LARGE: &str = r#"'{"n": 1e400}'"#;

/// Deeper than is read here.
const TOO_DEEP: &str = "(repeat('[', 200) || repeat(']', 200))::jsonb";

/// Columns of a task, and what cannot be read of them.
const UNREADABLE: [(&str, &str); 6] = [
    ("context", TOO_LARGE),
    ("result", TOO_DEEP),
    ("claim_expires_at", "'infinity'"),
    ("claim_expires_at", "'-infinity'"),
    ("created_at", "'290000-01-01Z'"),
    ("progress_at", "'infinity'"),
];

/// As the database was before it refused times that cannot be read.
const ANY_TIME: &str =
    "alter table agent_task_queue drop constraint if exists agent_task_queue_times_readable;
     alter table agent_runtime drop constraint if exists agent_runtime_times_readable";

const TASK: &str = "query($id: UUID!) { task(id: $id) { context claimExpiresAt createdAt } }";

impl World<'_> {
    /// The statement that puts a task on the board with something in it, for an issue.
    fn insertion_with(
        &self,
        agent: entity::id::AgentId,
        issue: Uuid,
        with: (&str, &str),
    ) -> (TaskId, String) {
        let (task, (column, value)) = (TaskId(Uuid::now_v7()), with);
        let runtime = self.runtime_id;
        let sql = format!(
            "insert into agent_task_queue (id, agent_id, runtime_id, issue_id, priority, {column})
             values ('{task}', '{agent}', '{runtime}', '{issue}', 9, {value})"
        );
        (task, sql)
    }
}

#[tokio::test]
async fn a_task_that_cannot_be_read_holds_up_no_subscriber() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, start) = (world.agent(1).await, world.cursor().await);
    app.database.execute(ANY_TIME).await;
    let mut feed = world.follow(&start).await;
    let mut all = Vec::new();
    let mut readable = Vec::new();
    for with in UNREADABLE {
        let (task, insertion) = world.insertion_with(agent, Uuid::new_v4(), with);
        app.database.execute(&insertion).await;
        all.push(task);
        let next = world.enqueue(agent, json!({})).await;
        all.push(next);
        readable.push(next);
        assert_eq!(feed.tasks(1).await, [next], "after {with:?}");
    }
    // Its events are there, as those of a task that is gone are.
    assert_eq!(app.database.readable(&start).await, all);
    let mut late = world.follow(&start).await;
    assert_eq!(late.tasks(readable.len()).await, readable);
}

#[tokio::test]
async fn who_asks_for_a_task_that_cannot_be_read_is_told_of_a_fault_and_others_are_served() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    app.database.execute(ANY_TIME).await;
    let readable = world.enqueue(agent, json!({})).await;
    for with in UNREADABLE {
        let (task, insertion) = world.insertion_with(agent, Uuid::new_v4(), with);
        app.database.execute(&insertion).await;
        let error = world.host.error(TASK, json!({"id": task.0})).await;
        assert_eq!(error.code, "INTERNAL", "{with:?}");
        world.host.data(TASK, json!({"id": readable.0})).await;
    }
}

#[tokio::test]
async fn a_time_that_cannot_be_read_is_refused_by_the_database() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let columns = [
        ("agent_task_queue", "created_at"),
        ("agent_task_queue", "dispatched_at"),
        ("agent_task_queue", "started_at"),
        ("agent_task_queue", "claim_expires_at"),
        ("agent_task_queue", "progress_at"),
        ("agent_runtime", "last_seen_at"),
        ("agent_runtime", "created_at"),
        ("agent_runtime", "updated_at"),
        ("agent", "archived_at"),
        ("agent", "created_at"),
        ("agent", "updated_at"),
    ];
    for (table, column) in columns {
        for time in ["infinity", "-infinity", "0001-01-01 BC", "10000-01-01Z"] {
            let sql = format!("update {table} set {column} = '{time}'");
            let outcome = app.database.pool.execute_unprepared(&sql).await;
            let refusal = outcome.expect_err(&sql).to_string();
            let constraint = format!("{table}_times_readable");
            assert!(refusal.contains(&constraint), "{sql}: {refusal}");
        }
    }
    let end = "update agent_task_queue set status = 'cancelled', completed_at = 'infinity'";
    assert!(app.database.pool.execute_unprepared(end).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_is_not_done_again_because_an_answer_cannot_be_read() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, issue) = (world.agent(1).await, Uuid::new_v4());
    let (_, insertion) = world.insertion_with(agent, issue, ("context", TOO_LARGE));
    app.database.execute(&insertion).await;
    let requests = (0..40).map(|nth| {
        let mut input = json!({"agentId": agent.0});
        if nth % 4 == 0 {
            // The answer is the task that is in the way.
            input["issueId"] = json!(issue);
        }
        world.host.mutate("enqueueTask", input)
    });
    for (nth, answer) in join_all(requests).await.into_iter().enumerate() {
        let code = answer.err().map(|error| error.code);
        let expected = (nth % 4 == 0).then_some("INTERNAL");
        assert_eq!(code.as_deref(), expected, "the {nth}th");
    }
    assert_eq!(app.database.task_count("queued").await, 30 + 1);
}

#[tokio::test]
async fn what_is_claimed_with_a_task_that_cannot_be_read_is_handed_out() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    let (_, insertion) = world.insertion_with(agent, Uuid::new_v4(), ("context", TOO_LARGE));
    app.database.execute(&insertion).await;
    app.database.put_many(agent, world.runtime_id, 2).await;
    let input = json!({"runtimeIds": [world.runtime_id.0], "max": 3});
    let claimed = world.daemon.mutate("claimTasks", input).await.unwrap();
    assert_eq!(claimed.as_array().unwrap().len(), 2);

    let (_, insertion) = world.insertion_with(agent, Uuid::new_v4(), ("context", TOO_LARGE));
    app.database.execute(&insertion).await;
    let input = json!({"runtimeId": world.runtime_id.0});
    let refused = world.daemon.mutate("claimTask", input).await.unwrap_err();
    assert_eq!(refused.code, "INTERNAL");
}
