//! `callboard serve`.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;
use sea_orm::DatabaseConnection;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::database::Database;
use crate::app::{App, Config};
use crate::config::{DatabaseArgs, ServeArgs};
use crate::db::{self, ConnectOptions, migrate};
use crate::graphql::Executor;
use crate::http;
use crate::settings::Settings;

/// Runs the service.
#[derive(Args, Debug)]
pub(super) struct ServeCommand {
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
}

impl ServeCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let stop = CancellationToken::new();
        let server = Server::start(&self, stop.clone()).await?;
        tracing::info!(
            "Callboard is at http://{}, its schema at http://{0}/schema.graphql",
            server.address
        );
        wait_for_signal().await?;
        tracing::info!("stopping");
        stop.cancel();
        server.finish().await
    }
}

/// A server that runs, and the database under it.
#[derive(Debug)]
pub(super) struct Server {
    /// Where it accepts connections.
    pub(super) address: SocketAddr,
    /// The database under it.
    pub(super) database: Database,
    /// Its pool.
    pub(super) db: DatabaseConnection,
    /// What executes documents.
    pub(super) executor: Executor,
    tracker: TaskTracker,
    running: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Server {
    /// Opens the database, migrates it, and begins to serve.
    pub(super) async fn start(
        command: &ServeCommand,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        Settings::from(&command.serve.settings).check()?;
        // The address first: it fails at once, where the database takes its time.
        let listen = command.serve.listen;
        let listener = http::listen(listen)
            .with_context(|| format!("cannot accept connections at {listen}"))?;
        let address = listener.local_addr()?;

        let database = Database::open(&command.database).await?;
        let app = App::new(config(command, &database)?);
        if let Err(error) = migrate::migrate(app.db()).await {
            database.close().await?;
            return Err(error);
        }
        if let Some(url) = &database.own_url {
            tracing::info!("its own Postgres is at {url}");
        }
        let (db, executor) = (app.db().clone(), app.executor());
        let tracker = TaskTracker::new();
        let running = tracker.spawn(app.run(listener, stop));
        tracker.close();
        Ok(Self {
            address,
            database,
            db,
            executor,
            tracker,
            running,
        })
    }

    /// Waits until the server has stopped, then stops the database.
    pub(super) async fn finish(self) -> anyhow::Result<()> {
        let served = self.running.await?;
        self.tracker.wait().await;
        self.database.close().await?;
        served
    }
}

fn config(command: &ServeCommand, database: &Database) -> anyhow::Result<Config> {
    let serve = &command.serve;
    let settings = Settings::from(&serve.settings);
    Ok(Config {
        database: database.options.clone(),
        listener_database: serve
            .listener_database_url
            .as_ref()
            .map(db::parse_url)
            .transpose()?,
        connect: ConnectOptions {
            max_connections: serve.max_connections,
            statement_timeout: serve.statement_timeout,
        },
        settings,
    })
}

/// Waits for Ctrl-C, or for what an init system sends.
pub(super) async fn wait_for_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
