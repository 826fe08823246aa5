//! A command's output on its way into the task's transcript: bounded, in order, in batches.
//!
//! Lines that wait for the server hold credit for their bytes; without credit the pipe is not read,
//! and the command is held up. Once it has ended, what is left in its pipes is taken in at once:
//! the task can be settled only when the last line is known.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Api, ApiError, Verdict},
    backoff,
    claim::ClaimProof,
};

/// How much may wait for the server.
const CREDIT_BYTES: usize = 4 * 1024 * 1024;

/// What a line takes besides its content.
const LINE_BYTES: usize = size_of::<Line>();

/// A batch is sent when it has so many lines, or so many bytes, or is so old.
const BATCH_LINES: usize = 100;
const BATCH_BYTES: usize = 128 * 1024;
const BATCH_AGE: Duration = Duration::from_millis(200);

/// One message of the transcript.
pub(crate) struct Message {
    /// Its number, from 1.
    pub(crate) seq: i64,
    /// Where it came from.
    pub(crate) kind: MessageKind,
    /// The line.
    pub(crate) content: String,
}

/// Which pipe a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageKind {
    /// Stdout.
    Output,
    /// Stderr.
    Error,
}

/// Where the readers of a command's pipes put its lines.
#[derive(Clone)]
pub(crate) struct Sink {
    lines: mpsc::UnboundedSender<Line>,
    credit: Arc<Semaphore>,
    ended: CancellationToken,
}

/// What has been put there, for [`post`].
pub(crate) struct Source(mpsc::UnboundedReceiver<Line>);

struct Line {
    kind: MessageKind,
    content: String,
    /// Given back when the line has been delivered or dropped.
    credit: Option<OwnedSemaphorePermit>,
}

/// Connects the readers with [`post`]; `ended` says that the command has.
pub(crate) fn channel(ended: CancellationToken) -> (Sink, Source) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let sink = Sink {
        lines: sender,
        credit: Arc::new(Semaphore::new(CREDIT_BYTES)),
        ended,
    };
    (sink, Source(receiver))
}

impl MessageKind {
    /// The message's `type`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Error => "error",
        }
    }
}

impl Sink {
    /// Takes a line, as soon as there is credit for it or the command has ended.
    pub(crate) async fn put(&self, kind: MessageKind, content: String) {
        let bytes = u32::try_from(content.len() + LINE_BYTES).unwrap_or(u32::MAX);
        let credit = Arc::clone(&self.credit).acquire_many_owned(bytes);
        let credit = tokio::select! {
            biased;
            credit = credit => credit.ok(),
            () = self.ended.cancelled() => None,
        };
        // Nobody takes it where the claim is lost; then it does not matter.
        drop(self.lines.send(Line {
            kind,
            content,
            credit,
        }));
    }
}

/// Sends everything that is put into the sink, until that is dropped; says so to `lost` where the
/// server no longer takes it from this claim.
pub(crate) async fn post(api: &Api, proof: ClaimProof, source: Source, lost: &CancellationToken) {
    let mut batches = Batches::new(source);
    // The batch keeps its credit until it has been delivered.
    while let Some((messages, _credit)) = batches.next().await {
        if let Err(error) = Box::pin(append(api, proof, &messages)).await {
            tracing::info!(%error, "the transcript is closed to this claim");
            lost.cancel();
            return;
        }
    }
}

/// Adds messages to the transcript. Those that the server refuses are sent again in halves, so that
/// only what it will not have is lost; an error only where the claim is no longer ours.
async fn append(api: &Api, proof: ClaimProof, messages: &[Message]) -> Result<(), ApiError> {
    let appended = backoff::until_settled("add to the transcript", || {
        api.append_messages(proof, messages)
    });
    match appended.await {
        Ok(()) => Ok(()),
        Err(error) if error.verdict() == Verdict::Gone => Err(error),
        Err(error) if messages.len() <= 1 => {
            tracing::error!(%error, "the server refuses a line of output; it is dropped");
            Ok(())
        }
        Err(_) => {
            let (first, second) = messages.split_at(messages.len() / 2);
            Box::pin(append(api, proof, first)).await?;
            Box::pin(append(api, proof, second)).await
        }
    }
}

#[cfg(test)]
impl Source {
    /// Everything that was put in.
    pub(crate) async fn all(mut self) -> Vec<(MessageKind, String)> {
        let mut all = Vec::new();
        while let Some(line) = self.0.recv().await {
            all.push((line.kind, line.content));
        }
        all
    }
}

struct Batches {
    source: Source,
    seq: i64,
}

impl Batches {
    fn new(source: Source) -> Self {
        Self { source, seq: 0 }
    }

    async fn next(&mut self) -> Option<(Vec<Message>, Vec<OwnedSemaphorePermit>)> {
        let mut messages = Vec::new();
        let mut credit = Vec::new();
        let mut bytes = 0;
        let mut line = self.source.0.recv().await?;
        let full_at = Instant::now() + BATCH_AGE;
        loop {
            bytes += line.content.len();
            self.seq += 1;
            credit.extend(line.credit);
            messages.push(Message {
                seq: self.seq,
                kind: line.kind,
                content: line.content,
            });
            if messages.len() >= BATCH_LINES || bytes >= BATCH_BYTES {
                break;
            }
            match tokio::time::timeout_at(full_at, self.source.0.recv()).await {
                Ok(Some(next)) => line = next,
                Ok(None) | Err(_) => break,
            }
        }
        Some((messages, credit))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn batches_are_numbered_through_and_bounded() {
        let (sink, source) = channel(CancellationToken::new());
        for _ in 0..150 {
            sink.put(MessageKind::Output, "x".into()).await;
        }
        sink.put(MessageKind::Error, "y".repeat(BATCH_BYTES)).await;
        sink.put(MessageKind::Error, "z".into()).await;
        drop(sink);
        let mut batches = Batches::new(source);
        let mut sizes = Vec::new();
        let mut seqs = Vec::new();
        while let Some((messages, _)) = batches.next().await {
            sizes.push(messages.len());
            seqs.extend(messages.iter().map(|message| message.seq));
        }
        assert_eq!(sizes, [100, 51, 1]);
        assert_eq!(seqs, (1..=152).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_does_not_wait_for_more() {
        let (sink, source) = channel(CancellationToken::new());
        sink.put(MessageKind::Output, "x".into()).await;
        let mut batches = Batches::new(source);
        let begun = Instant::now();
        assert_eq!(batches.next().await.unwrap().0.len(), 1);
        assert_eq!(begun.elapsed(), BATCH_AGE);
    }

    #[tokio::test]
    async fn a_flood_is_held_up_until_it_is_delivered_or_the_command_ends() {
        let ended = CancellationToken::new();
        let (sink, source) = channel(ended.clone());
        let mut batches = Batches::new(source);
        let line = "x".repeat(64 * 1024);
        let mut taken = 0;
        while sink
            .put(MessageKind::Output, line.clone())
            .now_or_never()
            .is_some()
        {
            taken += 1;
        }
        assert_eq!(taken, CREDIT_BYTES / (line.len() + LINE_BYTES));
        let delivered = batches.next().await.unwrap();
        assert!(
            sink.put(MessageKind::Output, line.clone())
                .now_or_never()
                .is_none()
        );
        drop(delivered);
        assert!(
            sink.put(MessageKind::Output, line.clone())
                .now_or_never()
                .is_some()
        );
        ended.cancel();
        for _ in 0..10 {
            assert!(
                sink.put(MessageKind::Output, line.clone())
                    .now_or_never()
                    .is_some()
            );
        }
    }
}
