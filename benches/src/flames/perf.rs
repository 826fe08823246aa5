//! `perf`, which takes samples of the stacks of processes.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::fold::{Fold, Folded};

/// How to take samples: a thousand for a second of processor time, less one, so as not to keep step with what happens each
/// millisecond. Stacks are unwound by what the compiler says of them, because neither Rust nor Postgres keeps a register for
/// it, and for that nearly 64 KiB of each stack are kept, the most that is possible.
const HOW: [&str; 6] = [
    "--event=cpu-clock",
    "--freq=999",
    "--call-graph=dwarf,65528",
    "--mmap-pages=2048",
    "--no-buildid",
    "--no-buildid-cache",
];

/// How often perf is asked to begin, and how long after it did not. It does not where one of the processes has ended, as
/// sessions of Postgres have that made the board.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Makes sure that there is a `perf`, and that it may take samples.
pub(super) async fn check(scratch: &Path) -> anyhow::Result<()> {
    let mut command = record(&scratch.join("check.data"));
    // The sessions of Postgres may be another user's, and the kernel's part is to be seen.
    let output = command.args(["--all-cpus", "--", "true"]).output().await;
    succeeded(&output.context("flame graphs need `perf` (on Debian: linux-perf), which cannot be started")?)
        .context("flame graphs need `perf`, which may not take samples here: run as root, or set kernel.perf_event_paranoid to -1")
}

/// Samples that are being taken.
#[derive(Debug)]
pub(super) struct Recording {
    child: Child,
    file: PathBuf,
}

impl Recording {
    /// Begins to take those of the processes that there are, and of what they start from then on.
    pub(super) async fn begin(
        scratch: &Path,
        processes: impl Fn() -> Vec<u32>,
    ) -> anyhow::Result<Self> {
        let mut tries = 1;
        loop {
            match Self::try_begin(scratch, &processes()).await {
                Err(_) if tries < TRIES => tries += 1,
                begun => return begun,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_begin(scratch: &Path, processes: &[u32]) -> anyhow::Result<Self> {
        let file = scratch.join("perf.data");
        let processes: Vec<String> = processes.iter().map(u32::to_string).collect();
        // Samples are taken for as long as the shell runs, and that is until its input ends, and so however this program does.
        let mut child = record(&file)
            .args(["--pid", &processes.join(",")])
            .args(["--", "sh", "-c", "echo begun; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("perf has an output")?;
        let said = BufReader::new(stdout).lines().next_line().await?;
        if said.as_deref() != Some("begun") {
            succeeded(&child.wait_with_output().await?)?;
            anyhow::bail!("perf ended before it took samples");
        }
        Ok(Self { child, file })
    }

    /// Ends it.
    pub(super) async fn end(mut self) -> anyhow::Result<Recorded> {
        drop(self.child.stdin.take());
        succeeded(&self.child.wait_with_output().await?)?;
        Ok(Recorded(self.file))
    }
}

/// Samples that were taken.
#[derive(Debug)]
pub(super) struct Recorded(PathBuf);

impl Recorded {
    /// What was found in them, folded.
    pub(super) async fn folded(&self, server: u32) -> anyhow::Result<Folded> {
        let mut child = Command::new("perf")
            .args(["script", "--no-inline", "--no-demangle"])
            .args(["-F", "pid,ip,sym,dso", "-i"])
            .arg(&self.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().context("perf has an output")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut fold = Fold::new(server);
        while let Some(line) = lines.next_line().await? {
            fold.read(&line);
        }
        let status = child.wait().await?;
        anyhow::ensure!(status.success(), "perf script ended: {status}");
        Ok(fold.end())
    }
}

/// A `perf record` into a file.
fn record(file: &Path) -> Command {
    let mut command = Command::new("perf");
    command.arg("record").args(HOW).arg("-o").arg(file);
    command
}

/// Makes sure that perf did what it was to do; else what it said.
fn succeeded(output: &Output) -> anyhow::Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "perf: {}", said.trim());
    Ok(())
}
