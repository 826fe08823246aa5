//! The peers' side: processes of Node.js with a peer's library in them; the scripts are in `benches/peers`.

use std::convert::Infallible;
use std::io;
use std::process::ExitStatus;

use anyhow::Context;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdin;
use tokio::task::JoinSet;

use super::side::{Load, Mode};
use crate::npm::Package;

/// How many tasks are enqueued at a time, where many are.
const TOGETHER: usize = 100;

/// How many do that at once.
const PRODUCERS: usize = 4;

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
        let mut child = package
            .script(script, database)?
            .args(["--mode", mode])
            .args(["--workers", &load.workers.to_string()])
            .args(["--outstanding", &load.outstanding.to_string()])
            .args(["--producers", &producers.to_string()])
            .args(["--batch", &batch.to_string()])
            .env("NO_LOG_SUCCESS", "1")
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
