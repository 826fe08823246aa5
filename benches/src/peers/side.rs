//! Who takes part, and how much each has to do.

use super::count;

/// Whose lives are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Queue {
    Callboard,
    GraphileWorker,
    PgBoss,
}

impl Queue {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Callboard => "Callboard",
            Self::GraphileWorker => "graphile-worker",
            Self::PgBoss => "pg-boss",
        }
    }

    /// With which script a peer works, and how it is counted.
    pub(super) const fn peer(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Callboard => None,
            Self::GraphileWorker => Some(("graphile-worker.js", count::GRAPHILE_WORKER)),
            Self::PgBoss => Some(("pg-boss.js", count::PG_BOSS)),
        }
    }
}

/// How tasks are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    Single,
    Batched,
}

impl Mode {
    /// What it is called in the names of files.
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Batched => "batched",
        }
    }
}

/// One of those that are compared.
pub(super) type Side = (Mode, Queue);

/// How much there is to do at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) mode: Mode,
    /// How many tasks can be at work.
    pub(super) workers: usize,
    /// How many tasks there are at most that are not finished.
    pub(super) outstanding: usize,
}

impl Load {
    pub(super) const fn new(mode: Mode, workers: usize) -> Self {
        let outstanding = match mode {
            Mode::Single => 2 * workers,
            Mode::Batched => 32 * workers,
        };
        Self {
            mode,
            workers,
            outstanding,
        }
    }

    /// What one of so many processes has of it.
    pub(super) const fn part(self, processes: usize) -> Self {
        Self {
            mode: self.mode,
            workers: self.workers.div_ceil(processes),
            outstanding: self.outstanding.div_ceil(processes),
        }
    }
}

/// What each side is, and does.
pub(super) const fn meaning((mode, queue): Side) -> &'static str {
    match (mode, queue) {
        (Mode::Single, Queue::Callboard) => {
            "daemons with one task each and their host, through GraphQL over HTTP: four calls for a life"
        }
        (Mode::Batched, Queue::Callboard) => {
            "fewer daemons, each of which claims many tasks together; no call enqueues, starts or completes many"
        }
        (Mode::Single, Queue::GraphileWorker) => {
            "addJob, and workers that take one job each; as many connections as it recommends"
        }
        (Mode::Batched, Queue::GraphileWorker) => {
            "addJobs of 100; a local queue of 500 and completions sent together, as its page on performance shows"
        }
        (Mode::Single, Queue::PgBoss) => {
            "send, and loops of fetch and complete, one job each: its work() would wait half a second after each job"
        }
        (Mode::Batched, Queue::PgBoss) => {
            "insert of 100, and four workers of work() with batches of 200, which are fetched without pause while they are full"
        }
    }
}
