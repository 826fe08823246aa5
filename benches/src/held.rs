//! The case `held`: what a transaction that stays open costs everyone else.
//!
//! While somebody's snapshot is held, nothing that was ever queued can be cleaned away: each life of a task leaves its
//! dead rows in the very indexes that the next claim goes through. Daemons live tasks without pause, first with nobody
//! in the way, then beside a transaction that only reads, then beside one that has written too, each time on a fresh
//! copy of the same board.

mod holder;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::board::{self, Board};
use crate::life::{Life, Step};
use crate::lives::{self, Lived, Part};
use crate::plans::{self, Explained, Statements};
use crate::postgres::{self, Postgres};
use crate::report::{Cell, Report, Row, Table, columns};
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
    /// By step.
    sent: Vec<(Step, Statements)>,
    claim: Statements,
}

impl HeldArgs {
    /// Runs them all and reports.
    pub(crate) async fn run(
        self,
        postgres: &Postgres,
        file: Option<PathBuf>,
    ) -> anyhow::Result<()> {
        let mut report = Report::new("held", postgres.version().await?);
        report.condition("daemons", &self.daemons);
        report.condition("seconds of a run", &self.seconds);
        for agents in &self.agents {
            for backlog in &self.backlog {
                self.compare(postgres, *agents, *backlog, &mut report)
                    .await?;
            }
        }
        report.finish(file)
    }

    /// One board with every holder.
    async fn compare(
        &self,
        postgres: &Postgres,
        agents: u32,
        backlog: u32,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        const BOARD: &str = "held";
        const COPY: &str = "held_copy";
        postgres.copy(postgres::EMPTY, BOARD).await?;
        let mut connection = postgres.connect(BOARD).await?;
        board::agents(&mut connection, self.daemons, agents).await?;
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
        postgres.drop(BOARD).await?;

        let title = format!("{agents} agents, {backlog} tasks waiting all the time");
        for run in &runs {
            let name = format!("claimTask at the end, {title}, {}", run.holder.name());
            report.detail(name, run.claim.json());
        }
        report.add(self.rates(&title, &runs))?;
        let grown = grown(&title, &runs);
        if !grown.rows.is_empty() {
            report.add(grown)?;
        }
        Ok(())
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
        let claim = of_step(&all, Step::Claim).cloned().unwrap_or_default();
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
            claim,
        })
    }

    /// How many lives a second there were.
    fn rates(&self, title: &str, runs: &[Ran]) -> Table {
        let part = f64::from(self.seconds) / f64::from(self.parts);
        let mut heads: Vec<(String, String)> = (0..self.parts)
            .map(|n| {
                let (from, to) = (f64::from(n) * part, f64::from(n + 1) * part);
                let meaning =
                    "tasks a second that were enqueued, claimed, started and completed meanwhile";
                (format!("{from:.0}–{to:.0} s"), meaning.to_owned())
            })
            .collect();
        heads.extend(columns([
            (
                "last/first",
                "the rate of the last part to that of the first",
            ),
            (
                "to free",
                "the rate of the last part to that of the run with nobody in the way",
            ),
            (
                "claim ms first",
                "the median time of a claim, over HTTP, in the first part",
            ),
            ("claim ms last", "the same in the last part"),
            ("lives", "how many tasks were completed in the whole run"),
            (
                "dead rows",
                "of the queue's table at the end, as Postgres counts them",
            ),
            (
                "enqueue",
                "pages of 8 KiB that the call's statements touch at the end, triggers left out",
            ),
            ("claim", "the same of a claim"),
            ("start", "the same of a start"),
            ("complete", "the same of a completion"),
        ]));
        let free = runs
            .first()
            .map_or(f64::NAN, |run| run.lived.last_rate(part));
        let rows = runs.iter().map(|run| {
            let (lived, parts) = (&run.lived, &run.lived.0);
            let mut cells: Vec<Cell> = parts
                .iter()
                .map(|one| Cell::Number(one.rate(part)))
                .collect();
            let first = parts.first().map_or(f64::NAN, |one| one.rate(part));
            let claim = |part: Option<&Part>| part.map_or(f64::NAN, |one| one.claims.median());
            cells.extend([
                Cell::Number(lived.last_rate(part) / first),
                Cell::Number(lived.last_rate(part) / free),
                Cell::Number(claim(parts.first())),
                Cell::Number(claim(parts.last())),
                Cell::Text(lived.lives().to_string()),
                Cell::Text(run.dead_rows.to_string()),
            ]);
            cells.extend(Step::ALL.map(|step| {
                let pages = of_step(&run.sent, step).map_or(0, Statements::pages);
                Cell::Text(pages.to_string())
            }));
            Row {
                name: run.holder.name().to_owned(),
                meaning: run.holder.meaning().to_owned(),
                cells,
            }
        });
        Table {
            title: title.to_owned(),
            columns: heads,
            rows: rows.collect(),
        }
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

fn of_step(statements: &[(Step, Statements)], step: Step) -> Option<&Statements> {
    let found = statements.iter().find(|(other, _)| *other == step);
    found.map(|(_, statements)| statements)
}

/// The statements of a claim that touch more than in the run with nobody in the way.
fn grown(title: &str, runs: &[Ran]) -> Table {
    let none = Statements::default();
    let free = runs.first().map_or(&none, |run| &run.claim);
    let rows = runs.iter().skip(1).flat_map(|run| {
        run.claim.grown(free).map(|(statement, before)| Row {
            name: run.holder.name().to_owned(),
            meaning: String::new(),
            cells: vec![
                Cell::Text(before.map_or(0, |one| one.pages).to_string()),
                Cell::Text(statement.pages.to_string()),
                Cell::Number(before.map_or(f64::NAN, |one| one.millis)),
                Cell::Number(statement.millis),
                Cell::Text(statement.executions.to_string()),
                Cell::Text(statement.query.chars().take(110).collect()),
            ],
        })
    });
    Table {
        title: format!(
            "{title}: the statements of a claim at the end that touch more than with nobody in the way"
        ),
        columns: columns([
            (
                "free",
                "pages of 8 KiB that the statement touches at the end of the run with nobody in the way",
            ),
            (
                "held",
                "the same at the end of this run; a function's are those of its statements too",
            ),
            (
                "free ms",
                "how long it takes there, explained, which is slower",
            ),
            ("held ms", "how long it takes here"),
            ("times", "how often the claim executes it"),
            ("statement", "the beginning of its text"),
        ]),
        rows: rows.collect(),
    }
}
