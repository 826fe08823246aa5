//! One command from its start to its end: fed, listened to, stopped where it must be.

use std::{collections::VecDeque, io, process::ExitStatus, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWriteExt},
    process::ChildStdin,
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::{
    control::{self, Control},
    lines::Lines,
    process::{Pipes, Process},
    report::Latest,
    transcript::{MessageKind, Sink},
    usage::{self, Usage},
};

/// How much of stderr makes an error message.
const LAST_LINES: usize = 20;
const LAST_BYTES: usize = 4 * 1024;

/// How a command ended, and what it said on the way.
pub(crate) struct Ended {
    /// How.
    pub(crate) ending: Ending,
    /// The last of its stderr.
    pub(crate) complaint: String,
    /// The result that it gave.
    pub(crate) result: Option<Value>,
    /// What it used.
    pub(crate) usage: Vec<Usage>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// By itself.
    Exited(io::Result<ExitStatus>),
    /// Its claim was lost, and it was stopped.
    Lost,
    /// The daemon stopped, and so was it.
    Stopped,
}

/// When a command has to be stopped, and how.
pub(crate) struct Limits<'a> {
    /// Its claim is lost.
    pub(crate) lost: &'a CancellationToken,
    /// The daemon stops.
    pub(crate) stop: &'a CancellationToken,
    /// Cancelled by the supervision once nothing of the command lives.
    pub(crate) ended: CancellationToken,
    /// Time between SIGTERM and SIGKILL.
    pub(crate) grace: Duration,
}

/// Where what a command says goes.
pub(crate) struct Ears {
    /// Its output.
    pub(crate) transcript: Sink,
    /// Its progress and its session.
    pub(crate) latest: watch::Sender<Latest>,
}

/// Feeds a command its prompt and listens to it until nothing of it is left.
pub(crate) async fn supervise(
    mut process: Process,
    pipes: Pipes,
    prompt: String,
    ears: &Ears,
    limits: Limits<'_>,
) -> Ended {
    let ended = &limits.ended;
    let ending = async {
        let ending = tokio::select! {
            biased;
            status = process.exited() => Ending::Exited(status),
            () = limits.lost.cancelled() => Ending::Lost,
            () = limits.stop.cancelled() => Ending::Stopped,
        };
        process.end(limits.grace).await;
        ended.cancel();
        ending
    };
    let (ending, _, (result, usage), complaint) = tokio::join!(
        ending,
        ended.run_until_cancelled(feed(pipes.stdin, prompt)),
        hear_stdout(Lines::new(pipes.stdout, ended.clone()), ears),
        hear_stderr(Lines::new(pipes.stderr, ended.clone()), &ears.transcript),
    );
    Ended {
        ending,
        complaint,
        result,
        usage,
    }
}

async fn feed(mut stdin: ChildStdin, prompt: String) {
    // A command need not read what it is told.
    if let Err(error) = stdin.write_all(prompt.as_bytes()).await {
        tracing::debug!(%error, "the command does not read its prompt");
    }
}

async fn hear_stdout(
    mut lines: Lines<impl AsyncRead + Unpin>,
    ears: &Ears,
) -> (Option<Value>, Vec<Usage>) {
    let mut result = None;
    let mut used = Vec::new();
    while let Some(line) = lines.next().await {
        match control::parse(&line) {
            None => ears.transcript.put(MessageKind::Output, line).await,
            Some(Control::Result(value)) => result = Some(value),
            Some(Control::Usage(more)) => usage::add(&mut used, more),
            Some(Control::Session(id)) => {
                ears.latest
                    .send_modify(|latest| latest.pin.session_id = Some(id));
            }
            Some(Control::Progress(progress)) => {
                ears.latest
                    .send_modify(|latest| latest.progress = Some(progress));
            }
        }
    }
    (result, used)
}

async fn hear_stderr(mut lines: Lines<impl AsyncRead + Unpin>, transcript: &Sink) -> String {
    let mut last = Last::default();
    while let Some(line) = lines.next().await {
        last.push(&line);
        transcript.put(MessageKind::Error, line).await;
    }
    last.text()
}

/// The last lines of many.
#[derive(Default)]
struct Last(VecDeque<String>);

