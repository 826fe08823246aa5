//! The case `idle`: what daemons cost that have nothing to do.
//!
//! Daemons ask for tasks that are not there, and say that they are there. What a call costs is the difference that many
//! calls make to what Postgres counts, less what it counts in as long a time without them.

pub(crate) mod call;
mod toll;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::board::{self, Board};
use crate::fanout;
use crate::flames::{Flames, Watched};
use crate::postgres::Postgres;
use crate::report::{Cell, Report, Row, Table, columns};
use crate::server::Server;

use call::Call;
use toll::Toll;

/// The board of the run.
const BOARD: &str = "idle";

/// How long a server is left alone before its memory is looked at.
const BREATH: Duration = Duration::from_secs(5);

/// How much to measure.
#[derive(Args, Debug)]
pub(crate) struct IdleArgs {
    /// How many daemons there are, each with a runtime and an agent on it.
    #[arg(long, default_value_t = 1_000)]
    daemons: u32,
    /// How many finished tasks the board has.
    #[arg(long, default_value_t = 100_000)]
    finished: u32,
    /// How often each of them makes each call.
    #[arg(long, default_value_t = 20)]
    calls: u32,
    /// How many calls are under way at once.
    #[arg(long, default_value_t = 32)]
    at_once: u32,
}

/// What many calls cost.
#[derive(Debug)]
struct Found {
    call: Call,
    calls: f64,
    seconds: f64,
    toll: Toll,
}

impl IdleArgs {
    /// Measures and reports.
    pub(crate) async fn run(
        self,
        postgres: &Postgres,
        file: Option<PathBuf>,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        fanout::many_files()?;
        let mut report = Report::new("idle", postgres.version().await?);
        report.condition("finished tasks on the board", &self.finished);
        report.condition("calls of each daemon", &self.calls);
        report.condition("calls at once", &self.at_once);
        let mut connection =
            board::with_agents(postgres, BOARD, self.daemons, self.daemons).await?;
        board::finished_tasks(&mut connection, self.finished).await?;
        board::settle_down(&mut connection).await?;
        let alone = alone(postgres).await?;
        let board = Board::open(postgres, BOARD).await?;
        let mut found = Vec::new();
        for call in Call::ALL {
            let calls = self.calls * self.daemons;
            // What is done for the first time costs more.
            call.make(&board.runtimes, self.daemons, self.at_once)
                .await?;
            let mut toll = async || toll::read(&mut connection, &board, postgres).await;
            let before = toll().await?;
            let began = Instant::now();
            call.make(&board.runtimes, calls, self.at_once).await?;
            let seconds = began.elapsed();
            let between = toll().await?;
            tokio::time::sleep(seconds).await;
            let after = toll().await?;
            found.push(Found {
                call,
                calls: f64::from(calls),
                seconds: seconds.as_secs_f64(),
                toll: between.less(&before).less(&after.less(&between)),
            });
        }
        let memory = [alone, board.server.memory()?];
        for call in Call::ALL {
            let calls = self.calls * self.daemons;
            let made = call.make(&board.runtimes, calls, self.at_once);
            let watched = Watched::of(&board.server, postgres);
            flames
                .of(&format!("idle-{}", call.name()), watched, made)
                .await?;
        }
        board.server.stop().await?;
        drop(connection);
        postgres.drop(BOARD).await?;
        report.add(self.calls_table(&found))?;
        report.add(memory_table(memory))?;
        report.finish(file)
    }

    fn calls_table(&self, found: &[Found]) -> Table {
        let rows = found.iter().map(|found| Row {
            name: found.call.name().to_owned(),
            meaning: found.call.meaning().to_owned(),
            cells: [
                found.calls / found.seconds,
                found.toll.rows / found.calls,
                found.toll.wal_bytes / found.calls,
                found.toll.index_scans / found.calls,
                found.toll.table_scans / found.calls,
                found.toll.postgres * 1e6 / found.calls,
                found.toll.server * 1e6 / found.calls,
            ]
            .map(Cell::Number)
            .to_vec(),
        });
        Table {
            title: format!(
                "The calls of {} daemons that have nothing to do",
                self.daemons
            ),
            columns: columns([
                ("calls/s", "how many were answered in a second"),
                (
                    "rows",
                    "rows that were inserted, updated or deleted for a call",
                ),
                (
                    "WAL bytes",
                    "what was written to the write-ahead log for it",
                ),
                (
                    "index scans",
                    "how often an index was searched for it, those of Postgres' own tables not counted",
                ),
                (
                    "table scans",
                    "how often a table was read from one end to the other",
                ),
                ("Postgres µs", "processor time that Postgres used for it"),
                ("server µs", "the same of Callboard's server"),
            ]),
            rows: rows.collect(),
        }
    }
}

/// What was found of memory.
fn memory_table([alone, after]: [f64; 2]) -> Table {
    let row = |name: &str, meaning: &str, mib: f64| Row {
        name: name.to_owned(),
        meaning: meaning.to_owned(),
        cells: vec![Cell::Number(mib)],
    };
    Table {
        title: "Memory of the server".to_owned(),
        columns: columns([("MiB", "resident memory")]),
        rows: vec![
            row("alone", "it has started, and nobody has called yet", alone),
            row(
                "after the calls",
                "with a connection of each daemon that is still open",
                after,
            ),
        ],
    }
}

/// The memory of a server that nobody calls.
async fn alone(postgres: &Postgres) -> anyhow::Result<f64> {
    let server = Server::start(postgres, BOARD).await?;
    tokio::time::sleep(BREATH).await;
    let memory = server.memory()?;
    server.stop().await?;
    Ok(memory)
}
