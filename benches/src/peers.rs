//! The case `peers`: how many tasks live in a second, against the queues that people would else take.
//!
//! The peers are libraries for Node.js, graphile-worker and pg-boss, with the settings that their documentation
//! recommends; their scripts are in `benches/peers`. Callboard does more for a task than they: it is called over HTTP, says
//! in a transaction of its own that a task has begun, and writes an event of each change. All sides keep as many tasks
//! outstanding, do nothing with a task, and are counted by what the database has when others look at it. Each has, in turn,
//! a fresh database.

mod callboard;
mod count;
mod found;
mod node;
mod side;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::board::{self, Board};
use crate::flames::{Flames, Watched};
use crate::npm::Package;
use crate::postgres::Postgres;
use crate::report::{Report, Table};

use count::Counted;
use found::{Found, table};
use side::{Load, Mode, Queue, Side};

/// The database of one side in one round.
const COPY: &str = "peers_copy";

/// How much to measure.
#[derive(Args, Debug)]
pub(crate) struct PeersArgs {
    /// How often the sides take turns.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// For how many seconds each side is counted in each round.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// For how many seconds it works before that.
    #[arg(long, default_value_t = 3)]
    warm_up: u32,
    /// How many tasks can be at work at once: a comparison for each number.
    #[arg(long, value_delimiter = ',', default_value = "32,128")]
    workers: Vec<usize>,
    /// Over how many processes of Node.js these are dealt out.
    #[arg(long, default_value_t = NonZeroUsize::MIN)]
    processes: NonZeroUsize,
    /// How many agents each of Callboard's daemons has, with up to six tasks at once.
    #[arg(long, default_value_t = 8)]
    agents: u32,
    /// How many tasks each of them has at once, where it claims many together.
    #[arg(long, default_value = "16")]
    together: NonZeroUsize,
    /// Which sides take part.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "callboard,graphile-worker,pg-boss"
    )]
    queues: Vec<Queue>,
}

impl PeersArgs {
    /// Runs all sides and reports.
    pub(crate) async fn run(
        self,
        postgres: &Postgres,
        file: Option<PathBuf>,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        let package = Package::installed("peers").await?;
        let mut report = Report::new("peers", postgres.version().await?);
        report.condition("Callboard", &env!("CARGO_PKG_VERSION"));
        report.condition("graphile-worker", &package.version("graphile-worker")?);
        report.condition("pg-boss", &package.version("pg-boss")?);
        report.condition("Node.js", &package.node_version().await?);
        report.condition("processes of Node.js", &self.processes);
        report.condition("agents of each daemon", &self.agents);
        report.condition(
            "tasks of a daemon that claims many together",
            &self.together,
        );
        report.condition("rounds", &self.rounds);
        report.condition("seconds of each side in a round", &self.seconds);
        report.condition("seconds of warming up before them", &self.warm_up);
        for workers in &self.workers {
            let table = self.compare(postgres, &package, *workers).await?;
            for mode in [Mode::Single, Mode::Batched] {
                self.draw(postgres, Load::new(mode, *workers), flames)
                    .await?;
            }
            report.add(table)?;
        }
        report.finish(file)
    }

    async fn compare(
        &self,
        postgres: &Postgres,
        package: &Package,
        workers: usize,
    ) -> anyhow::Result<Table> {
        let mut found: BTreeMap<Side, Found> = BTreeMap::new();
        for _round in 0..self.rounds {
            for mode in [Mode::Single, Mode::Batched] {
                let load = Load::new(mode, workers);
                for queue in &self.queues {
                    let counted = match queue.peer() {
                        None => self.callboard(postgres, load).await?,
                        Some(peer) => self.peer(postgres, package, peer, load).await?,
                    };
                    postgres.drop(COPY).await?;
                    found.entry((mode, *queue)).or_default().add(&counted);
                }
            }
        }
        Ok(table(workers, &found))
    }

    /// A board with a daemon for so many tasks at once as one has in this mode: how many these are.
    async fn board(&self, postgres: &Postgres, load: Load) -> anyhow::Result<(Board, usize)> {
        let slots = match load.mode {
            Mode::Single => 1,
            Mode::Batched => self.together.get(),
        };
        let daemons = u32::try_from(load.workers.div_ceil(slots))?;
        let mut connection =
            board::with_agents(postgres, COPY, daemons, daemons * self.agents).await?;
        board::settle_down(&mut connection).await?;
        Ok((Board::open(postgres, COPY).await?, slots))
    }

    /// Lets Callboard work once more, and draws it.
    async fn draw(&self, postgres: &Postgres, load: Load, flames: &Flames) -> anyhow::Result<()> {
        if !flames.wanted() {
            return Ok(());
        }
        let (board, slots) = self.board(postgres, load).await?;
        let name = format!("peers-{}-{}", load.workers, load.mode.file());
        let time = Duration::from_secs(self.seconds.into());
        let lived = async {
            let working = callboard::live(&board, load, slots);
            let failed = tokio::time::timeout(time, working).await;
            failed.map_or(Ok(()), |failed| failed.map(|never| match never {}))
        };
        let watched = Watched::of(&board.server, postgres);
        flames.of(&name, watched, lived).await?;
        board.server.stop().await?;
        postgres.drop(COPY).await
    }

    async fn callboard(&self, postgres: &Postgres, load: Load) -> anyhow::Result<Counted> {
        let (board, slots) = self.board(postgres, load).await?;
        let processes = count::Processes {
            server: board.server.process(),
            postgres: postgres.process(),
            clients: vec![std::process::id()],
        };
        let counted = tokio::select! {
            failed = callboard::live(&board, load, slots) => failed.map(|never| match never {}),
            counted = self.count(postgres, count::CALLBOARD, &processes) => counted,
        }?;
        board.server.stop().await?;
        Ok(counted)
    }

    async fn peer(
        &self,
        postgres: &Postgres,
        package: &Package,
        (script, sql): (&str, &'static str),
        load: Load,
    ) -> anyhow::Result<Counted> {
        postgres.copy("template1", COPY).await?;
        let mut workers = node::Workers::default();
        for _ in 0..self.processes.get() {
            let options = postgres.options(COPY)?;
            let part = load.part(self.processes.get());
            workers.start(package, script, &options, part).await?;
        }
        let processes = count::Processes {
            server: None,
            postgres: postgres.process(),
            clients: workers.processes().to_vec(),
        };
        let counted = tokio::select! {
            failed = workers.fail() => failed.map(|never| match never {}),
            counted = self.count(postgres, sql, &processes) => counted,
        }?;
        workers.stop().await?;
        Ok(counted)
    }

    async fn count(
        &self,
        postgres: &Postgres,
        sql: &'static str,
        processes: &count::Processes,
    ) -> anyhow::Result<Counted> {
        let mut connection = postgres.connect(COPY).await?;
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        // Half before the database is left as days of autovacuum would, half after.
        tokio::time::sleep(seconds(self.warm_up) / 2).await;
        board::settle_down(&mut connection).await?;
        tokio::time::sleep(seconds(self.warm_up) / 2).await;
        Counted::during(seconds(self.seconds), &mut connection, sql, processes).await
    }
}
