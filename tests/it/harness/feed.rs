//! Following the event log as a front end does, and what the database itself says is in it.

use callboard::event::{self, Cursor};
use entity::id::{AgentId, RuntimeId, TaskId};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::client::GraphqlError;
use super::world::{merge, uuid};
use super::{Client, PATIENCE, Subscription, TestDatabase, World};

/// What is asked of every event.
const DOCUMENT: &str = "subscription($id: UUID!, $filter: TaskEventFilter, $after: Cursor) {
    taskEvents(workspaceId: $id, filter: $filter, after: $after) { cursor kind task { id } } }";

/// An event of a task, as it is told to subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) cursor: String,
    pub(crate) kind: String,
    pub(crate) task_id: TaskId,
}

/// A subscription to the events of tasks.
pub(crate) struct Feed(Subscription);

impl Feed {
    /// The next event.
    pub(crate) async fn next(&mut self) -> Seen {
        let event = self.0.next().await["taskEvents"].clone();
        Seen {
            cursor: event["cursor"].as_str().unwrap().to_owned(),
            kind: event["kind"].as_str().unwrap().to_owned(),
            task_id: TaskId(uuid(&event["task"]["id"])),
        }
    }

    /// So many events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Seen> {
        let mut seen = Vec::with_capacity(count);
        while seen.len() < count {
            seen.push(self.next().await);
        }
        seen
    }

    /// Of so many events the tasks.
    pub(crate) async fn tasks(&mut self, count: usize) -> Vec<TaskId> {
        let seen = self.take(count).await;
        seen.into_iter().map(|event| event.task_id).collect()
    }

    /// Fails if it has been told anything.
    pub(crate) async fn expect_silence(mut self) {
        self.0.expect_silence().await;
    }

    /// Waits until the server goes away.
    pub(crate) async fn closed(self) {
        self.0.closed().await;
    }

    /// The error that it ends with.
    pub(crate) async fn error(&mut self) -> GraphqlError {
        self.0.error().await
    }
}

impl World<'_> {
    /// Up to where the log reaches, as a snapshot says.
    pub(crate) async fn cursor(&self) -> String {
        let document = "query($id: UUID!) { workspace(id: $id) { snapshot { cursor } } }";
        let data = self
            .host
            .data(document, json!({"id": self.workspace_id.0}))
            .await;
        let cursor = &data["workspace"]["snapshot"]["cursor"];
        cursor.as_str().expect("a cursor").to_owned()
    }

    /// Follows the events of the workspace from a cursor, as the host.
    pub(crate) async fn follow(&self, after: &str) -> Feed {
        self.feed(&self.host, json!({"after": after})).await
    }

    /// Follows the events of the workspace; `more` are the other arguments.
    pub(crate) async fn feed(&self, client: &Client, more: Value) -> Feed {
        let mut variables = json!({"id": self.workspace_id.0});
        merge(&mut variables, more);
        Feed(client.subscribe(DOCUMENT, variables).await)
    }

    /// Waits until the client's server has itself read all that is committed: what it hands out later is later.
    pub(crate) async fn until_read(&self, client: &Client) {
        let committed = self.cursor().await;
        let document = "subscription($id: UUID!) { issueTasks(issueId: $id) { cursor } }";
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut banner = client
                .subscribe(document, json!({"id": Uuid::new_v4()}))
                .await;
            let read = banner.next().await["issueTasks"]["cursor"].clone();
            if read.as_str().expect("a cursor") >= committed.as_str() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the server has read up to {read}, not to {committed}"
            );
        }
    }

    /// The statement by which plain SQL puts a task on the board.
    pub(crate) fn insertion(&self, agent: AgentId, task: TaskId) -> String {
        format!(
            "insert into agent_task_queue (id, agent_id, runtime_id, issue_id, status, priority)
             values ('{task}', '{agent}', '{}', '{}', 'queued', 0)",
            self.runtime_id,
            Uuid::new_v4()
        )
    }
}

impl TestDatabase {
    /// The events of tasks after a cursor, as the table has them.
    pub(crate) async fn log(&self, after: &str) -> Vec<Seen> {
        self.log_where(after, "true").await
    }

    /// Of those the ones that meet a condition.
    pub(crate) async fn log_where(&self, after: &str, condition: &str) -> Vec<Seen> {
        let after: Cursor = after.parse().unwrap();
        let sql = format!(
            "select position, kind, task_id from task_event
             where task_id is not null and position > {} and {condition} order by position",
            after.0
        );
        let rows = self.rows(&sql).await;
        rows.iter()
            .map(|row| Seen {
                cursor: Cursor(row.try_get("", "position").unwrap()).to_string(),
                kind: row
                    .try_get::<String>("", "kind")
                    .unwrap()
                    .to_ascii_uppercase(),
                task_id: row.try_get("", "task_id").unwrap(),
            })
            .collect()
    }

    /// The cursor of the last event of a task.
    pub(crate) async fn last_cursor(&self) -> String {
        let sql = "select max(position) from task_event where task_id is not null";
        Cursor(self.count(sql).await).to_string()
    }

    /// The tasks of the events that a reader of the log would be shown after a cursor at this moment.
    pub(crate) async fn readable(&self, after: &str) -> Vec<TaskId> {
        let batch = event::read(&self.pool, after.parse().unwrap())
            .await
            .unwrap();
        let tasks = batch.events.iter().filter_map(|event| event.row.task_id);
        tasks.collect()
    }

    /// Takes a runtime off line that was last heard of so long ago.
    pub(crate) async fn fall_silent(&self, runtime: RuntimeId, ago: &str) {
        self.execute(&format!(
            "update agent_runtime set status = 'offline', last_seen_at = now() - interval '{ago}' where id = '{runtime}'"
        ))
        .await;
    }

    /// Polls a condition, a query of one boolean, until it holds.
    pub(crate) async fn until(&self, condition: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self
            .count(&format!("select ({condition})::int::int8"))
            .await
            == 0
        {
            assert!(Instant::now() < deadline, "in time: {condition}");
            tokio::task::yield_now().await;
        }
    }
}
