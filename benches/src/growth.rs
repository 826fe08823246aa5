//! The case `growth`: how what a call costs grows with the tasks that wait on the board, and with the daemons there are.
//!
//! The same calls are made on boards of several sizes. Claims and enqueues go to one runtime, in whose line all tasks wait:
//! once with what is at the head to be had, and once with all of it held back. Beside them pgbench sends the statements that
//! Callboard's tables were made for, to the same rows. Rounds go from board to board, so that whatever else the machine
//! does meets them alike. (What daemons do without a task is measured on one board after the other, since those of the
//! others would have to say all the time that they are there.)

pub(crate) mod found;
mod line;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use crate::board::{self, Board};
use crate::fanout;
use crate::flames::{Flames, Watched};
use crate::idle::call::Call;
use crate::postgres::Postgres;
use crate::report::Report;

use found::{Figure, Found};
use line::Line;

/// The board that has daemons and no tasks.
const IDLE: &str = "growth_idle";

/// How much to measure.
#[derive(Args, Debug)]
pub(crate) struct GrowthArgs {
    /// How often the boards are gone through.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How many tasks are enqueued and claimed in each round: no more than six for each agent.
    #[arg(long, default_value_t = 500)]
    calls: u32,
    /// How many calls are under way at once, by daemons or by clients of pgbench.
    #[arg(long, default_value_t = 8)]
    at_once: u32,
    /// How many agents take turns on the runtime.
    #[arg(long, default_value_t = 100)]
    agents: u32,
    /// How many tasks wait: two boards for each number.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1000,10000,100000,1000000"
    )]
    waiting: Vec<u32>,
    /// How many daemons there are that have nothing to do, each with a runtime: a board for each number.
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000")]
    daemons: Vec<u32>,
    /// How often all of them together make each call in a round.
    #[arg(long, default_value_t = 5_000)]
    idle_calls: u32,
}

impl GrowthArgs {
    /// Measures and reports.
    pub(crate) async fn run(
        self,
        postgres: &Postgres,
        file: Option<PathBuf>,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        fanout::many_files()?;
        let mut report = Report::new("growth", postgres.version().await?);
        report.condition("rounds", &self.rounds);
        report.condition("calls at once", &self.at_once);
        report.condition("agents that take turns", &self.agents);
        report.condition("tasks enqueued and claimed in a round", &self.calls);
        report.condition("calls of idle daemons in a round", &self.idle_calls);
        let began = Instant::now();
        let mut lines = Vec::new();
        for waiting in &self.waiting {
            lines.extend(Line::load(postgres, self.agents, *waiting).await?);
        }
        report.condition("seconds of loading", &began.elapsed().as_secs());
        let mut found = Found::default();
        tokio::select! {
            measured = self.measure_lines(postgres, &lines, &mut found, flames) => measured?,
            stopped = board::stay(lines.iter().map(|line| &line.board)) => stopped?,
        }
        for line in lines {
            line.close(postgres).await?;
        }
        for daemons in &self.daemons {
            self.measure_idle(postgres, *daemons, &mut found, flames)
                .await?;
        }
        found.report(&mut report)?;
        report.finish(file)
    }

    /// Measures the boards on which tasks wait.
    async fn measure_lines(
        &self,
        postgres: &Postgres,
        lines: &[Line],
        found: &mut Found,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        // Caches and prepared statements are there before the first round.
        let mut unnoticed = Found::default();
        for line in lines {
            line.round(postgres, self, &mut unnoticed).await?;
        }
        for _ in 0..self.rounds {
            for line in lines {
                line.round(postgres, self, found).await?;
            }
        }
        for line in lines {
            line.draw(postgres, self, flames).await?;
        }
        Ok(())
    }

    /// Measures a board with so many daemons, on which nothing waits.
    async fn measure_idle(
        &self,
        postgres: &Postgres,
        daemons: u32,
        found: &mut Found,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        let mut connection = board::with_agents(postgres, IDLE, daemons, daemons).await?;
        board::settle_down(&mut connection).await?;
        drop(connection);
        let board = Board::open(postgres, IDLE).await?;
        for call in Call::ALL {
            // What is done for the first time costs more.
            call.make(&board.runtimes, daemons, self.at_once).await?;
        }
        for _ in 0..self.rounds {
            for call in Call::ALL {
                let curve = match call {
                    Call::Claim => "claim of nothing",
                    Call::Heartbeat => "heartbeat",
                };
                let calls = call.make(&board.runtimes, self.idle_calls, self.at_once);
                let point = found.point(Figure::Daemons, curve, daemons);
                point
                    .measure(postgres, &board.server, self.idle_calls, calls)
                    .await?;
            }
        }
        for call in Call::ALL {
            let calls = call.make(&board.runtimes, self.idle_calls, self.at_once);
            let watched = Watched::of(&board.server, postgres);
            let name = format!("growth-{}-{daemons}", call.name());
            flames.of(&name, watched, calls).await?;
        }
        board.server.stop().await?;
        postgres.drop(IDLE).await
    }
}
