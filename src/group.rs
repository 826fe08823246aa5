//! Requests of one kind that arrive together are done together, so that they share a transaction: its commit is the
//! dearest part of a small write.
//!
//! Nobody waits for company. Whoever comes while nothing is under way is served at once, alone; those who come meanwhile
//! are served together after that. Each is answered after the commit.
//!
//! Groups of several kinds may share a [`Desk`], where one is served after the other: a transaction costs hardly more for ten
//! than for one, so those who wait a moment are served sooner than by many transactions that compete. A [`Turn`] there is over
//! when the database has answered; what its answer says is made out while it is the turn of others.
//!
//! Nobody suffers for another. What fails is done again for each alone, and so is what would have to wait for a lock that
//! somebody else keeps: beside those who come next, who need not wait for it.

pub mod places;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::task::TaskTracker;

use crate::error::{self, Error, Result};
use crate::metrics::{Groups, Verb};

/// The most requests that are done in one transaction; or fewer, where one is as much work as several. What is more work than
/// so many is done beside them, so that they need not wait for it.
const MOST_TOGETHER: usize = 64;

/// The most requests of a kind that wait, where nothing else is said; more are refused. As many take a second or two when the
/// database is busy.
const MOST_WAITING: usize = 4096;

/// When somebody who was refused may find room again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long requests may wait for a lock of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// A few milliseconds; then they fail as a whole.
    Brief,
    /// As long as a statement may take.
    Long,
}

impl Patience {
    /// The setting of a transaction that makes it so.
    pub const fn lock_timeout(self) -> &'static str {
        match self {
            // What nobody keeps on purpose is free by then.
            Self::Brief => "20ms",
            Self::Long => "0",
        }
    }
}

/// A turn at a desk: it lasts until this is dropped.
#[derive(Debug)]
pub struct Turn {
    patience: Patience,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// How long those whose turn it is may wait for a lock.
    pub const fn patience(&self) -> Patience {
        self.patience
    }
}

/// Where groups are served. Those that are made with clones of the same desk are served in turns.
#[derive(Clone, Debug)]
pub struct Desk {
    tracker: TaskTracker,
    turn: Arc<Semaphore>,
    most_waiting: usize,
    metrics: Groups,
}

impl Desk {
    /// A new desk. What has begun there is on the tracker, so that it is done to its end.
    pub fn new(tracker: &TaskTracker, metrics: &Groups) -> Self {
        Self {
            tracker: tracker.clone(),
            turn: Arc::new(Semaphore::new(1)),
            most_waiting: MOST_WAITING,
            metrics: metrics.clone(),
        }
    }

    /// The same desk, for a kind of which so many may wait.
    #[must_use]
    pub fn with_room_for(self, most_waiting: usize) -> Self {
        Self {
            most_waiting,
            ..self
        }
    }
}

/// How requests are done: the answers, in the order of the requests. Does one alone as well as many.
type Execute<A, T> =
    dyn Fn(Vec<A>, Turn) -> BoxFuture<'static, Result<Vec<Result<T>>>> + Send + Sync;

/// As how many others a request is work.
type Weigh<A> = fn(&A) -> usize;

/// Requests of one kind, and who does them.
pub struct Group<A, T> {
    shared: Arc<Shared<A, T>>,
}

struct Shared<A, T> {
    execute: Box<Execute<A, T>>,
    weigh: Weigh<A>,
    desk: Desk,
    counts: Verb,
    waiting: Mutex<Waiting<A, T>>,
}

struct Waiting<A, T> {
    requests: VecDeque<Request<A, T>>,
    under_way: bool,
}

/// What is asked for, and where the answer is waited for.
struct Request<A, T> {
    asked: A,
    answer: oneshot::Sender<Result<T>>,
}

