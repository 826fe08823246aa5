//! Callboard's side: a host that keeps tasks on the board, and daemons that live them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::side::{Load, Mode};
use crate::board::{Board, Runtime};
use crate::client::Client;
use crate::life::{self, Life, Step};

/// How often the daemons say that they are there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Lets everyone on the board work without end, each daemon with so many tasks at once. Returns when somebody fails.
pub(super) async fn live(board: &Board, load: Load, slots: usize) -> anyhow::Result<Infallible> {
    let mut crowd = JoinSet::new();
    for runtime in &board.runtimes {
        let line = Arc::new(Line {
            host: board.host.clone(),
            runtime: runtime.clone(),
            room: Semaphore::new(load.outstanding / board.runtimes.len()),
            waiting: Semaphore::new(0),
        });
        // As many enqueue at once as work at once.
        for first in 0..slots {
            crowd.spawn(enqueue(Arc::clone(&line), first));
        }
        match load.mode {
            Mode::Single => crowd.spawn(work_singly(line)),
            Mode::Batched => crowd.spawn(work_together(line, slots)),
        };
    }
    let mut beat = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            _ = beat.tick() => board.heartbeat().await?,
            ended = crowd.join_next() => {
                return ended.context("a board has daemons")??;
            }
        }
    }
}

/// What waits for a runtime. That something does is told to its daemon without asking the server, as much as the peers find
/// out without asking while there is always something.
#[derive(Debug)]
struct Line {
    host: Client,
    runtime: Runtime,
    /// How many more tasks may be outstanding.
    room: Semaphore,
    /// How many tasks wait that nobody has set out to claim.
    waiting: Semaphore,
}

/// Puts tasks of one agent after the other on the board while there is room, from some agent on.
async fn enqueue(line: Arc<Line>, first: usize) -> anyhow::Result<Infallible> {
    let agents = line.runtime.agents.iter().cycle().skip(first);
    for agent in agents {
        line.room.acquire().await?.forget();
        let mut life = Life::new(&line.host, &line.runtime, *agent);
        life.make(Step::Enqueue).await?;
        line.waiting.add_permits(1);
    }
    anyhow::bail!("a runtime has agents")
}

/// A daemon with one task at a time.
async fn work_singly(line: Arc<Line>) -> anyhow::Result<Infallible> {
    let agent = *line
        .runtime
        .agents
        .first()
        .context("a runtime has agents")?;
    loop {
        line.waiting.acquire().await?.forget();
        let mut life = Life::new(&line.host, &line.runtime, agent);
        for step in [Step::Claim, Step::Start, Step::Complete] {
            life.make(step).await?;
        }
        line.room.add_permits(1);
    }
}

/// A daemon that claims as many tasks together as it has slots for, when half of these are free.
async fn work_together(line: Arc<Line>, slots: usize) -> anyhow::Result<Infallible> {
    let half = u32::try_from(slots.div_ceil(2))?;
    let slots = Arc::new(Semaphore::new(slots));
    let mut lives = JoinSet::new();
    loop {
        let mut held = tokio::select! {
            held = Arc::clone(&slots).acquire_many_owned(half) => held?,
            Some(lived) = lives.join_next() => {
                lived??;
                continue;
            }
        };
        while let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
            held.merge(slot);
        }
        line.waiting.acquire().await?.forget();
        let wanted = 1 + line.waiting.forget_permits(held.num_permits() - 1);
        let claims = life::claim_together(&line.runtime, wanted).await?;
        line.waiting.add_permits(wanted - claims.len());
        for claim in claims {
            let slot = held
                .split(1)
                .context("there are slots for what was claimed")?;
            lives.spawn(live_one(Arc::clone(&line), claim, slot));
        }
    }
}

/// The rest of a life, in a slot of the daemon's.
async fn live_one(line: Arc<Line>, claim: Value, slot: OwnedSemaphorePermit) -> anyhow::Result<()> {
    let mut life = Life::claimed(&line.host, &line.runtime, &claim)?;
    for step in [Step::Start, Step::Complete] {
        life.make(step).await?;
    }
    line.room.add_permits(1);
    drop(slot);
    Ok(())
}
