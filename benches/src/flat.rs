//! The case `flat`: what a call costs on a large board against a small one.
//!
//! The boards differ in what has finished and in what waits. They have the same agents, and as many of these have work
//! waiting, because the cost of a claim may depend on that. Rounds go from board to board, so that whatever else the
//! machine does meets them alike.

mod boards;
mod call;
mod found;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use crate::board;
use crate::flames::{Flames, Watched};
use crate::life::Step;
use crate::plans::{self, Explained};
use crate::postgres::Postgres;
use crate::report::Report;

use boards::Subject;
use call::{CALLS, Call};
use found::Found;

/// How long a call is repeated in a round: a slow one need not be made so often.
const ENOUGH: Duration = Duration::from_secs(3);

/// How much to measure.
#[derive(Args, Debug)]
pub(crate) struct FlatArgs {
    /// How often the boards are gone through.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How often a call is made in each round.
    #[arg(long, default_value_t = 20)]
    calls: u32,
    /// How many agents each board has, all on one runtime.
    #[arg(long, default_value_t = 1000)]
    agents: u32,
    /// How many of the agents have tasks waiting.
    #[arg(long, default_value_t = 400)]
    waiting_agents: u32,
    /// How many tasks the small board has.
    #[arg(long, default_value_t = 1000)]
    small: u32,
    /// How many finished tasks the large boards have.
    #[arg(long, default_value_t = 1_000_000)]
    finished: u32,
    /// How many tasks wait at the head of the large boards' lines and cannot be claimed.
    #[arg(long, default_value_t = 99_000)]
    blocked: u32,
    /// Which calls, by parts of their names; all where it is absent.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

impl FlatArgs {
    /// Loads the boards, measures, and reports.
    pub(crate) async fn run(
        self,
        postgres: &Postgres,
        file: Option<PathBuf>,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        let mut report = Report::new("flat", postgres.version().await?);
        report.condition("agents, all on one runtime", &self.agents);
        report.condition("of these with tasks waiting", &self.waiting_agents);
        report.condition("tasks on the small board", &self.small);
        report.condition("finished tasks on the large boards", &self.finished);
        report.condition("tasks blocked at the head", &self.blocked);
        report.condition("rounds", &self.rounds);
        report.condition("calls in a round", &self.calls);

        let began = Instant::now();
        let subjects = boards::load(postgres, &self).await?;
        report.condition("seconds of loading", &began.elapsed().as_secs());
        let mut found = Found::default();
        tokio::select! {
            measured = self.measure(postgres, &subjects, &mut found, flames) => measured?,
            stopped = board::stay(subjects.iter().map(|subject| &subject.board)) => stopped?,
        }
        found.report(&subjects, &mut report)?;
        for subject in subjects {
            subject.board.server.stop().await?;
        }
        report.finish(file)
    }

    /// Measures what calls cost, and then what is behind them.
    async fn measure(
        &self,
        postgres: &Postgres,
        subjects: &[Subject],
        found: &mut Found,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        for subject in subjects {
            // Caches and prepared statements are there before the first round.
            self.round(subject, 2, found, None).await?;
        }
        for round in 0..self.rounds {
            for subject in subjects {
                self.round(subject, self.calls, found, Some(round)).await?;
            }
        }
        for subject in subjects.iter().filter(|_| flames.wanted()) {
            let calls = self.round(subject, self.calls, found, None);
            let watched = Watched::of(&subject.board.server, postgres);
            let name = format!("flat-{}", subject.name);
            flames.of(&name, watched, calls).await?;
        }
        for subject in subjects {
            for explained in [Explained::Sent, Explained::All] {
                self.explain(postgres, subject, explained, found).await?;
            }
        }
        Ok(())
    }

    /// Makes every call so many times.
    async fn round(
        &self,
        subject: &Subject,
        times: u32,
        found: &mut Found,
        round: Option<u32>,
    ) -> anyhow::Result<()> {
        for _ in 0..times {
            let mut life = subject.life();
            for step in self.steps() {
                let began = Instant::now();
                life.make(step).await?;
                found.time((step.name(), subject.name), round, began.elapsed());
            }
        }
        for call in self.calls_on(subject) {
            let place = (call.name, subject.name);
            let all = Instant::now();
            for _ in 0..times {
                if found.is_refused(place) || all.elapsed() > ENOUGH {
                    break;
                }
                let began = Instant::now();
                match call.make(subject).await {
                    Ok(()) => found.time(place, round, began.elapsed()),
                    Err(error) => found.refused(place, &error),
                }
            }
        }
        Ok(())
    }

    /// Finds out which statements are behind the calls, and what they touch.
    async fn explain(
        &self,
        postgres: &Postgres,
        subject: &Subject,
        explained: Explained,
        found: &mut Found,
    ) -> anyhow::Result<()> {
        // More often than a statement is planned anew for each execution; the last time is kept.
        const TIMES: u32 = 8;
        let log = postgres.log();
        let again = subject.explained(postgres, explained).await?;
        for _ in 0..TIMES {
            let mut life = again.life();
            for step in self.steps() {
                let position = plans::end(&log)?;
                life.make(step).await?;
                found.statements(
                    (step.name(), subject.name),
                    explained,
                    plans::since(&log, position)?,
                );
            }
        }
        for call in self.calls_on(subject) {
            let place = (call.name, subject.name);
            let all = Instant::now();
            for _ in 0..TIMES {
                if found.is_refused(place) || all.elapsed() > ENOUGH {
                    break;
                }
                let position = plans::end(&log)?;
                match call.make(&again).await {
                    Ok(()) => found.statements(place, explained, plans::since(&log, position)?),
                    Err(error) => found.refused(place, &error),
                }
            }
        }
        again.board.server.stop().await
    }

    /// The life of a task, all of it or nothing.
    fn steps(&self) -> impl Iterator<Item = Step> {
        let wanted = Step::ALL.iter().any(|step| self.wants(step.name()));
        Step::ALL.into_iter().filter(move |_| wanted)
    }

    fn calls_on(&self, subject: &Subject) -> impl Iterator<Item = &'static Call> {
        let lists_what_waits = subject.lists_what_waits;
        CALLS
            .iter()
            .filter(move |call| call.on_all || !lists_what_waits)
            .filter(|call| self.wants(call.name))
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only))
    }
}
