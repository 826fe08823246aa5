//! What a running task reports beside its output: progress, and what a later task can resume.
//!
//! Only the latest counts; whatever comes while the server is slow replaces what waits.

use std::path::Path;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Api, ApiError, Verdict},
    backoff,
    claim::ClaimProof,
    control::{MAX_BYTES, Progress},
};
use serde::{Deserialize, Serialize};

/// The session and the directory that a later task can resume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pin {
    /// As the command named it.
    pub(crate) session_id: Option<String>,
    /// Where the command works.
    pub(crate) work_dir: Option<String>,
}

impl Pin {
    /// A directory and no session. A path that the server would not take is not told.
    pub(crate) fn of_dir(dir: &Path) -> Self {
        let path = dir.to_string_lossy();
        Self {
            session_id: None,
            work_dir: (path.len() <= MAX_BYTES).then(|| path.into_owned()),
        }
    }
}

/// The latest of everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Latest {
    /// What can be resumed.
    pub(crate) pin: Pin,
    /// How far the task has got.
    pub(crate) progress: Option<Progress>,
}

/// Sends what is new, until the sender is dropped and its last word is out; says so to `lost`
/// where the server no longer takes it from this claim.
pub(crate) async fn report(
    api: &Api,
    proof: ClaimProof,
    mut latest: watch::Receiver<Latest>,
    lost: &CancellationToken,
) {
    let mut sent = Latest::default();
    loop {
        let now = latest.borrow_and_update().clone();
        if let Err(error) = send(api, proof, &sent, &now).await {
            if error.verdict() == Verdict::Gone {
                tracing::info!(%error, "reports are closed to this claim");
                lost.cancel();
                return;
            }
            tracing::warn!(%error, "the server refuses a report");
        }
        sent = now;
        if latest.changed().await.is_err() {
            return;
        }
    }
}

async fn send(api: &Api, proof: ClaimProof, sent: &Latest, now: &Latest) -> Result<(), ApiError> {
    if now.pin != sent.pin {
        backoff::until_answered("pin the session", || api.pin_session(proof, &now.pin)).await?;
    }
    if let Some(progress) = &now.progress
        && now.progress != sent.progress
    {
        backoff::until_answered("report progress", || api.report_progress(proof, progress)).await?;
    }
    Ok(())
}
