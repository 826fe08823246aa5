//! Subscriptions that are alike: what one of them is told is executed and written once, and told to all of them.
//!
//! Each goes its own way along the log, at its own pace, and has an execution of its own, which says whether it may be begun
//! and lasts as long as it does. Where several come by the same batch, of the hub or of those who catch up from the same
//! place, whoever is first at an event executes it for the others. One that is at a place of its own executes for itself
//! until it is in step.
//!
//! Two are alike if they ask the same ([`Likeness`]) and may see the same: what is read on behalf of a viewer below an event
//! goes by their [`Sight`], as the event itself does.

mod execution;
mod sheet;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_graphql::Context;
use entity::api_token::Kind;
use futures::channel::{mpsc, oneshot};
use futures::stream::{self, BoxStream, Stream, StreamExt};

use self::execution::Execution;
use self::sheet::Sheet;
use super::checkpoint::Checkpoint;
use super::tasks::{Subscriber, Told};
use super::{Item, Shared};
use crate::error::Result;
use crate::event::{Batch, Sight};
use crate::graphql::context;
use crate::graphql::executor::{Likeness, Outcome};

/// How many batches back those who are alike may be behind each other, and still share.
const SHEETS: usize = 8;

/// What subscriptions have in common that are alike.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    likeness: Likeness,
    sight: Sight,
    kind: Kind,
}

/// What is shared by subscriptions that are alike: the latest batches that they came by, as they are told.
#[derive(Debug, Default)]
pub(super) struct Alike {
    sheets: Mutex<Vec<(Weak<Batch>, Arc<Sheet>)>>,
}

impl Alike {
    /// A batch as it is told. It is shared if anybody else is alike and may come by it too.
    fn sheet(self: &Arc<Self>, batch: &Arc<Batch>, subscriber: &Subscriber) -> Arc<Sheet> {
        let mut sheets = self.sheets.lock().unwrap_or_else(PoisonError::into_inner);
        // A batch that nobody holds any more nobody else will come by.
        sheets.retain(|(of, _)| of.strong_count() > 0);
        let known = sheets
            .iter()
            .find(|(of, _)| std::ptr::eq(of.as_ptr(), Arc::as_ptr(batch)));
        if let Some((_, sheet)) = known {
            return Arc::clone(sheet);
        }
        let events = subscriber.shown(batch);
        if Arc::strong_count(self) == 1 || Arc::strong_count(batch) == 1 {
            return Arc::new(Sheet::of_one(events));
        }
        let sheet = Arc::new(Sheet::of_many(events));
        if sheets.len() == SHEETS {
            sheets.remove(0);
        }
        sheets.push((Arc::downgrade(batch), Arc::clone(&sheet)));
        sheet
    }
}

/// Where a subscription that may be alike others leaves its resolver: given with the request, as data.
pub(in crate::graphql) struct Entrance(Mutex<Option<Threshold>>);

struct Threshold {
    likeness: Likeness,
    begun: oneshot::Sender<Begun>,
    told: mpsc::UnboundedReceiver<Item<Told>>,
}

/// A subscription that may be begun.
struct Begun {
    subscriber: Subscriber,
    alike: Arc<Alike>,
    shared: Shared,
}

/// What a resolver returns that has found a subscriber to be in order: what it is told, in its own time; or, of one that
/// came by an entrance, what its execution is given to execute.
pub(super) fn told(
    ctx: &Context<'_>,
    subscriber: Subscriber,
) -> Result<BoxStream<'static, Item<Told>>> {
    let (board, viewer) = (context::board(ctx)?, context::viewer(ctx)?);
    let threshold = ctx.data_opt::<Entrance>().and_then(|entrance| {
        let mut threshold = entrance.0.lock().unwrap_or_else(PoisonError::into_inner);
        threshold.take()
    });
    let Some(threshold) = threshold else {
        return Ok(subscriber.into_stream().boxed());
    };
    let key = Key {
        likeness: threshold.likeness,
        sight: Sight::from(viewer),
        kind: viewer.kind(),
    };
    let begun = Begun {
        subscriber,
        alike: board.shared.alike(key),
        shared: board.shared.clone(),
    };
    // Where nobody waits for it, nobody follows.
    let _nobody = threshold.begun.send(begun);
    Ok(threshold.told.boxed())
}

/// Follows a subscription that may be alike others; `execute` begins it, with the entrance as data of its request.
pub(in crate::graphql) fn follow(
    likeness: Likeness,
    execute: impl FnOnce(Entrance) -> BoxStream<'static, Outcome>,
) -> BoxStream<'static, Outcome> {
    let (tell, told) = mpsc::unbounded();
    let (begun, beginning) = oneshot::channel();
    let threshold = Threshold {
        likeness,
        begun,
        told,
    };
    let mut results = execute(Entrance(Mutex::new(Some(threshold))));
    let outcomes = stream::once(async move {
        tokio::select! {
            biased;
            Ok(begun) = beginning => {
                let execution = Execution::new(tell, results);
                Reader::new(begun, execution).into_stream().boxed()
            }
            // It is refused.
            outcome = results.next() => stream::iter(outcome).chain(results).boxed(),
        }
    });
    outcomes.flatten().boxed()
}

/// A subscriber, and how it comes to know what it is told.
struct Reader {
    subscriber: Subscriber,
    alike: Arc<Alike>,
    shared: Shared,
    execution: Arc<tokio::sync::Mutex<Execution>>,
    /// What it reads, and which event is next.
    reading: Option<(Arc<Sheet>, usize)>,
    /// What it is told after that.
    checkpoint: Option<Checkpoint>,
}

impl Reader {
    fn new(begun: Begun, execution: Execution) -> Self {
        Self {
            subscriber: begun.subscriber,
            alike: begun.alike,
            shared: begun.shared,
            execution: Arc::new(tokio::sync::Mutex::new(execution)),
            reading: None,
            checkpoint: None,
        }
    }

    fn into_stream(self) -> impl Stream<Item = Outcome> {
        stream::unfold(Some(self), |reader| async move {
            let mut reader = reader?;
            match reader.next().await? {
                Ok(outcome) => Some((outcome, Some(reader))),
                // What comes next is lost: there is nothing to go on with.
                Err(outcome) => Some((outcome, None)),
            }
        })
    }

    /// What is told next, or for the last time; none when the server stops.
    async fn next(&mut self) -> Option<Result<Outcome, Outcome>> {
        loop {
            if let Some((sheet, index)) = &mut self.reading {
                let outcome = sheet.outcome(*index, &self.execution, &self.shared).await;
                if let Some(outcome) = outcome {
                    *index += 1;
                    return Some(Ok(outcome));
                }
                self.reading = None;
            }
            if let Some(checkpoint) = self.checkpoint.take() {
                let mut execution = self.execution.lock().await;
                return Some(Ok(execution.tell(Ok(Told::Checkpoint(checkpoint))).await));
            }
            match self.subscriber.next().await? {
                Ok(Some(batch)) => {
                    let sheet = self.alike.sheet(&batch, &self.subscriber);
                    self.checkpoint = self.subscriber.passed(&batch, sheet.last());
                    self.reading = Some((sheet, 0));
                }
                Ok(None) => self.checkpoint = self.subscriber.checkpoint(),
                Err(error) => {
                    let mut execution = self.execution.lock().await;
                    return Some(Err(execution.tell(Err(error)).await));
                }
            }
        }
    }
}
