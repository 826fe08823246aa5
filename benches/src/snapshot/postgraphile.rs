//! PostGraphile on a board's database, in processes of its own: the script is in `benches/postgraphile`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

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
    /// Installs what it is made of, unless that is there, and says which version it is.
    pub(super) async fn install() -> anyhow::Result<String> {
        let package = directory().join("node_modules/postgraphile/package.json");
        if !package.exists() {
            let npm = Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund"])
                .current_dir(directory())
                // What it says is no figure.
                .stdout(Stdio::null())
                .status()
                .await
                .context("npm is not there to install PostGraphile")?;
            anyhow::ensure!(npm.success(), "npm ci did not succeed: {npm}");
        }
        let package: serde_json::Value = serde_json::from_slice(&tokio::fs::read(package).await?)?;
        let version = package.get("version").and_then(|version| version.as_str());
        let node = Command::new(node()).arg("--version").output().await?;
        let node = String::from_utf8_lossy(&node.stdout);
        Ok(format!(
            "{}, Node.js {}",
            version.unwrap_or_default(),
            node.trim()
        ))
    }

    /// Adds to a database what a user adds.
    pub(super) async fn prepare(postgres: &Postgres, database: &str) -> anyhow::Result<()> {
        let mut connection = postgres.connect(database).await?;
        execute(&mut connection, FUNCTIONS.to_owned()).await
    }

    /// Starts one with so many processes.
    pub(super) async fn start(
        postgres: &Postgres,
        database: &str,
        processes: usize,
    ) -> anyhow::Result<Self> {
        let options = postgres.options(database)?;
        let socket = options.get_socket().context("Postgres is at a socket")?;
        let mut child = Command::new(node())
            .arg("server.js")
            .arg(processes.to_string())
            .current_dir(directory())
            .env("NODE_ENV", "production")
            .env("GRAPHILE_ENV", "production")
            .env("PGHOST", socket)
            .env("PGPORT", options.get_port().to_string())
            .env("PGUSER", options.get_username())
            .env("PGDATABASE", database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
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

/// Where the script is.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("postgraphile")
}

/// The Node.js that it is installed with: the machine's may be too old for it.
fn node() -> PathBuf {
    directory().join("node_modules/.bin/node")
}
