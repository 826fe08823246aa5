//! The case `queue`: how many tasks live in a second (enqueued, claimed, started, completed, each in a transaction of
//! its own) through GraphQL over HTTP, against the same as plain SQL by pgbench.
//!
//! pgbench runs the queries that Callboard's tables were made for, on the same tables: once with Callboard's triggers,
//! which write the events, and once without. It authenticates nobody, checks less (a claim of its can overshoot an
//! agent's capacity), and knows the agent to claim for. Each side has, in turn, a fresh copy of the same board.

pub(crate) mod pgbench;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::board::{self, Board};
use crate::flames::{Flames, Watched};
use crate::lives;
use crate::postgres::{Postgres, execute};
use crate::processor::Used;
use crate::rates::Rates;
use crate::report::{Report, Row, Table, columns};
use crate::sample::Sample;

/// The board of every run.
const BOARD: &str = "queue";

/// Its copy that is measured on.
const COPY: &str = "queue_copy";

/// How many agents a runtime has; the script of pgbench knows the number too.
const AGENTS: u32 = 8;

/// How much to measure.
#[derive(Args, Debug)]
pub(crate) struct QueueArgs {
    /// How often the sides take turns.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// For how many seconds each side runs in each round.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// How many daemons, or clients of pgbench, there are, each with one task at a time: a comparison for each number.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,128")]
    daemons: Vec<u32>,
}

/// Whose lives are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Callboard,
    WithEvents,
    Bare,
}

impl Side {
    const ALL: [Self; 3] = [Self::Callboard, Self::WithEvents, Self::Bare];

    const fn name(self) -> &'static str {
        match self {
            Self::Callboard => "Callboard",
            Self::WithEvents => "pgbench, with events",
            Self::Bare => "pgbench, bare",
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::Callboard => "daemons and their host, through GraphQL over HTTP",
            Self::WithEvents => {
                "the queries as plain SQL over a socket, prepared, on the same tables"
            }
            Self::Bare => {
                "the same with Callboard's triggers disabled, so that no events are written"
            }
        }
    }
}

/// What was found out about a side.
#[derive(Debug, Default)]
struct Found {
    rates: Rates,
    server: Sample,
    postgres: Sample,
    load: Sample,
    memory: Sample,
}

impl QueueArgs {
    /// Runs all sides and reports.
    pub(crate) async fn run(
        self,
        postgres: &Postgres,
        file: Option<PathBuf>,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        let mut report = Report::new("queue", postgres.version().await?);
        report.condition("rounds", &self.rounds);
        report.condition("seconds of each side in a round", &self.seconds);
        for daemons in &self.daemons {
            let table = self.compare(postgres, flames, *daemons).await?;
            report.add(table)?;
        }
        report.finish(file)
    }

    async fn compare(
        &self,
        postgres: &Postgres,
        flames: &Flames,
        daemons: u32,
    ) -> anyhow::Result<Table> {
        // The script of pgbench names those from the second hand on.
        let mut connection =
            board::with_agents(postgres, BOARD, daemons, daemons * (AGENTS + 1)).await?;
        board::settle_down(&mut connection).await?;
        drop(connection);
        let mut found: BTreeMap<Side, Found> = BTreeMap::new();
        for _round in 0..self.rounds {
            for side in Side::ALL {
                postgres.copy(BOARD, COPY).await?;
                let found = found.entry(side).or_default();
                self.one(postgres, COPY, daemons, side, found).await?;
                postgres.drop(COPY).await?;
            }
        }
        if flames.wanted() {
            self.draw(postgres, flames, daemons).await?;
        }
        postgres.drop(BOARD).await?;
        Ok(table(daemons, &found))
    }

    /// Lets Callboard run once more, and draws it.
    async fn draw(&self, postgres: &Postgres, flames: &Flames, daemons: u32) -> anyhow::Result<()> {
        postgres.copy(BOARD, COPY).await?;
        let board = Board::open(postgres, COPY).await?;
        let lives = lives::live(&board, Duration::from_secs(self.seconds.into()), 1);
        let watched = Watched::of(&board.server, postgres);
        flames
            .of(&format!("queue-{daemons}"), watched, lives)
            .await?;
        board.server.stop().await?;
        postgres.drop(COPY).await
    }

    /// One side in one round.
    async fn one(
        &self,
        postgres: &Postgres,
        database: &str,
        daemons: u32,
        side: Side,
        found: &mut Found,
    ) -> anyhow::Result<()> {
        let (rate, used, memory) = match side {
            Side::Callboard => {
                let board = Board::open(postgres, database).await?;
                let server = board.server.process();
                let before = Used::until_now(server, postgres.process());
                let time = Duration::from_secs(self.seconds.into());
                let lived = lives::live(&board, time, 1).await?;
                let used = Used::until_now(server, postgres.process()).since(before);
                let memory = board.server.memory()?;
                board.server.stop().await?;
                (lived.last_rate(self.seconds.into()), used, memory)
            }
            Side::WithEvents | Side::Bare => {
                if side == Side::Bare {
                    let mut connection = postgres.connect(database).await?;
                    let sql = "alter table agent_task_queue disable trigger agent_task_queue_after_insert;
                               alter table agent_task_queue disable trigger agent_task_queue_after_update";
                    execute(&mut connection, sql.to_owned()).await?;
                }
                let before = Used::until_now(None, postgres.process());
                let rate = pgbench::run(postgres, database, daemons, self.seconds).await?;
                let used = Used::until_now(None, postgres.process()).since(before);
                (rate, used, f64::NAN)
            }
        };
        found.rates.add(rate);
        let micros = |seconds: f64| seconds * 1e6 / (rate * f64::from(self.seconds));
        found.server.add(micros(used.server));
        found.postgres.add(micros(used.postgres));
        found.load.add(micros(used.load));
        found.memory.add(memory);
        Ok(())
    }
}

/// What was found out, with so many daemons.
fn table(daemons: u32, found: &BTreeMap<Side, Found>) -> Table {
    let rows = found.iter().map(|(side, own)| {
        let callboard = found.get(&Side::Callboard).map(|it| &it.rates);
        let costs = [&own.postgres, &own.server, &own.load, &own.memory];
        Row {
            name: side.name().to_owned(),
            meaning: side.meaning().to_owned(),
            cells: own.rates.cells_with(callboard, costs),
        }
    });
    Table {
        title: format!("{daemons} daemons, each with one task at a time"),
        columns: columns([
            (
                "lives/s",
                "tasks a second that were enqueued, claimed, started and completed; the middle round",
            ),
            ("spread", "the smallest and the largest of the rounds"),
            (
                "Callboard's",
                "Callboard's rate to this one's, of the same round; the middle round",
            ),
            ("its spread", "the smallest and the largest of these"),
            (
                "Postgres µs",
                "processor time that Postgres used for a life: a thousandth of it is seconds for 1 000 lives",
            ),
            ("server µs", "the same of Callboard's server"),
            (
                "load µs",
                "the same of this program, which plays daemons and host; pgbench's own is not counted",
            ),
            (
                "MiB",
                "memory that Callboard's server had resident at the end of a run",
            ),
        ]),
        rows: rows.collect(),
    }
}
