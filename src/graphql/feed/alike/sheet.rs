//! A batch as it is told to those who are alike.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared as SharedFuture};
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::execution::Execution;
use crate::error::Error;
use crate::event::Cursor;
use crate::graphql::executor::Outcome;
use crate::graphql::feed::Shared;
use crate::graphql::feed::event::TaskEvent;
use crate::graphql::feed::tasks::Told;

/// How much of a batch is kept for the others, in bytes as it is written. What comes after it each executes for itself: who
/// is in a hurry shall not fill the memory for those who are slow.
const KEPT_BYTES: usize = 512 * 1024;

/// An event that is being written, or was.
type Writing = SharedFuture<BoxFuture<'static, Outcome>>;

/// What of a batch is told to those who are alike, each event written once.
pub(super) struct Sheet {
    events: Vec<(Cursor, TaskEvent)>,
    /// A place for each event, if they are shared at all.
    written: BlockingMutex<Vec<Option<Writing>>>,
    /// How much has been written.
    bytes: Arc<AtomicUsize>,
}

impl Sheet {
    /// What one subscriber alone is told.
    pub(super) fn of_one(events: Vec<(Cursor, TaskEvent)>) -> Self {
        Self {
            events,
            written: BlockingMutex::default(),
            bytes: Arc::default(),
        }
    }

    /// What many are told.
    pub(super) fn of_many(events: Vec<(Cursor, TaskEvent)>) -> Self {
        Self {
            written: BlockingMutex::new(vec![None; events.len()]),
            ..Self::of_one(events)
        }
    }

    /// The cursor of the last event.
    pub(super) fn last(&self) -> Option<Cursor> {
        self.events.last().map(|(cursor, _)| *cursor)
    }

    /// What came of an event; none behind the last. Whoever is first executes it.
    pub(super) async fn outcome(
        &self,
        index: usize,
        execution: &Arc<Mutex<Execution>>,
        shared: &Shared,
    ) -> Option<Outcome> {
        let (_, event) = self.events.get(index)?;
        let told = || Ok(Told::Event(event.clone()));
        let begin = || {
            let (execution, bytes, told) = (Arc::clone(execution), Arc::clone(&self.bytes), told());
            // Not by whoever is first: a client that does not read would hold up the others. Given up with the last of them:
            // it may wait for the database for as long as somebody does.
            let writing = shared.spawn(async move {
                let outcome = execution.lock().await.tell(told).await;
                bytes.fetch_add(outcome.payload().get().len(), Ordering::Relaxed);
                outcome
            });
            let written = AbortOnDropHandle::new(writing).map(|written| {
                let panicked = |panicked| Error::Internal(anyhow::Error::new(panicked));
                written.unwrap_or_else(|error| Outcome::from(panicked(error)))
            });
            written.boxed().shared()
        };
        Some(match self.writing(index, begin) {
            Some(writing) => writing.await,
            None => execution.lock().await.tell(told()).await,
        })
    }

    /// The writing of an event, begun if it was not before; none where it is not shared.
    fn writing(&self, index: usize, begin: impl FnOnce() -> Writing) -> Option<Writing> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let place = written.get_mut(index)?;
        if place.is_none() && self.bytes.load(Ordering::Relaxed) < KEPT_BYTES {
            *place = Some(begin());
        }
        place.clone()
    }
}

impl fmt::Debug for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sheet({} events)", self.events.len())
    }
}
