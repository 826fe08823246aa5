//! From claimed to running.

use crate::{
    api::{Api, Verdict},
    backoff,
    claim::ClaimProof,
};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    /// The task is running, and it is this daemon that runs it.
    Running,
    /// It is not this daemon's to run. Nothing is failed: the server knows, or the lease tells it.
    Released,
}

/// Starts a task, however long it takes to be answered. Repeating it with the same claim is harmless;
/// giving it up is not, once it may have been heard: what runs has no lease, and nobody would ever
/// look after it.
pub(crate) async fn start(api: &Api, proof: ClaimProof) -> Started {
    let Err(error) = backoff::until_settled("start a task", || api.start_task(proof)).await else {
        return Started::Running;
    };
    if error.verdict() == Verdict::Gone {
        tracing::debug!(%error, "the claim is no longer ours");
    } else {
        tracing::error!(%error, "the server refuses to start the task; it is left to its lease");
    }
    Started::Released
}
