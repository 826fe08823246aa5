//! From claimed to running: once, twice where the answer was lost, and no further.

use std::time::Duration;

use crate::{
    api::{Api, ApiError, TaskStatus, Verdict},
    claim::ClaimProof,
};

/// Long enough for a server that restarts behind its balancer, well within the lease.
const BEFORE_REPEAT: Duration = Duration::from_millis(500);

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    /// The task is running, and it is this daemon that runs it.
    Running,
    /// It is not this daemon's to run. Nothing is failed: the server knows, or the lease tells it.
    Released,
}

/// Starts a task. Repeating it with the same claim is harmless, so an answer that was lost is
/// asked for again, then looked up.
pub(crate) async fn start(api: &Api, proof: ClaimProof) -> Started {
    let first = match api.start_task(proof).await {
        Ok(()) => return Started::Running,
        Err(error) => error,
    };
    if first.verdict() != Verdict::Passing {
        return released(&first);
    }
    tracing::warn!(error = %first, "cannot start the task; trying once more");
    tokio::time::sleep(BEFORE_REPEAT).await;
    let second = match api.start_task(proof).await {
        Ok(()) => return Started::Running,
        Err(error) => error,
    };
    if second.verdict() != Verdict::Passing {
        return released(&second);
    }
    match api.task_status(proof.task_id).await {
        Ok(Some(TaskStatus::RUNNING)) => Started::Running,
        Ok(_) => released(&second),
        Err(error) => released(&error),
    }
}

fn released(error: &ApiError) -> Started {
    match error.verdict() {
        Verdict::Gone => tracing::debug!(%error, "the claim is no longer ours"),
        Verdict::Passing | Verdict::Denied | Verdict::Wrong => {
            tracing::warn!(%error, "cannot start the task; it is left to its lease");
        }
    }
    Started::Released
}
