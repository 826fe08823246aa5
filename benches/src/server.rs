//! Servers in processes of their own: what one uses of the processor can then be told from what the load and the database
//! use.
//!
//! Callboard's process is this program again. Each ends when its standard input does, and so however this one ends.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use callboard::app::{App, Config};
use callboard::db::ConnectOptions;
use callboard::settings::Settings;
use clap::Args;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fanout;
use crate::plans::Explained;
use crate::postgres::{self, Postgres};
use crate::processor;

/// How a server connects to its database: as `callboard serve` does where nothing else is said.
const CONNECT: ConnectOptions = ConnectOptions {
    max_connections: 20,
    statement_timeout: Duration::from_secs(15),
};

/// What the process of a server is told.
#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// The way to Postgres.
    #[arg(long)]
    url: String,
    /// Which of its databases.
    #[arg(long)]
    database: String,
    /// Of which statements Postgres writes the plan to its log.
    #[arg(long)]
    explained: Option<Explained>,
    /// That it has the edge which async-graphql brings for axum.
    #[arg(long)]
    stock: bool,
}

impl ServerArgs {
    /// Serves until standard input ends.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut database = postgres::options(&self.url, &self.database)?;
        if let Some(explained) = self.explained {
            database = explained.on(database);
        }
        // What the database allows is measured, not what one client is allowed.
        let mut settings = Settings::default();
        settings.edge.requests_per_second = 0;
        settings.edge.connections_per_token = usize::MAX;
        let config = Config {
            database,
            listener_database: None,
            connect: CONNECT,
            settings,
        };
        let listener = callboard::http::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{}", listener.local_addr()?)?;
        stdout.flush()?;

        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let running = if self.stock {
            tracker.spawn(fanout::serve_stock(config, listener, stop.clone()))
        } else {
            tracker.spawn(App::new(config).run(listener, stop.clone()))
        };
        let mut stdin = Receiver::from_owned_fd(std::io::stdin().as_fd().try_clone_to_owned()?)?;
        stdin.read_to_end(&mut Vec::new()).await?;
        stop.cancel();
        running.await?
    }
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it accepts connections.
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts one on a database.
    pub(crate) async fn start(postgres: &Postgres, database: &str) -> anyhow::Result<Self> {
        Self::start_with(postgres, database, &[]).await
    }

    /// Starts one whose statements Postgres explains in its log.
    pub(crate) async fn start_explained(
        postgres: &Postgres,
        database: &str,
        explained: Explained,
    ) -> anyhow::Result<Self> {
        let explained = match explained {
            Explained::Sent => "--explained=sent",
            Explained::All => "--explained=all",
        };
        Self::start_with(postgres, database, &[explained]).await
    }

    /// Starts one that has the edge which async-graphql brings for axum.
    pub(crate) async fn start_stock(postgres: &Postgres, database: &str) -> anyhow::Result<Self> {
        Self::start_with(postgres, database, &["--stock"]).await
    }

    async fn start_with(
        postgres: &Postgres,
        database: &str,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("server")
            .args(["--url", &postgres.url(), "--database", database])
            .args(more);
        Self::spawn(&mut command).await
    }

    /// Starts one that says on its first line where it accepts connections.
    pub(crate) async fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("a server has an output")?;
        let address = BufReader::new(stdout)
            .lines()
            .next_line()
            .await?
            .context("a server ended before it served")?;
        Ok(Self {
            address: address.parse()?,
            child,
        })
    }

    /// Its process.
    pub(crate) fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// How many MiB of memory it has resident.
    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        processor::mib(self.process().context("the server has ended")?)
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Stops it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().await?;
        Ok(())
    }
}
