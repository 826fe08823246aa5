//! Boards of a known size, loaded by plain SQL, and the people who work on them.

mod load;

use std::time::Duration;

use anyhow::Context;
use callboard::auth::token::{self, NewToken};
use callboard::auth::{Daemon, Identity};
use entity::id::WorkspaceId;
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::client::Client;
use crate::postgres::{self, Postgres};
use crate::server::Server;

pub(crate) use load::{
    Active, Head, active_tasks, backlog, finished_tasks, in_bulk, settle_down, waiting_at_the_head,
};

/// How often daemons say that they are there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A runtime and the daemon whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    /// The runtime.
    pub(crate) id: Uuid,
    /// Whose token claims for it.
    pub(crate) daemon: Client,
    /// The agents on it, in the order in which they were made.
    pub(crate) agents: Vec<Uuid>,
}

/// A new board with agents on the runtimes of so many daemons, to be loaded with more.
pub(crate) async fn with_agents(
    postgres: &Postgres,
    name: &str,
    daemons: u32,
    agents: u32,
) -> anyhow::Result<PgConnection> {
    postgres.copy(postgres::EMPTY, name).await?;
    let mut connection = postgres.connect(name).await?;
    load::agents(&mut connection, daemons, agents).await?;
    Ok(connection)
}

/// A board with a server in front of it.
#[derive(Debug)]
pub(crate) struct Board {
    /// The database.
    pub(crate) database: String,
    /// Its only workspace.
    pub(crate) workspace_id: Uuid,
    /// The host application.
    pub(crate) host: Client,
    /// Where the agents' tasks run.
    pub(crate) runtimes: Vec<Runtime>,
    /// What answers.
    pub(crate) server: Server,
}

impl Board {
    /// Starts a server on a loaded database, and gives everyone a token.
    pub(crate) async fn open(postgres: &Postgres, database: &str) -> anyhow::Result<Self> {
        let server = Server::start(postgres, database).await?;
        let mut connection = postgres.connect(database).await?;
        let workspace_id = sqlx::query_scalar("select id from workspace")
            .fetch_one(&mut connection)
            .await?;
        let token = async |identity| -> anyhow::Result<Client> {
            let pool = postgres.pool(database)?;
            let new = NewToken {
                name: "bench".to_owned(),
                identity,
                expires_in: None,
            };
            let token = token::create(&pool, new).await?;
            pool.close().await?;
            Client::new(server.address, token.expose_secret())
        };
        let workspace = WorkspaceId(workspace_id);
        let host = token(Identity::Service {
            workspace_id: workspace,
        })
        .await?;
        let mut runtimes = Vec::new();
        for (id, daemon_id, agents) in found_runtimes(&mut connection).await? {
            let daemon = token(Identity::Daemon(Daemon {
                workspace_id: workspace,
                daemon_id,
            }))
            .await?;
            runtimes.push(Runtime { id, daemon, agents });
        }
        let board = Self {
            database: database.to_owned(),
            workspace_id,
            host,
            runtimes,
            server,
        };
        board.heartbeat().await?;
        Ok(board)
    }

    /// The runtime of a board that has one.
    pub(crate) fn runtime(&self) -> anyhow::Result<&Runtime> {
        self.runtimes.first().context("a board has a runtime")
    }

    /// Shows that the daemons are there, without which nothing can be claimed.
    pub(crate) async fn heartbeat(&self) -> anyhow::Result<()> {
        for runtime in &self.runtimes {
            runtime.heartbeat().await?;
        }
        Ok(())
    }
}

impl Runtime {
    /// Shows that its daemon is there.
    pub(crate) async fn heartbeat(&self) -> anyhow::Result<()> {
        let document =
            "mutation($id: UUID!) { heartbeat(input: {runtimeIds: [$id]}) { runtimes { id } } }";
        self.daemon.data(document, &json!({"id": self.id})).await?;
        Ok(())
    }
}

/// Shows on all boards that the daemons are there, for as long as it is polled.
pub(crate) async fn stay(boards: impl Iterator<Item = &Board> + Clone) -> anyhow::Result<()> {
    let mut beat = tokio::time::interval(HEARTBEAT);
    loop {
        beat.tick().await;
        for board in boards.clone() {
            board.heartbeat().await?;
        }
    }
}

/// The runtimes, the names of their daemons, and their agents.
async fn found_runtimes(
    connection: &mut PgConnection,
) -> anyhow::Result<Vec<(Uuid, String, Vec<Uuid>)>> {
    let rows = sqlx::query(
        "select runtime.id, runtime.daemon_id, array_agg(agent.id order by agent.name)
         from agent_runtime as runtime join agent on agent.runtime_id = runtime.id
         group by runtime.id order by runtime.daemon_id",
    )
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
        .collect()
}
