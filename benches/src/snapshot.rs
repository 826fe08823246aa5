//! The case `snapshot`: what a front end asks first, and an issue's banner, through Callboard and through PostGraphile, one
//! document over HTTP each, and as plain SQL by pgbench. All of them read the same rows of the same database.
//!
//! What is compared is not quite the same, always in PostGraphile's favour: it looks up no token, shows every row to
//! everybody, reads in no common transaction, has no cursor of the event log to go on from, and leaves it to the client
//! to reckon presence from the agents, their runtimes and the active tasks. It is given functions for the active tasks and
//! the latest outcomes that read as Callboard does; by itself it could filter by one state only, and would have to read the
//! whole history for the outcomes.

mod asked;
mod found;
mod load;
mod sides;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::flames::Flames;
use crate::postgraphile;
use crate::postgres::Postgres;
use crate::report::Report;

use asked::Question;
use found::Found;
use sides::{Asked, Side};

/// How much to measure.
#[derive(Args, Debug)]
pub(crate) struct SnapshotArgs {
    /// How often the sides take turns.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// For how many seconds each side is asked each question on each board in each round.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// How many connections ask, each as soon as it has its answer.
    #[arg(long, default_value_t = 8)]
    connections: u32,
    /// How many agents the boards have.
    #[arg(long, default_value_t = 1000)]
    agents: u32,
    /// How many active tasks.
    #[arg(long, default_value_t = 5000)]
    active: u32,
    /// How many finished tasks the small board has.
    #[arg(long, default_value_t = 1000)]
    few: u32,
    /// How many the large one has.
    #[arg(long, default_value_t = 1_000_000)]
    many: u32,
}

impl SnapshotArgs {
    /// Asks all sides and reports.
    pub(crate) async fn run(
        self,
        postgres: &Postgres,
        file: Option<PathBuf>,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        let mut report = Report::new("snapshot", postgres.version().await?);
        let package = postgraphile::package().await?;
        report.condition("PostGraphile", &package.version("postgraphile")?);
        report.condition("Node.js", &package.node_version().await?);
        report.condition("agents", &self.agents);
        report.condition("active tasks", &self.active);
        report.condition("connections", &self.connections);
        report.condition("rounds", &self.rounds);
        report.condition("seconds of each side in a round", &self.seconds);
        let boards = [
            Asked::open(postgres, &package, &self, self.few).await?,
            Asked::open(postgres, &package, &self, self.many).await?,
        ];
        for question in Question::ALL {
            for board in &boards {
                let rows = board.compare(question).await?;
                let name = format!("rows of {}, {} finished", question.name(), board.finished);
                report.detail(name, json!(rows));
            }
        }
        let found = self.measure(postgres, &boards).await?;
        for question in Question::ALL {
            for board in &boards {
                report.add(found.on_board(question, board.finished))?;
            }
            report.add(found.of_history(question, self.few, self.many))?;
        }
        for question in Question::ALL {
            for board in &boards {
                board.draw(postgres, &self, question, flames).await?;
            }
        }
        for board in boards {
            board.stop().await?;
        }
        report.finish(file)
    }

    /// Goes from side to side and from board to board, so that whatever else the machine does meets them alike.
    async fn measure(&self, postgres: &Postgres, boards: &[Asked]) -> anyhow::Result<Found> {
        let mut found = Found::default();
        // What is compiled while it runs is compiled, and caches are filled, before the first round.
        for warm in [true].into_iter().chain((0..self.rounds).map(|_| false)) {
            for question in Question::ALL {
                for side in Side::ALL {
                    for board in boards {
                        let seconds = if warm { 1 } else { self.seconds };
                        let one = board.ask(postgres, self, (side, question, seconds)).await?;
                        if !warm {
                            found.add((question, board.finished, side), one);
                        }
                    }
                }
            }
        }
        Ok(found)
    }
}