impl<A, T> Group<A, T>
where
    A: Clone + Send + 'static,
    T: Send + 'static,
{
    /// Does requests by `execute`, at a desk, and counts them under a name.
    pub fn new<F>(
        verb: &'static str,
        desk: Desk,
        execute: impl Fn(Vec<A>, Turn) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<Result<T>>>> + Send + 'static,
    {
        Self::weighing(verb, desk, |_| 1, execute)
    }

    /// The same, where some are more work than others.
    pub fn weighing<F>(
        verb: &'static str,
        desk: Desk,
        weigh: Weigh<A>,
        execute: impl Fn(Vec<A>, Turn) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<Result<T>>>> + Send + 'static,
    {
        let waiting = Waiting {
            requests: VecDeque::new(),
            under_way: false,
        };
        let shared = Shared {
            execute: Box::new(move |asked, turn| Box::pin(execute(asked, turn))),
            weigh,
            counts: desk.metrics.verb(verb),
            desk,
            waiting: Mutex::new(waiting),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Does what is asked for, together with what others ask for meanwhile. Refused with
    /// [`RateLimited`](Error::RateLimited) where too many wait.
    pub async fn ask(&self, asked: A) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.shared.admit(Request { asked, answer })?;
        answered.await.unwrap_or_else(|_dropped| {
            Err(Error::Internal(anyhow::anyhow!(
                "a request was given up by those who did it"
            )))
        })
    }
}

impl<A, T> Shared<A, T>
where
    A: Clone + Send + 'static,
    T: Send + 'static,
{
    /// Lets a request wait, and sees to it that somebody serves those who wait.
    fn admit(self: &Arc<Self>, request: Request<A, T>) -> Result<()> {
        if (self.weigh)(&request.asked) > MOST_TOGETHER {
            self.desk
                .tracker
                .spawn(Arc::clone(self).answer_alone(request));
            return Ok(());
        }
        let mut waiting = self.waiting();
        if waiting.requests.len() >= self.desk.most_waiting {
            self.counts.refused();
            return Err(Error::RateLimited {
                problem: "too many requests of this kind wait for the database",
                retry_after: RETRY_AFTER,
            });
        }
        waiting.requests.push_back(request);
        self.counts.wait(waiting.requests.len());
        if !waiting.under_way {
            waiting.under_way = true;
            self.desk.tracker.spawn(Arc::clone(self).serve());
        }
        Ok(())
    }

    /// Serves those who wait until nobody does.
    async fn serve(self: Arc<Self>) {
        let _ended = Ended(&self);
        loop {
            // First the turn, then those who have come by then.
            let permit = Arc::clone(&self.desk.turn).acquire_owned().await;
            let Some(requests) = self.next() else { return };
            let turn = Turn {
                patience: Patience::Brief,
                _permit: permit.ok(),
            };
            self.answer(requests, turn).await;
        }
    }

    /// Those who are served next. None: nobody serves from here on.
    fn next(&self) -> Option<Vec<Request<A, T>>> {
        let mut waiting = self.waiting();
        let mut room = MOST_TOGETHER;
        let together = waiting.requests.iter().take_while(|request| {
            let has_room = room > 0;
            room = room.saturating_sub((self.weigh)(&request.asked));
            has_room
        });
        let together = together.count();
        waiting.under_way = together > 0;
        if !waiting.under_way {
            return None;
        }
        let requests = waiting.requests.drain(..together).collect();
        self.counts.together(together);
        self.counts.wait(waiting.requests.len());
        Some(requests)
    }

    async fn answer(self: &Arc<Self>, requests: Vec<Request<A, T>>, turn: Turn) {
        let asked = requests
            .iter()
            .map(|request| request.asked.clone())
            .collect();
        match (self.execute)(asked, turn).await {
            Ok(answers) => send(requests, answers),
            // The database is away, for each of them.
            Err(Error::Unavailable(error)) if !error::lost_to_another(&error) => {
                let error = Arc::new(Error::Unavailable(error));
                let answers = requests
                    .iter()
                    .map(|_| Err(Error::Shared(Arc::clone(&error))));
                let answers = answers.collect();
                send(requests, answers);
            }
            Err(error) => {
                tracing::debug!(%error, together = requests.len(), "done again, each alone");
                self.counts.alone(requests.len());
                for request in requests {
                    self.desk
                        .tracker
                        .spawn(Arc::clone(self).answer_alone(request));
                }
            }
        }
    }

    async fn answer_alone(self: Arc<Self>, request: Request<A, T>) {
        let turn = Turn {
            patience: Patience::Long,
            _permit: None,
        };
        let answers = (self.execute)(vec![request.asked.clone()], turn).await;
        send(
            vec![request],
            answers.unwrap_or_else(|error| vec![Err(error)]),
        );
    }
}

impl<A, T> Shared<A, T> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<A, T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers each, if they still wait.
fn send<A, T>(requests: Vec<Request<A, T>>, answers: Vec<Result<T>>) {
    debug_assert_eq!(requests.len(), answers.len(), "an answer for each");
    for (request, answer) in requests.into_iter().zip(answers) {
        drop(request.answer.send(answer));
    }
}

/// After a panic, those who wait are let go, and the next who comes is served.
struct Ended<'a, A, T>(&'a Shared<A, T>);

impl<A, T> Drop for Ended<'_, A, T> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        if waiting.under_way && std::thread::panicking() {
            waiting.under_way = false;
            waiting.requests.clear();
            self.0.counts.wait(0);
        }
    }
}

impl<A, T> Clone for Group<A, T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<A, T> fmt::Debug for Group<A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").finish_non_exhaustive()
    }
}
