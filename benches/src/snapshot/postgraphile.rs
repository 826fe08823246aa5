//! PostGraphile on a board's database, in processes of its own: the script is in `benches/postgraphile`.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::npm::Package;
use crate::postgres::{Postgres, execute};

/// What a user adds to the database.
const FUNCTIONS: &str = include_str!("../../postgraphile/functions.sql");

/// A server that runs.
#[derive(Debug)]
pub(super) struct PostGraphile {
    /// Where it accepts connections.
    pub(super) address: SocketAddr,
    child: Child,
}

impl PostGraphile {
    /// Adds to a database what a user adds.
    pub(super) async fn prepare(postgres: &Postgres, database: &str) -> anyhow::Result<()> {
        let mut connection = postgres.connect(database).await?;
        execute(&mut connection, FUNCTIONS.to_owned()).await
    }

    /// Starts one with so many processes.
    pub(super) async fn start(
        package: &Package,
        postgres: &Postgres,
        database: &str,
        processes: usize,
    ) -> anyhow::Result<Self> {
        let mut child = package
            .script("server.js", &postgres.options(database)?)?
            .arg(processes.to_string())
            .env("GRAPHILE_ENV", "production")
            .spawn()?;
        let stdout = child.stdout.take().context("a server has an output")?;
        let port = BufReader::new(stdout)
            .lines()
            .next_line()
            .await?
            .context("PostGraphile ended before it served")?;
        Ok(Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?)),
            child,
        })
    }

    /// Its first process.
    pub(super) fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// Stops it.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().await?;
        Ok(())
    }
}
