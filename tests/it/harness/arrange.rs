//! Arranging what no request brings about: the past, what is archived, what plain SQL left.

use entity::id::{AgentId, RuntimeId, TaskId};

use super::TestDatabase;

impl TestDatabase {
    /// Moves an agent to another runtime; its tasks stay where they are.
    pub(crate) async fn move_agent(&self, agent: AgentId, runtime: RuntimeId) {
        self.execute(&format!(
            "update agent set runtime_id = '{runtime}' where id = '{agent}'"
        ))
        .await;
    }

    /// Archives an agent and leaves its tasks as they are.
    pub(crate) async fn archive_agent(&self, agent: AgentId) {
        self.execute(&format!(
            "update agent set archived_at = now() where id = '{agent}'"
        ))
        .await;
    }

    /// Says when a task was put on the board, in seconds of an hour long ago.
    pub(crate) async fn put_on_board_at(&self, task: TaskId, second: u32) {
        self.execute(&format!(
            "update agent_task_queue set created_at = timestamptz '2026-01-01 00:00:00Z' + interval '{second} s'
             where id = '{task}'"
        ))
        .await;
    }

    /// Lets a dispatched task's lease have run out so many seconds ago.
    pub(crate) async fn expire_lease_since(&self, task: TaskId, seconds: u32) {
        self.execute(&format!(
            "update agent_task_queue set claim_expires_at = now() - interval '{seconds} s' where id = '{task}'"
        ))
        .await;
    }

    /// Lets a task have been handed out more often than any may be.
    pub(crate) async fn deliver_too_often(&self, task: TaskId) {
        self.execute(&format!(
            "update agent_task_queue set deliveries = 1000 where id = '{task}'"
        ))
        .await;
    }

    /// Dispatches a task without a token: the legacy form of a claim, in plain SQL.
    pub(crate) async fn dispatch_without_token(&self, task: TaskId) {
        self.execute(&format!(
            "update agent_task_queue set status = 'dispatched', dispatched_at = now() where id = '{task}'"
        ))
        .await;
    }

    /// Puts so many tasks on the board for an agent on a runtime, each of an issue of its own.
    pub(crate) async fn put_many(&self, agent: AgentId, runtime: RuntimeId, tasks: usize) {
        self.execute(&format!(
            "insert into agent_task_queue (agent_id, runtime_id, issue_id)
             select '{agent}', '{runtime}', gen_random_uuid() from generate_series(1, {tasks})"
        ))
        .await;
    }

    /// How many events of a kind the log has.
    pub(crate) async fn event_count(&self, kind: &str) -> i64 {
        self.count(&format!(
            "select count(*) from task_event where kind = '{kind}'"
        ))
        .await
    }

    /// How many tasks are in a state.
    pub(crate) async fn task_count(&self, status: &str) -> i64 {
        self.count(&format!(
            "select count(*) from agent_task_queue where status = '{status}'"
        ))
        .await
    }

    /// The ways that a task has gone, from one state to another, as the log has them.
    pub(crate) async fn ways(&self, task: TaskId) -> Vec<(String, String)> {
        let rows = self
            .rows(&format!(
                "select from_status, to_status from task_event
                 where task_id = '{task}' and from_status <> to_status order by position"
            ))
            .await;
        rows.iter()
            .map(|row| {
                row.try_get_many("", &["from_status".to_owned(), "to_status".to_owned()])
                    .unwrap()
            })
            .collect()
    }
}
