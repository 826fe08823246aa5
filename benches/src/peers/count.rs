//! Lives are counted in the database: what it has, others would find after a crash too.

use std::time::Duration;

use sqlx::{PgConnection, Row};

use crate::processor::{self, Used};

/// How many tasks of Callboard's were enqueued, how many completed, and the second in which that was so.
pub(super) const CALLBOARD: &str = "
    select count(*), count(*) filter (where status = 'completed'), extract(epoch from statement_timestamp())::float8
    from agent_task_queue";

/// The same of graphile-worker, which deletes what is completed.
pub(super) const GRAPHILE_WORKER: &str = "
    select drawn.last_value, drawn.last_value - (select count(*) from graphile_worker._private_jobs),
        extract(epoch from statement_timestamp())::float8
    from graphile_worker.jobs_id_seq1 as drawn";

/// The same of pg-boss.
pub(super) const PG_BOSS: &str = "
    select count(*), count(*) filter (where state = 'completed'), extract(epoch from statement_timestamp())::float8
    from pgboss.job";

/// Who uses the processor for a side.
#[derive(Debug)]
pub(super) struct Processes {
    pub(super) server: Option<u32>,
    pub(super) postgres: Option<u32>,
    pub(super) clients: Vec<u32>,
}

/// Seconds of processor time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    pub(super) server: f64,
    pub(super) postgres: f64,
    pub(super) clients: f64,
}

impl Processes {
    /// Those that were used until now.
    fn used(&self) -> Shares {
        let used = Used::until_now(self.server, self.postgres);
        let client = |process: &u32| Used::until_now(Some(*process), None).server;
        Shares {
            server: used.server,
            postgres: used.postgres,
            clients: self.clients.iter().map(client).sum(),
        }
    }
}

/// What a side did in some time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    lives: f64,
    seconds: f64,
    pub(super) used: Shares,
    /// MiB of memory that the server had resident at the end.
    pub(super) memory: f64,
}

impl Counted {
    /// What it does in the time that begins.
    pub(super) async fn during(
        time: Duration,
        connection: &mut PgConnection,
        sql: &'static str,
        processes: &Processes,
    ) -> anyhow::Result<Self> {
        let (used, before) = (processes.used(), Stand::of(connection, sql).await?);
        tokio::time::sleep(time).await;
        let (after, total) = (Stand::of(connection, sql).await?, processes.used());
        Ok(Self {
            lives: before.lives_until(&after),
            seconds: after.second - before.second,
            used: Shares {
                server: total.server - used.server,
                postgres: total.postgres - used.postgres,
                clients: total.clients - used.clients,
            },
            memory: match processes.server {
                Some(server) => processor::mib(server)?,
                None => f64::NAN,
            },
        })
    }

    /// How many lives a second.
    pub(super) fn rate(&self) -> f64 {
        self.lives / self.seconds
    }

    /// So many seconds in all, as microseconds for a life.
    pub(super) fn micros(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.lives
    }
}

/// How far a side has come.
#[derive(Clone, Copy, Debug)]
struct Stand {
    enqueued: i64,
    completed: i64,
    second: f64,
}

impl Stand {
    async fn of(connection: &mut PgConnection, sql: &'static str) -> anyhow::Result<Self> {
        let row = sqlx::query(sql).fetch_one(connection).await?;
        Ok(Self {
            enqueued: row.try_get(0)?,
            completed: row.try_get(1)?,
            second: row.try_get(2)?,
        })
    }

    /// As many as were both enqueued and completed until then: what only shifts the backlog does not count.
    fn lives_until(&self, later: &Self) -> f64 {
        let lives = (later.enqueued - self.enqueued).min(later.completed - self.completed);
        u32::try_from(lives).map_or(f64::NAN, f64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::Stand;

    #[test]
    fn a_backlog_that_grows_or_shrinks_does_not_count() {
        let stand = |enqueued, completed| Stand {
            enqueued,
            completed,
            second: 0.0,
        };
        let lives = |later: Stand| stand(100, 40).lives_until(&later);
        assert!((lives(stand(120, 50)) - 10.0).abs() < f64::EPSILON);
        assert!((lives(stand(105, 60)) - 5.0).abs() < f64::EPSILON);
    }
}
