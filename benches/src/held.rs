//! The case `held`: what a transaction that stays open costs everyone else.
//!
//! While somebody's snapshot is held, nothing that was ever queued can be cleaned away: each life of a task leaves its
//! dead rows in the very indexes that the next claim goes through. Daemons live tasks without pause, first with nobody
//! in the way, then beside a transaction that only reads, then beside one that has written too, each time on a fresh
//! copy of the same board.

mod holder;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::board::{self, Board};
use crate::flames::{Flames, Watched};
use crate::life::{Life, Step};
use crate::lives::{self, Lived};
use crate::plans::{self, Explained, Statements};
use crate::postgres::Postgres;
use crate::report::Report;
use crate::server::Server;

use holder::Holder;

/// How much to measure.
#[derive(Args, Debug)]
pub(crate) struct HeldArgs {
    /// For how many seconds each run lives tasks.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Into how many parts the seconds are cut.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..))]
    parts: u32,
    /// How many daemons, each with a runtime of its own and one task at a time.
    #[arg(long, default_value_t = 8)]
    daemons: u32,
    /// How many agents there are, dealt out over the runtimes: a run for each number.
    #[arg(long, value_delimiter = ',', default_value = "1000,10")]
    agents: Vec<u32>,
    /// How many tasks wait all the time: a run for each number.
    #[arg(long, value_delimiter = ',', default_value = "0,10000")]
    backlog: Vec<u32>,
}

/// What one run found out.
#[derive(Debug)]
struct Ran {
    holder: Holder,
    lived: Lived,
    dead_rows: i64,
    /// The statements that a server sends for each step at the end of the run.
    sent: Vec<(Step, Statements)>,
    /// Those and what they call.
    all: Vec<(Step, Statements)>,
}

impl HeldArgs {
    /// Runs them all and reports.
    pub(crate) async fn run(
        self,
        postgres: &Postgres,
        file: Option<PathBuf>,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        let mut report = Report::new("held", postgres.version().await?);
        report.condition("daemons", &self.daemons);
        report.condition("seconds of a run", &self.seconds);
        for agents in &self.agents {
            for backlog in &self.backlog {
                let size = (*agents, *backlog);
                self.compare(postgres, size, &mut report, flames).await?;
            }
        }
        report.finish(file)
    }

    /// One board with every holder.
    async fn compare(
        &self,
        postgres: &Postgres,
        (agents, backlog): (u32, u32),
        report: &mut Report,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        const BOARD: &str = "held";
        const COPY: &str = "held_copy";
        let mut connection = board::with_agents(postgres, BOARD, self.daemons, agents).await?;
        if backlog > 0 {
            board::backlog(&mut connection, agents, backlog).await?;
        }
        holder::prepare(&mut connection).await?;
        board::settle_down(&mut connection).await?;
        drop(connection);

        let mut runs = Vec::new();
        for holder in Holder::ALL {
            postgres.copy(BOARD, COPY).await?;
            runs.push(self.one(postgres, COPY, holder).await?);
            postgres.drop(COPY).await?;
        }
        for holder in Holder::ALL.into_iter().filter(|_| flames.wanted()) {
            let name = format!("held-{agents}-{backlog}-{}", holder.file());
            postgres.copy(BOARD, COPY).await?;
            self.draw(postgres, COPY, holder, (&name, flames)).await?;
            postgres.drop(COPY).await?;
        }
        postgres.drop(BOARD).await?;

        let title = format!("{agents} agents, {backlog} tasks waiting all the time");
        for run in &runs {
            for (step, statements) in &run.all {
                let name = format!("{} at the end, {title}, {}", step.name(), run.holder.name());
                report.detail(name, statements.json());
            }
        }
        let part = f64::from(self.seconds) / f64::from(self.parts);
        report.add(table::rates(&title, part, &runs))?;
        let grown = table::grown(&title, &runs);
        if !grown.rows.is_empty() {
            report.add(grown)?;
        }
        Ok(())
    }

    /// Runs once more on a fresh board, and draws it.
    async fn draw(
        &self,
        postgres: &Postgres,
        database: &str,
        holder: Holder,
        (name, flames): (&str, &Flames),
    ) -> anyhow::Result<()> {
        let board = Board::open(postgres, database).await?;
        let held = holder.begin(postgres, database).await?;
        let lives = lives::live(&board, Duration::from_secs(self.seconds.into()), 1);
        let watched = Watched::of(&board.server, postgres);
        flames.of(name, watched, lives).await?;
        drop(held);
        board.server.stop().await
    }

    /// One run on a fresh board.
    async fn one(
        &self,
        postgres: &Postgres,
        database: &str,
        holder: Holder,
    ) -> anyhow::Result<Ran> {
        let board = Board::open(postgres, database).await?;
        let held = holder.begin(postgres, database).await?;
        let part = Duration::from_secs(self.seconds.into()) / self.parts;
        let lived = lives::live(&board, part, self.parts).await?;
        let sent = explained_life(postgres, &board, Explained::Sent).await?;
        let all = explained_life(postgres, &board, Explained::All).await?;
        let mut connection = postgres.connect(database).await?;
        let dead_rows = sqlx::query_scalar(
            "select n_dead_tup from pg_stat_user_tables where relname = 'agent_task_queue'",
        )
        .fetch_one(&mut connection)
        .await?;
        drop(held);
        board.server.stop().await?;
        Ok(Ran {
            holder,
            lived,
            dead_rows,
            sent,
            all,
        })
    }
}

/// The statements of a life at the end of a run.
async fn explained_life(
    postgres: &Postgres,
    board: &Board,
    explained: Explained,
) -> anyhow::Result<Vec<(Step, Statements)>> {
    // More often than a statement is planned anew for each execution; the last time is kept.
    const TIMES: u32 = 8;
    let server = Server::start_explained(postgres, &board.database, explained).await?;
    let mut runtime = board.runtime()?.clone();
    runtime.daemon = runtime.daemon.at(server.address)?;
    let host = board.host.at(server.address)?;
    let agent = runtime.agents.first().copied().unwrap_or_default();
    let log = postgres.log();
    let mut statements = Vec::new();
    for _ in 0..TIMES {
        statements.clear();
        let mut life = Life::new(&host, &runtime, agent);
        for step in Step::ALL {
            let position = plans::end(&log)?;
            life.make(step).await?;
            statements.push((step, plans::since(&log, position)?));
        }
    }
    server.stop().await?;
    Ok(statements)
}