impl Last {
    fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == LAST_LINES {
            self.0.pop_front();
        }
        self.0
            .push_back(line.chars().take(LAST_BYTES / 4).collect());
    }

    fn text(mut self) -> String {
        while self.0.len() > 1 && self.0.iter().map(String::len).sum::<usize>() > LAST_BYTES {
            self.0.pop_front();
        }
        Vec::from(self.0).join("\n")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::process::Command;

    use super::*;
    use crate::{process, transcript};

    struct Stage {
        lost: CancellationToken,
        stop: CancellationToken,
        ears: Ears,
        source: transcript::Source,
        ended: CancellationToken,
    }

    impl Stage {
        fn new() -> Self {
            let ended = CancellationToken::new();
            let (transcript, source) = transcript::channel(ended.clone());
            let (latest, _) = watch::channel(Latest::default());
            Self {
                lost: CancellationToken::new(),
                stop: CancellationToken::new(),
                ears: Ears { transcript, latest },
                source,
                ended,
            }
        }

        async fn run(&self, script: &str) -> Ended {
            let (process, pipes) =
                process::spawn(Command::new("sh").arg("-c").arg(script)).unwrap();
            let limits = Limits {
                lost: &self.lost,
                stop: &self.stop,
                ended: self.ended.clone(),
                grace: Duration::from_mins(1),
            };
            supervise(process, pipes, "the prompt".into(), &self.ears, limits).await
        }

        async fn transcript(self) -> Vec<(MessageKind, String)> {
            drop(self.ears);
            self.source.all().await
        }
    }

    #[tokio::test]
    async fn a_command_is_fed_and_heard() {
        let stage = Stage::new();
        let ended = stage
            .run(
                r#"cat; echo; echo two
                echo '::callboard progress 1/2 half'
                echo '::callboard session s1'
                echo '::callboard usage {"provider":"p","model":"m","inputTokens":2}'
                echo '::callboard usage {"provider":"p","model":"m","inputTokens":3}'
                echo '::callboard result {"ok":true}'
                echo three"#,
            )
            .await;
        assert!(matches!(ended.ending, Ending::Exited(Ok(status)) if status.success()));
        assert_eq!(ended.result, Some(json!({ "ok": true })));
        assert_eq!(ended.usage[0].input_tokens, 5);
        let latest = stage.ears.latest.borrow().clone();
        assert_eq!(latest.pin.session_id.as_deref(), Some("s1"));
        assert_eq!(latest.progress.unwrap().summary, "half");
        let said: Vec<_> = stage.transcript().await;
        let expected =
            ["the prompt", "two", "three"].map(|line| (MessageKind::Output, line.into()));
        assert_eq!(said, expected);
    }

    #[tokio::test]
    async fn a_failure_comes_with_the_last_of_stderr() {
        let stage = Stage::new();
        let ended = stage
            .run("i=0; while [ $i -lt 50 ]; do echo line $i >&2; i=$((i+1)); done; exit 7")
            .await;
        assert!(matches!(ended.ending, Ending::Exited(Ok(status)) if status.code() == Some(7)));
        assert!(ended.complaint.starts_with("line 30\n"));
        assert!(ended.complaint.ends_with("\nline 49"));
        assert_eq!(stage.transcript().await.len(), 50);
    }

    #[tokio::test]
    async fn output_in_bulk_is_complete_and_in_order() {
        let stage = Stage::new();
        stage
            .run("i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done")
            .await;
        let said = stage.transcript().await;
        let expected: Vec<_> = (0..5000)
            .map(|i| (MessageKind::Output, i.to_string()))
            .collect();
        assert_eq!(said, expected);
    }

    #[tokio::test]
    async fn a_lost_claim_or_a_stopping_daemon_ends_the_command() {
        let stage = Stage::new();
        stage.lost.cancel();
        let ended = stage.run("sleep 600 & sleep 600").await;
        assert!(matches!(ended.ending, Ending::Lost));
        let stage = Stage::new();
        stage.stop.cancel();
        let ended = stage.run("sleep 600 & sleep 600").await;
        assert!(matches!(ended.ending, Ending::Stopped));
    }

    #[tokio::test]
    async fn a_prompt_that_nobody_reads_is_no_failure() {
        let stage = Stage::new();
        let ended = stage.run("exec <&-; exit 0").await;
        assert!(matches!(ended.ending, Ending::Exited(Ok(status)) if status.success()));
    }
}
