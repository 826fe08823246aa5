//! One claimed task, from its claim to its settlement.

use std::{path::Path, process::ExitStatus};

use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    claim::Claim,
    command,
    daemon::Daemon,
    held::Hold,
    options::AgentOption,
    outbox::Filed,
    process, prompt,
    report::{self, Latest, Pin},
    settlement::{self, FailureReason, Outcome, Settlement},
    start::{self, Started},
    supervision::{self, Ears, Ended, Ending, Limits},
    transcript,
};

/// Starts, runs and settles a task. The slot is free when the server knows how it ended.
pub(crate) async fn run(
    daemon: &Daemon,
    agent: &AgentOption,
    claim: Claim,
    slot: OwnedSemaphorePermit,
) {
    let hold = daemon.held.hold(claim.proof);
    let starting = Box::pin(start::start(&daemon.api, claim.proof));
    let filed = match daemon.stop.run_until_cancelled(starting).await {
        Some(Started::Released) => return,
        Some(Started::Running) => Box::pin(execute(daemon, agent, &claim, &hold)).await,
        None => file(daemon, &claim, stopped(), Pin::default()).await,
    };
    let delivery = Box::pin(settlement::deliver(&daemon.api, &daemon.outbox, filed));
    if daemon.abandon.run_until_cancelled(delivery).await.is_none() {
        tracing::warn!("not settled yet; that is left to the daemon's next life");
    }
    drop(slot);
}

/// Runs the command. Its end is on disk before anything more is sent: a success must survive
/// whatever happens while the rest of the transcript is on its way.
async fn execute(daemon: &Daemon, agent: &AgentOption, claim: &Claim, hold: &Hold) -> Filed {
    let work_dir = match command::work_dir(&daemon.work_root, claim).await {
        Ok(dir) => dir,
        Err(error) => {
            let outcome = failed(format!("cannot make the working directory: {error}"));
            return file(daemon, claim, outcome, Pin::default()).await;
        }
    };
    let pin = Pin {
        session_id: None,
        work_dir: Some(work_dir.to_string_lossy().into_owned()),
    };
    let (process, pipes) = match process::spawn(&mut command::build(agent, claim, &work_dir)) {
        Ok(spawned) => spawned,
        Err(error) => {
            let outcome = failed(not_spawned(agent, &work_dir, &error));
            return file(daemon, claim, outcome, pin).await;
        }
    };
    tracing::info!(work_dir = %work_dir.display(), "running");
    let ended = CancellationToken::new();
    let (sink, source) = transcript::channel(ended.clone());
    let (latest, reports) = watch::channel(Latest {
        pin,
        progress: None,
    });
    let ears = Ears {
        transcript: sink,
        latest,
    };
    let running = async {
        let limits = Limits {
            lost: hold.lost(),
            stop: &daemon.stop,
            ended,
            grace: daemon.kill_grace,
        };
        let ended =
            supervision::supervise(process, pipes, prompt::stdin(claim), &ears, limits).await;
        let pin = ears.latest.borrow().pin.clone();
        // Without ears there is nothing more to send, once what is there has been sent.
        drop(ears);
        settle(daemon, claim, ended, pin).await
    };
    let posting = transcript::post(&daemon.api, claim.proof, source, hold.lost());
    let reporting = report::report(&daemon.api, claim.proof, reports, hold.lost());
    let sending = async { tokio::join!(posting, reporting) };
    let sending = hold.lost().run_until_cancelled(sending);
    let sending = daemon.abandon.run_until_cancelled(sending);
    tokio::join!(Box::pin(running), Box::pin(sending)).0
}

async fn settle(daemon: &Daemon, claim: &Claim, ended: Ended, pin: Pin) -> Filed {
    let outcome = match ended.ending {
        Ending::Lost => Outcome::LetGo,
        Ending::Stopped => stopped(),
        Ending::Exited(Ok(status)) if status.success() => Outcome::Complete {
            result: ended.result.unwrap_or_else(|| json!({ "exitCode": 0 })),
        },
        Ending::Exited(Ok(status)) if ended.complaint.is_empty() => failed(describe(status)),
        Ending::Exited(Ok(_)) => failed(ended.complaint),
        Ending::Exited(Err(error)) => failed(format!("cannot wait for the command: {error}")),
    };
    tracing::info!(outcome = outcome.name(), "the command has ended");
    let settlement = Settlement {
        proof: claim.proof,
        usage: ended.usage,
        outcome,
        pin,
    };
    daemon.outbox.file(settlement).await
}

async fn file(daemon: &Daemon, claim: &Claim, outcome: Outcome, pin: Pin) -> Filed {
    let settlement = Settlement {
        proof: claim.proof,
        usage: Vec::new(),
        outcome,
        pin,
    };
    daemon.outbox.file(settlement).await
}

fn stopped() -> Outcome {
    Outcome::Fail {
        error: "daemon stopped".to_owned(),
        failure_reason: FailureReason::RuntimeRecovery,
    }
}

fn failed(error: String) -> Outcome {
    Outcome::Fail {
        error,
        failure_reason: FailureReason::AgentError,
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn not_spawned(agent: &AgentOption, work_dir: &Path, error: &std::io::Error) -> String {
    let program = agent.command.as_ref().map_or(&*agent.provider, |_| "sh");
    format!("cannot run `{program}` in {}: {error}", work_dir.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn an_end_without_words_is_described() {
        assert_eq!(
            describe(ExitStatus::from_raw(3 << 8)),
            "exited with status 3"
        );
        assert_eq!(describe(ExitStatus::from_raw(9)), "killed by signal 9");
    }
}
