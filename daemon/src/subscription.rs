//! Keeps the daemon's two subscriptions alive and passes on what they say.
//!
//! Neither is relied on: claims are polled for, and heartbeats name what is lost. They make both
//! immediate.

use std::time::Duration;

use backon::BackoffBuilder;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    api::{ApiError, EventKind, Notice, Verdict},
    backoff,
    daemon::Daemon,
    doorbell::Doorbells,
};

/// A connection that has lasted so long was a good one: the next attempt need not wait.
const GOOD: Duration = Duration::from_secs(10);

/// Listens for ever, over as many connections as it takes.
pub(crate) async fn listen(daemon: &Daemon, runtime_ids: &[Uuid], bells: &Doorbells) {
    let mut after = None;
    let mut delays = backoff::patient().build();
    loop {
        let begun = Instant::now();
        let Err(error) = listen_once(daemon, runtime_ids, bells, &mut after).await;
        // The log no longer reaches back to the cursor, or is another one, from a backup.
        if error.verdict() == Verdict::Wrong {
            after = None;
        }
        if begun.elapsed() >= GOOD {
            delays = backoff::patient().build();
        }
        let delay = delays.next().unwrap_or(GOOD);
        tracing::warn!(%error, retry.in_ms = delay.as_millis(), "not subscribed");
        tokio::time::sleep(delay).await;
    }
}

async fn listen_once(
    daemon: &Daemon,
    runtime_ids: &[Uuid],
    bells: &Doorbells,
    after: &mut Option<String>,
) -> Result<std::convert::Infallible, ApiError> {
    let mut feeds = daemon
        .api
        .subscribe(daemon.workspace_id, runtime_ids, after.clone())
        .await?;
    tracing::debug!("subscribed");
    if after.is_none() {
        // What happened before this subscription, nobody will tell.
        daemon.beat_now.notify_one();
    }
    loop {
        match feeds.next().await? {
            Notice::Available { runtime_id } => bells.ring(runtime_id),
            Notice::Changed {
                cursor,
                kind,
                task_id,
            } => {
                *after = Some(cursor);
                heed(daemon, &kind, task_id);
            }
        }
    }
}

fn heed(daemon: &Daemon, kind: &EventKind, task_id: Uuid) {
    match kind {
        // Terminal for the task, whatever the claim. Where it is our own settlement, nothing runs.
        EventKind::CANCELLED | EventKind::FAILED | EventKind::COMPLETED => {
            daemon.held.lose_task(task_id);
        }
        // The task may have been claimed again since, even by us: only a heartbeat knows by token.
        EventKind::REQUEUED => daemon.beat_now.notify_one(),
        EventKind::QUEUED
        | EventKind::DISPATCHED
        | EventKind::RUNNING
        | EventKind::PROGRESS
        | EventKind::SESSION_PINNED
        | EventKind::LINKED
        | EventKind::Other(_) => {}
    }
}
