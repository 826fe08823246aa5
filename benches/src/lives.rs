//! Daemons that live tasks without pause.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::board::{Board, Runtime};
use crate::client::Client;
use crate::life::{Life, Step};
use crate::sample::Sample;

/// How often the daemons say that they are there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What was lived, a part of the time after the other.
#[derive(Debug, Default)]
pub(crate) struct Lived(pub(crate) Vec<Part>);

/// What was lived in a part of the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    lives: u32,
    /// How long the claims took.
    pub(crate) claims: Sample,
}

impl Part {
    /// How many lives a second.
    pub(crate) fn rate(&self, seconds: f64) -> f64 {
        f64::from(self.lives) / seconds
    }
}

impl Lived {
    /// How many lives there were.
    pub(crate) fn lives(&self) -> u32 {
        self.0.iter().map(|part| part.lives).sum()
    }

    /// How many lives a second there were in the end.
    pub(crate) fn last_rate(&self, seconds: f64) -> f64 {
        self.0.last().map_or(f64::NAN, |part| part.rate(seconds))
    }
}

/// Lets every daemon of a board live task after task for so many parts of time.
pub(crate) async fn live(board: &Board, part: Duration, parts: u32) -> anyhow::Result<Lived> {
    let mut daemons = JoinSet::new();
    for runtime in &board.runtimes {
        daemons.spawn(live_on(board.host.clone(), runtime.clone(), part, parts));
    }
    let mut lived = Lived(vec![Part::default(); parts.try_into()?]);
    let mut beat = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            _ = beat.tick() => board.heartbeat().await?,
            ended = daemons.join_next() => match ended {
                Some(ended) => add(&mut lived, ended??),
                None => return Ok(lived),
            },
        }
    }
}

/// One daemon, with its agents in turn.
async fn live_on(
    host: Client,
    runtime: Runtime,
    part: Duration,
    parts: u32,
) -> anyhow::Result<Lived> {
    let mut lived = Lived(vec![Part::default(); parts.try_into()?]);
    let began = Instant::now();
    for agent in runtime.agents.iter().cycle() {
        let mut life = Life::new(&host, &runtime, *agent);
        let mut claim = Duration::ZERO;
        for step in Step::ALL {
            let asked = Instant::now();
            life.make(step).await?;
            if step == Step::Claim {
                claim = asked.elapsed();
            }
        }
        let number = began.elapsed().as_millis() / part.as_millis();
        let Some(part) = usize::try_from(number)
            .ok()
            .and_then(|n| lived.0.get_mut(n))
        else {
            break;
        };
        part.lives += 1;
        part.claims.add_time(claim);
    }
    Ok(lived)
}

fn add(all: &mut Lived, one: Lived) {
    for (all, one) in all.0.iter_mut().zip(one.0) {
        all.lives += one.lives;
        all.claims.add_all(&one.claims);
    }
}
