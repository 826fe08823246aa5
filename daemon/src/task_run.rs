//! One claimed task, from its claim to its settlement.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    claim::Claim,
    command,
    daemon::Daemon,
    dirs::Occupied,
    held::Hold,
    options::AgentOption,
    outbox::Filed,
    process::{self, Pipes, Process},
    prompt,
    report::{self, Latest, Pin},
    running::Noted,
    settlement::{self, FailureReason, Outcome, Settlement},
    start::{self, Started},
    supervision::{self, Ears, Ended, Ending, Limits},
    transcript,
};

/// How long the outcome of a task waits for the rest of its transcript, so that whoever hears of it
/// finds all that was said; it does not wait for ever behind a slow line.
const TRANSCRIPT_FIRST: Duration = Duration::from_secs(10);

/// How long what is left of a transcript is sent after the outcome is told.
const TRANSCRIPT_LATE: Duration = Duration::from_mins(10);

/// How long a slot stays taken where this machine could not run a command: it would hardly run the
/// next, and each would be one more task that failed.
const AFTER_FAULT: Duration = Duration::from_secs(5);

/// Starts, runs and settles a task. The slot is free when the server knows how it ended.
pub(crate) async fn run(
    daemon: &Daemon,
    agent: &AgentOption,
    claim: Claim,
    slot: OwnedSemaphorePermit,
) {
    let hold = daemon.held.hold(claim.proof);
    let starting = Box::pin(start::start(&daemon.api, claim.proof));
    let starting = hold.lost().run_until_cancelled(starting);
    match daemon.stop.run_until_cancelled(starting).await {
        // Somebody else has decided, or will.
        Some(None | Some(Started::Released)) => {}
        Some(Some(Started::Running)) => {
            Box::pin(execute(daemon, agent, &claim, hold, slot)).await;
        }
        None => {
            let filed = file(daemon, &claim, stopped(), Pin::default()).await;
            deliver(daemon, filed).await;
        }
    }
}

/// Runs the command of a task that has started, and settles.
async fn execute(
    daemon: &Daemon,
    agent: &AgentOption,
    claim: &Claim,
    hold: Hold,
    slot: OwnedSemaphorePermit,
) {
    match Box::pin(launch(daemon, agent, claim, hold.lost())).await {
        Ok(launched) => Box::pin(accompany(daemon, claim, launched, hold, slot)).await,
        Err(NotLaunched { outcome, pin }) => {
            let is_fault = outcome != Outcome::LetGo && !daemon.stop.is_cancelled();
            let filed = file(daemon, claim, outcome, pin).await;
            drop(hold);
            deliver(daemon, filed).await;
            if is_fault {
                let pause = tokio::time::sleep(AFTER_FAULT);
                daemon.stop.run_until_cancelled(pause).await;
            }
            drop(slot);
        }
    }
}

/// A command that runs.
struct Launched {
    process: Process,
    pipes: Pipes,
    work_dir: PathBuf,
    occupied: Occupied,
    noted: Option<Noted>,
}

/// How a task ends whose command was never run.
struct NotLaunched {
    outcome: Outcome,
    pin: Pin,
}

/// Starts the command, as soon as nobody else works in its directory.
async fn launch(
    daemon: &Daemon,
    agent: &AgentOption,
    claim: &Claim,
    lost: &CancellationToken,
) -> Result<Launched, NotLaunched> {
    let not_launched = |outcome, pin| NotLaunched { outcome, pin };
    let work_dir = command::work_dir(&daemon.work_root, claim).await;
    let work_dir = work_dir.map_err(|error| {
        let error = format!("cannot make the working directory: {error}");
        not_launched(failed_here(error), Pin::default())
    })?;
    let pin = Pin::of_dir(&work_dir);
    let occupying = lost.run_until_cancelled(daemon.dirs.occupy(&work_dir));
    let occupied = match daemon.stop.run_until_cancelled(occupying).await {
        Some(Some(occupied)) => occupied,
        Some(None) => return Err(not_launched(Outcome::LetGo, pin)),
        None => return Err(not_launched(stopped(), pin)),
    };
    match process::spawn(&mut command::build(agent, claim, &work_dir)) {
        Ok((process, pipes)) => {
            tracing::info!(work_dir = %work_dir.display(), "running");
            let task_id = claim.proof.task_id;
            let noted = process
                .group()
                .map(|group| daemon.running.note(group, task_id));
            Ok(Launched {
                process,
                pipes,
                work_dir,
                occupied,
                noted,
            })
        }
        Err(error) => {
            let text = not_spawned(agent, &work_dir, &error);
            // What is asked for cannot be run, and another try would not help.
            let is_theirs = matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::ArgumentListTooLong
            );
            let outcome = if is_theirs {
                failed(text)
            } else {
                failed_here(text)
            };
            Err(not_launched(outcome, pin))
        }
    }
}

