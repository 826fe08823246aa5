//! Flame graphs: what a server, and Postgres behind it, spend their processor time on while a case puts them under load.
//!
//! They are drawn of work that is done once more after it was measured: taking a sample of a stack a thousand times a second
//! costs processor time too, and no figure is to have that in it.
//!
//! `perf` takes the samples, because it sees what the kernel does for a process, a third of all, and the process need not
//! know. A profiler within the server, as the crate `pprof` is, sees neither the kernel nor Postgres, and what is measured
//! would be another program. The samples are folded and drawn here: the crate `inferno`, which does both, has a licence
//! that the project does not take on for a picture, and draws for a browser with scripts what is shown in a page here.

mod draw;
mod fold;
mod name;
mod perf;

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::postgres::Postgres;
use crate::processor;
use crate::server::Server;

use draw::Picture;

/// The flame graphs that are wanted of a run.
#[derive(Debug)]
pub(crate) struct Flames(Option<PathBuf>);

/// Whose time is looked at: the processes of a server, and of Postgres before the server has begun new sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    server: Option<u32>,
    postmaster: Option<u32>,
}

impl Watched {
    /// Those of this server on this Postgres.
    pub(crate) fn of(server: &Server, postgres: &Postgres) -> Self {
        Self {
            server: server.process(),
            postmaster: postgres.process(),
        }
    }

    fn processes(self) -> Vec<u32> {
        let sessions = self.postmaster.map(processor::processes);
        self.server
            .into_iter()
            .chain(sessions.unwrap_or_default())
            .collect()
    }
}

impl Flames {
    /// Those that go into a directory, if there is one. Makes sure that they can be had before anything is measured.
    pub(crate) async fn into(directory: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(directory) = &directory {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("{} cannot be made", directory.display()))?;
            let scratch = scratch(directory)?;
            perf::check(scratch.path()).await?;
        }
        Ok(Self(directory))
    }

    /// Whether there are to be any.
    pub(crate) const fn wanted(&self) -> bool {
        self.0.is_some()
    }

    /// If they are wanted, has some work done and draws what was done for it, in files of this name. Otherwise the work is
    /// not begun.
    pub(crate) async fn of<T>(
        &self,
        name: &str,
        watched: Watched,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<()> {
        let Some(directory) = &self.0 else {
            return Ok(());
        };
        let server = watched.server.context("there is a server")?;
        let scratch = scratch(directory)?;
        let recording = perf::Recording::begin(scratch.path(), || watched.processes()).await?;
        work.await?;
        let found = recording.end().await?.folded(server).await?;
        for (whose, file, stacks) in [
            ("the server", format!("{name}.svg"), found.server),
            ("Postgres", format!("{name}-postgres.svg"), found.postgres),
        ] {
            let title = format!("{name}: what {whose} spends its processor time on");
            let file = directory.join(file);
            std::fs::write(&file, Picture::of(&title, &stacks).to_string())
                .with_context(|| format!("{} cannot be written", file.display()))?;
        }
        Ok(())
    }
}

/// A place for what is recorded until it is drawn.
fn scratch(directory: &Path) -> anyhow::Result<TempDir> {
    Ok(TempDir::with_prefix_in("perf-", directory)?)
}
