//! A board whose events one server delivers: Callboard's own edge or what that is compared with.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::sync::watch;
use uuid::Uuid;

use super::crowd::{Asking, Crowd, Door};
use super::side::Side;
use crate::board::Board;
use crate::flames::Watched;
use crate::npm::Package;
use crate::postgres::Postgres;
use crate::processor::Used;
use crate::server::Server;

/// How often something happens until all have subscribed.
const BETWEEN: Duration = Duration::from_secs(1);

/// What is measured: a server that delivers, and what there is to deliver.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    postgres: &'a Postgres,
    package: Option<&'a Package>,
    side: Side,
    /// With a server of its own, through which tasks come: what delivers does nothing else.
    board: Board,
    server: Server,
    connection: PgConnection,
}

impl<'a> Stage<'a> {
    /// Sets one up on a database that was loaded.
    pub(super) async fn open(
        postgres: &'a Postgres,
        package: Option<&'a Package>,
        database: &str,
        side: Side,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            postgres,
            package,
            side,
            board: Board::open(postgres, database).await?,
            server: side.start(postgres, database, package).await?,
            connection: postgres.connect(database).await?,
        })
    }

    /// Who delivers.
    pub(super) const fn side(&self) -> Side {
        self.side
    }

    /// Where subscribers come in.
    pub(super) fn door(&self) -> Door {
        Door {
            address: self.server.address,
            side: self.side,
            token: self.board.host.token().to_owned(),
            workspace_id: self.board.workspace_id,
        }
    }

    /// What was used until now.
    pub(super) fn used(&self) -> Used {
        Used::until_now(self.server.process(), self.postgres.process())
    }

    /// The server that delivers, to be looked at.
    pub(super) fn watched(&self) -> Watched {
        Watched::of(&self.server, self.postgres)
    }

    /// The bytes of memory that the delivering server has in use.
    pub(super) fn memory(&self) -> anyhow::Result<f64> {
        let process = self.server.process().context("the server has ended")?;
        crate::processor::memory(process)
    }

    /// The last event.
    pub(super) async fn last_event(&mut self) -> anyhow::Result<i64> {
        last_event(&mut self.connection).await
    }

    /// The events about tasks that happened after one.
    pub(super) async fn happened_after(&mut self, event: i64) -> anyhow::Result<Vec<i64>> {
        let happened = sqlx::query_scalar(
            "select position from task_event
             where position > $1 and kind not in ('agent_changed', 'runtime_changed') order by position",
        );
        Ok(happened.bind(event).fetch_all(&mut self.connection).await?)
    }

    /// Lets a crowd subscribe, and says after which event each of it is to receive all there are. No server says when a
    /// subscription has begun: so something happens now and then until each has received some of it, and the server has
    /// done for the first time what it does each time.
    pub(super) async fn subscribe(
        &mut self,
        mut crowd: Crowd,
        asking: Asking,
    ) -> anyhow::Result<(Crowd, i64)> {
        let after = self.last_event().await?;
        crowd.subscribe(&self.door(), asking, after).await?;
        let (_known, until) = watch::channel(Some(after + 1));
        let mut beginning = pin!(crowd.follow(&until).all());
        let mut ticks = tokio::time::interval(BETWEEN);
        let begun = loop {
            tokio::select! {
                begun = &mut beginning => break begun?,
                _ = ticks.tick() => self.commit(1).await?,
            };
        };
        let (last, _) = self.commit(1).await?;
        let mut crowd = begun.followed_to(last).await?;
        crowd.begin_after(last);
        Ok((crowd, last))
    }

    /// Puts tasks on the board in one transaction: an event each. Returns the last event, and when the commit returned.
    pub(super) async fn commit(&mut self, tasks: u32) -> anyhow::Result<(i64, Instant)> {
        let mut transaction = self.connection.begin().await?;
        sqlx::query(
            "insert into agent_task_queue (workspace_id, agent_id, runtime_id, issue_id, trigger_summary)
             select workspace_id, id, runtime_id, gen_random_uuid(), 'Please look into it: number ' || n
             from agent, generate_series(1, $1) as n
             where name = 'agent 00001'",
        )
        .bind(i32::try_from(tasks)?)
        .execute(&mut *transaction)
        .await?;
        let last = last_event(&mut transaction).await?;
        transaction.commit().await?;
        Ok((last, Instant::now()))
    }

    /// Puts a task on the board through the API.
    async fn enqueue(&self) -> anyhow::Result<()> {
        let agent = self.board.runtime()?.agents.first();
        let input = json!({"agentId": agent, "issueId": Uuid::new_v4(), "triggerSummary": "Please look into it: number 1"});
        let document =
            "mutation($input: EnqueueTaskInput!) { enqueueTask(input: $input) { task { id } } }";
        self.board
            .host
            .data(document, &json!({"input": input}))
            .await?;
        Ok(())
    }

    /// Puts so many tasks on the board, as the load wants it.
    pub(super) async fn produce(&mut self, load: Load, tasks: u32) -> anyhow::Result<()> {
        match load {
            Load::Bulk { batch } => {
                for _ in 0..tasks.div_ceil(batch) {
                    self.commit(batch).await?;
                }
            }
            Load::Api { rate } => {
                let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
                for _ in 0..tasks {
                    ticks.tick().await;
                    self.enqueue().await?;
                }
            }
        }
        Ok(())
    }

    /// Kills the server that delivers.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.server.kill().await
    }

    /// Starts another one.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        let database = &self.board.database;
        self.server = self
            .side
            .start(self.postgres, database, self.package)
            .await?;
        Ok(())
    }

    /// Stops its servers.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.server.stop().await?;
        self.board.server.stop().await?;
        Ok(self.connection.close().await?)
    }
}

/// How tasks come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// So many in a commit, straight in SQL, one commit after the other.
    Bulk { batch: u32 },
    /// One by one through the API, so many in a second.
    Api { rate: u32 },
}

/// The last event, those of the transaction itself included.
async fn last_event(connection: &mut PgConnection) -> anyhow::Result<i64> {
    let sql = "select coalesce(max(position), 0) from task_event";
    Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)
}
