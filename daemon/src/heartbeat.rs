//! Signs of life, and what the server says to them.

use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::{
    api::{ApiError, Verdict},
    daemon::Daemon,
};

/// Whether the server still knows the daemon's runtimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// All of them.
    All,
    /// One at least is gone and has to be registered again.
    NotAll,
}

/// Sends heartbeats until a runtime turns out to be unknown.
pub(crate) async fn keep_beating(daemon: &Daemon, runtime_ids: &[Uuid]) {
    let mut ticks = tokio::time::interval(daemon.heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once; registering was a sign of life.
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = daemon.beat_now.notified() => {}
        }
        match beat(daemon, runtime_ids).await {
            Ok(Known::All) => {}
            Ok(Known::NotAll) => return,
            Err(error) => tracing::warn!(%error, "the heartbeat is not heard"),
        }
    }
}

/// One heartbeat; stops what is lost.
async fn beat(daemon: &Daemon, runtime_ids: &[Uuid]) -> Result<Known, ApiError> {
    let holding = daemon.held.proofs();
    let beat = match daemon.api.heartbeat(runtime_ids, &holding).await {
        Ok(beat) => beat,
        Err(error) if error.verdict() == Verdict::Gone => return Ok(Known::NotAll),
        Err(error) => return Err(error),
    };
    // The answer is about the claims that were named, not about newer ones on the same tasks.
    for proof in holding {
        if beat.lost_task_ids.contains(&proof.task_id) {
            tracing::info!(task.id = %proof.task_id, "the claim is lost");
            daemon.held.lose(proof);
        }
    }
    if runtime_ids.iter().all(|id| beat.runtime_ids.contains(id)) {
        Ok(Known::All)
    } else {
        Ok(Known::NotAll)
    }
}
