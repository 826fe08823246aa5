//! The play-off: random histories, played through the API on one database and by the queries on another, and after
//! every deed the answers, the rows and all that can be read are compared.
//!
//! A short one is part of every run. `CALLBOARD_PLAYOFF_SECS` makes it last, with histories that nobody has seen;
//! `CALLBOARD_PLAYOFF_SEED` repeats one.

mod play;
mod script;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use callboard::settings::Settings;
use uuid::Uuid;

use super::by_queries::LEASE_SECS;
use super::deed::Deed;
use super::dice::Dice;
use super::difference::Met;
use crate::harness::{TestApp, TestDatabase};
use play::Play;

/// How many deeds a history has.
const DEEDS: usize = 50;

/// The histories of every run.
const SEEDS: std::ops::Range<u64> = 0..2;

/// Where both are played.
struct Table {
    app: TestApp,
    database: TestDatabase,
    settings: Settings,
    met: Met,
    deeds: BTreeMap<String, u32>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::print_stdout,
    reason = "whoever asks for a long one wants to know what it met"
)]
async fn the_api_does_as_the_queries_do_except_where_it_says_so() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let mut table = Table::set().await;
    let mut played: u32 = 0;
    if let Some(seed) = number("CALLBOARD_PLAYOFF_SEED") {
        table.play(seed).await;
    } else if let Some(secs) = number("CALLBOARD_PLAYOFF_SECS") {
        let end = Instant::now() + Duration::from_secs(secs);
        let mut seeds = Dice(Uuid::new_v4().as_u64_pair().0);
        while Instant::now() < end {
            table.play(seeds.roll()).await;
            played += 1;
        }
        println!(
            "{played} histories: {:?}, differences {:?}",
            table.deeds, table.met.0
        );
    } else {
        for seed in SEEDS {
            table.play(seed).await;
        }
    }
}

impl Table {
    async fn set() -> Self {
        let settings = Settings {
            claim_lease: Duration::from_secs(LEASE_SECS),
            // Only the history sweeps.
            sweep_interval: Duration::from_hours(24),
            ..Settings::default()
        };
        Self {
            app: TestApp::with(settings.clone()).await,
            database: TestDatabase::create().await,
            settings,
            met: Met::default(),
            deeds: BTreeMap::new(),
        }
    }

    /// Plays a history. One that parts the sides is made as short as it may be, and told.
    async fn play(&mut self, seed: u64) {
        let mut dice = Dice(seed);
        let mut history: Vec<u64> = (0..DEEDS).map(|_| dice.roll()).collect();
        let Err(mut told) = self.attempt(&history).await else {
            return;
        };
        let mut length = history.len() / 2;
        while length > 0 {
            let mut start = 0;
            while start < history.len() {
                let mut shorter = history.clone();
                shorter.drain(start..(start + length).min(history.len()));
                match self.attempt(&shorter).await {
                    Ok(()) => start += length,
                    Err(shorter_told) => (history, told) = (shorter, shorter_told),
                }
            }
            length /= 2;
        }
        panic!("CALLBOARD_PLAYOFF_SEED={seed}:\n{told}");
    }

    /// Plays deeds that were written down, all through the API.
    async fn follow(&mut self, deeds: Vec<Deed>) -> Result<(), String> {
        let mut play = Play::begin(&self.app, &self.database).await;
        let mut outcome = Ok(());
        for deed in deeds {
            let step = play.step(&self.app, &self.settings, &mut self.met, &deed, false);
            outcome = outcome.and(Box::pin(step).await);
        }
        play.end(&self.app, &self.database).await;
        outcome
    }

    /// Plays these deeds; tells them if the sides part.
    async fn attempt(&mut self, history: &[u64]) -> Result<(), String> {
        let mut play = Play::begin(&self.app, &self.database).await;
        let mut told = String::new();
        for seed in history {
            let mut dice = Dice(*seed);
            let by_sql = dice.roll() % 100 < 12;
            let deed = Deed::draw(&mut dice, &play.tasks);
            let way = if by_sql { "by SQL on both sides" } else { "" };
            writeln!(told, "{deed:?} {way}").unwrap();
            let kind = format!("{deed:?}");
            let kind = kind.split([' ', '(']).next().unwrap().to_owned();
            *self.deeds.entry(kind).or_default() += 1;
            let outcome =
                Box::pin(play.step(&self.app, &self.settings, &mut self.met, &deed, by_sql)).await;
            if let Err(fault) = outcome {
                play.end(&self.app, &self.database).await;
                return Err(told + &fault);
            }
        }
        play.end(&self.app, &self.database).await;
        Ok(())
    }
}