/// Accompanies a command to its end and tells how it ended. That is on disk before anything more is
/// sent: a success must survive whatever happens while the rest of the transcript is on its way.
async fn accompany(
    daemon: &Daemon,
    claim: &Claim,
    launched: Launched,
    hold: Hold,
    slot: OwnedSemaphorePermit,
) {
    let lost = hold.lost().clone();
    let ended = CancellationToken::new();
    let (sink, source) = transcript::channel(ended.clone());
    let (latest, reports) = watch::channel(Latest {
        pin: Pin::of_dir(&launched.work_dir),
        progress: None,
    });
    let ears = Ears {
        transcript: sink,
        latest,
    };
    let sent = CancellationToken::new();
    let running = async {
        let limits = Limits {
            lost: &lost,
            stop: &daemon.stop,
            ended,
            grace: daemon.kill_grace,
        };
        let Launched {
            process,
            pipes,
            work_dir,
            occupied,
            noted,
        } = launched;
        let ended =
            supervision::supervise(process, pipes, prompt::stdin(claim), &ears, limits).await;
        let mut pin = ears.latest.borrow().pin.clone();
        let has_session = pin.session_id.is_some() || claim.resume.is_some();
        if !has_session && tokio::fs::remove_dir(&work_dir).await.is_ok() {
            // Nothing was left there, and nothing would go on there.
            pin.work_dir = None;
        }
        drop((occupied, noted));
        // Without ears there is nothing more to send, once what is there has been sent.
        drop(ears);
        let filed = settle(daemon, claim, ended, pin).await;
        // From here on the claim is not held: that its task has ended must not cut off what is still
        // on its way.
        drop(hold);
        let all = daemon.stop.run_until_cancelled(sent.cancelled());
        // Whether or not it was all in time.
        drop(tokio::time::timeout(TRANSCRIPT_FIRST, all).await);
        deliver(daemon, filed).await;
        drop(slot);
        let late = tokio::time::timeout(TRANSCRIPT_LATE, sent.cancelled());
        if late.await.is_err() {
            tracing::warn!("the rest of the transcript is given up");
            lost.cancel();
        }
    };
    let sending = async {
        let _sent = sent.clone().drop_guard();
        let posting = transcript::post(&daemon.api, claim.proof, source, &lost);
        let reporting = report::report(&daemon.api, claim.proof, reports, &lost);
        let sending = async { tokio::join!(posting, reporting) };
        let sending = lost.run_until_cancelled(sending);
        daemon.abandon.run_until_cancelled(sending).await
    };
    tokio::join!(Box::pin(running), Box::pin(sending));
}

/// Tells the server, unless the daemon has to stop before that.
async fn deliver(daemon: &Daemon, filed: Filed) {
    let delivery = Box::pin(settlement::deliver(&daemon.api, &daemon.outbox, filed));
    if daemon.abandon.run_until_cancelled(delivery).await.is_none() {
        tracing::warn!("not settled yet; that is left to the daemon's next life");
    }
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
    let name = outcome.name();
    let settlement = Settlement {
        proof: claim.proof,
        usage: ended.usage,
        outcome,
        pin,
    };
    let filed = daemon.outbox.file(settlement).await;
    tracing::info!(outcome = name, "the command has ended");
    filed
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

/// By no fault of the command's: another try may succeed.
fn failed_here(error: String) -> Outcome {
    Outcome::Fail {
        error,
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
