//! Staging what happens at once: transactions that are held open, and knowing who waits for them. Nothing here sleeps.

use entity::id::{AgentId, TaskId};
use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};
use tokio::time::Instant;

use super::{PATIENCE, TestDatabase};

/// A transaction of somebody else's that has done something and is not over. Dropped, it is rolled back.
pub(crate) struct Held(DatabaseTransaction);

impl Held {
    /// Ends it; what it did holds.
    pub(crate) async fn commit(self) {
        self.0.commit().await.unwrap();
    }

    /// Ends it; what it did never happened.
    pub(crate) async fn roll_back(self) {
        self.0.rollback().await.unwrap();
    }

    /// Does something more in it.
    pub(crate) async fn execute(&self, sql: &str) {
        self.0
            .execute_unprepared(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

impl TestDatabase {
    /// A transaction that has run a statement and is not over.
    pub(crate) async fn hold(&self, sql: &str) -> Held {
        let held = Held(self.pool.begin().await.unwrap());
        held.execute(sql).await;
        held
    }

    /// Holds an agent as a verb does that changes what it is busy with.
    pub(crate) async fn hold_agent(&self, agent: AgentId) -> Held {
        self.hold(&format!(
            "select from agent where id = '{agent}' for no key update"
        ))
        .await
    }

    /// Holds a task as a verb does that changes it.
    pub(crate) async fn hold_task(&self, task: TaskId) -> Held {
        self.hold(&format!(
            "select from agent_task_queue where id = '{task}' for no key update"
        ))
        .await
    }

    /// Waits until so many sessions of this database wait for a lock.
    pub(crate) async fn until_waiting(&self, sessions: i64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let waiting = self
                .count(
                    "select count(*) from pg_stat_activity
                     where datname = current_database() and wait_event_type = 'Lock'",
                )
                .await;
            if waiting >= sessions {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{waiting} sessions wait for a lock, not {sessions}"
            );
            tokio::task::yield_now().await;
        }
    }
}
