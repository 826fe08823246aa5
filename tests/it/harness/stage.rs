//! Staging what happens at once: transactions that are held open, and knowing who waits for them. Nothing here sleeps.

use std::future::Future;

use entity::id::{AgentId, TaskId};
use futures::future::join_all;
use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};
use tokio::time::Instant;

use super::{PATIENCE, TestDatabase};

/// A transaction of somebody else's that has done something and is not over. Dropped, it is rolled back.
pub(crate) struct Held(DatabaseTransaction);

impl Held {
    /// Does something more in it.
    pub(crate) async fn execute(&self, sql: &str) {
        self.0
            .execute_unprepared(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Ends it; what it did holds.
    pub(crate) async fn commit(self) {
        self.0.commit().await.unwrap();
    }

    /// Ends it; what it did never happened.
    pub(crate) async fn roll_back(self) {
        self.0.rollback().await.unwrap();
    }
}

/// How many sessions of this database wait for a lock.
const WAITING: &str = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";

impl TestDatabase {
    /// A transaction that has run a statement and is not over.
    pub(crate) async fn hold(&self, sql: &str) -> Held {
        let held = Held(self.pool.begin().await.unwrap());
        held.execute(sql).await;
        held
    }

    /// Holds an agent, as a verb does that changes what it is busy with.
    pub(crate) async fn hold_agent(&self, agent: AgentId) -> Held {
        let sql = format!("select from agent where id = '{agent}' for no key update");
        self.hold(&sql).await
    }

    /// Holds a task, as a verb does that changes it.
    pub(crate) async fn hold_task(&self, task: TaskId) -> Held {
        let sql = format!("select from agent_task_queue where id = '{task}' for no key update");
        self.hold(&sql).await
    }

    /// Holds the event log, so that whoever writes an event waits with whatever it has locked until then.
    pub(crate) async fn hold_event_log(&self) -> Held {
        self.hold("lock table task_event in share mode").await
    }

    /// Sets several requests against each other: what they wait for is let go only when all of them wait, so that each
    /// has looked before any has acted. Their answers, in their order.
    pub(crate) async fn collide<F: Future>(
        &self,
        let_go: impl Future<Output = ()>,
        requests: Vec<F>,
    ) -> Vec<F::Output> {
        let all = requests.len();
        let (answers, ()) = tokio::join!(join_all(requests), async {
            self.until_waiting(all).await;
            let_go.await;
        });
        answers
    }

    /// Waits until those who wait for a lock are the same number for a few looks: whoever comes has come, or nearly.
    pub(crate) async fn until_nobody_else_waits(&self) {
        let (mut before, mut looks) = (-1, 0);
        while looks < 3 {
            let waiting = self.count(WAITING).await;
            looks = if waiting == before { looks + 1 } else { 0 };
            before = waiting;
        }
    }

    /// Waits until so many sessions of this database wait for a lock.
    pub(crate) async fn until_waiting(&self, sessions: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let waiting = usize::try_from(self.count(WAITING).await).unwrap();
            if waiting >= sessions {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{waiting} sessions wait for a lock instead of {sessions}"
            );
        }
    }
}
