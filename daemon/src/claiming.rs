//! The claim loop of one runtime: a slot first, then a claim, until there is nothing to claim.

use std::sync::Arc;

use backon::BackoffBuilder;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    api::Verdict, backoff, claim::Claim, daemon::Daemon, doorbell::Doorbells, runtime::Runtime,
    task_run,
};

/// Claims for a runtime until it is over: at once, when rung for, and now and then.
pub(crate) async fn keep_claiming(
    daemon: &Arc<Daemon>,
    runtime: &Runtime,
    bells: &Doorbells,
    over: &CancellationToken,
) {
    loop {
        claim_all(daemon, runtime, over).await;
        let wake = async {
            tokio::select! {
                () = bells.rung(runtime.id) => {}
                () = tokio::time::sleep(daemon.poll) => {}
            }
        };
        if over.run_until_cancelled(wake).await.is_none() {
            return;
        }
    }
}

/// Claims and runs one task after another, as slots come free, until there is none.
async fn claim_all(daemon: &Arc<Daemon>, runtime: &Runtime, over: &CancellationToken) {
    loop {
        let slot = Arc::clone(&daemon.slots).acquire_owned();
        // The semaphore is never closed.
        let Some(Ok(slot)) = over.run_until_cancelled(slot).await else {
            return;
        };
        let Some(claim) = claim_once(daemon, runtime.id).await else {
            return;
        };
        let span = tracing::info_span!(
            "task",
            task.id = %claim.proof.task_id,
            task.attempt = claim.attempt,
            runtime.id = %runtime.id,
        );
        let (daemon, agent) = (Arc::clone(daemon), runtime.agent.clone());
        let tracker = daemon.tracker.clone();
        let run = async move { task_run::run(&daemon, &agent, claim, slot).await };
        tracker.spawn(Box::pin(run.instrument(span)));
    }
}

/// One claim, asked for under one request id until it is answered, so that a claim whose answer
/// was lost is found again. A request under way when the daemon stops is waited for: it may bring
/// a task, and nobody else would know of it.
async fn claim_once(daemon: &Daemon, runtime_id: Uuid) -> Option<Claim> {
    let request_id = Uuid::new_v4();
    let mut delays = backoff::patient().build();
    loop {
        let asked = daemon.api.claim_task(runtime_id, request_id);
        let error = match daemon.abandon.run_until_cancelled(asked).await? {
            Ok(claim) => return claim,
            Err(error) => error,
        };
        match error.verdict() {
            Verdict::Passing => {}
            Verdict::Gone => {
                // Perhaps the runtime; the heartbeat's answer says so.
                daemon.beat_now.notify_one();
                return None;
            }
            Verdict::Denied | Verdict::Wrong => {
                tracing::error!(runtime.id = %runtime_id, %error, "the server refuses a claim");
                return None;
            }
        }
        let delay = delays.next()?;
        tracing::warn!(runtime.id = %runtime_id, %error, retry.in_ms = delay.as_millis(), "cannot claim yet");
        daemon
            .stop
            .run_until_cancelled(tokio::time::sleep(delay))
            .await?;
    }
}
