//! Batched reads of what objects refer to: whatever siblings ask for is read at once.
//!
//! By ids they authorise nothing: whoever may see a task may see its agent, its parent and what it tells of itself. Lists
//! carry the viewer who asks for them.
//!
//! A batch is made up when the execution that asks can get no further, and read beside it. So it holds all that there is to
//! ask at that point, however many rows and however slow the machine, and nothing waits for a timer.
//!
//! While the database is away, who asks once is told so. A subscription waits, as it does for the log: what it cannot be
//! told of an event now it could not be told later, when the event has passed. And it reads by a task of its own: one whose
//! socket is stalled would keep a connection meanwhile.

mod agent;
mod list;
mod row;
mod task;

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::hash::Hash;
use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_graphql::dataloader::{DataLoader, Loader};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, FuturesUnordered, Stream, StreamExt};

use super::context::Board;
use super::feed::Shared;
use crate::db::{Pool, until_answered};
use crate::error::Error;
use crate::settings::Settings;

pub(super) use agent::{HistoryOf, PresenceOf, RunningOf};
pub(super) use list::{AgentsOn, LineOf, PageOf};
pub(super) use task::{EventsOf, MessagesOf, UsageOf, WaitingOf};

/// The most rows that one batch asks for: more than any list has, so that none is read in parts.
const MOST_AT_ONCE: usize = 10_000;

/// The batched reads over one pool.
#[derive(Debug)]
pub(super) struct Loaders {
    db: Pool,
    settings: Settings,
}

/// What those do who ask while the database does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// They are told so.
    None,
    /// They wait until it does.
    Endless,
}

/// The batched reads as one execution has them.
#[derive(Debug)]
pub(super) struct Reads {
    loaders: Arc<Loaders>,
    patience: Patience,
    shared: Shared,
}

impl<K> Loader<K> for Reads
where
    K: Send + Sync + Hash + Eq + Clone + 'static,
    Loaders: Loader<K, Error = Arc<Error>>,
{
    type Value = <Loaders as Loader<K>>::Value;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[K]) -> Result<HashMap<K, Self::Value>, Self::Error> {
        if self.patience == Patience::None {
            return self.loaders.load(keys).await;
        }
        let (loaders, keys) = (Arc::clone(&self.loaders), keys.to_vec());
        let reading =
            async move { until_answered(|| async { Ok(loaders.load(&keys).await?) }).await };
        self.shared.beside(reading).await.map_err(Arc::new)
    }
}

/// Batches that were made up and are not begun.
type Queue = Arc<Mutex<Vec<BoxFuture<'static, ()>>>>;

/// The batches of one execution.
pub(super) struct Batches {
    queue: Queue,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
}

/// Makes the batched reads of one execution, and what has to run beside it. They keep nothing, so that each read finds
/// what is there by then.
pub(super) fn loaders(board: &Board, patience: Patience) -> (DataLoader<Reads>, Batches) {
    let queue = Queue::default();
    let batches = Batches {
        queue: Arc::clone(&queue),
        running: FuturesUnordered::new(),
    };
    let loaders = Loaders {
        db: board.db.clone(),
        settings: board.settings.clone(),
    };
    let reads = Reads {
        loaders: Arc::new(loaders),
        patience,
        shared: board.shared.clone(),
    };
    let enqueue = move |batch| {
        queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(batch);
    };
    let loader = DataLoader::new(reads, enqueue)
        .delay(Duration::ZERO)
        .max_batch_size(MOST_AT_ONCE);
    (loader, batches)
}

impl Batches {
    /// Runs them beside what asks for them, to its end.
    pub(super) async fn beside<T>(mut self, execution: impl Future<Output = T>) -> T {
        let mut execution = pin!(execution);
        poll_fn(|context| self.after(context, |context| execution.as_mut().poll(context))).await
    }

    /// Runs them beside a stream of what asks for them.
    pub(super) fn beside_each<T: 'static>(
        mut self,
        mut executions: impl Stream<Item = T> + Send + Unpin + 'static,
    ) -> BoxStream<'static, T> {
        let next = move |context: &mut Context<'_>| {
            self.after(context, |context| executions.poll_next_unpin(context))
        };
        stream::poll_fn(next).boxed()
    }

    /// Gets the execution as far as it goes, then the batches. An execution that stops and has woken itself is only making
    /// way for others: it has more to ask.
    fn after<T>(
        &mut self,
        context: &mut Context<'_>,
        execution: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(false),
            task: context.waker().clone(),
        });
        let waker = Waker::from(Arc::clone(&bell));
        let outcome = execution(&mut Context::from_waker(&waker));
        if outcome.is_pending() && !bell.rung.load(Ordering::Acquire) {
            self.advance(context);
        }
        outcome
    }

    /// Begins those that were made up, and gets all as far as they go.
    fn advance(&mut self, context: &mut Context<'_>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        self.running.extend(mem::take(&mut *queue));
        drop(queue);
        while let Poll::Ready(Some(())) = self.running.poll_next_unpin(context) {}
    }
}

/// Wakes the task, and remembers that it did.
struct Bell {
    rung: AtomicBool,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Batches(..)")
    }
}

/// What belongs to each key, in its order.
fn grouped<K: Eq + Hash, V>(named: impl Iterator<Item = (K, V)>) -> HashMap<K, Vec<V>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, value) in named {
        groups.entry(key).or_default().push(value);
    }
    groups
}

/// Everyone who waits for the batch gets the error.
fn shared(error: sea_orm::DbErr) -> Arc<Error> {
    Arc::new(Error::from(error))
}
