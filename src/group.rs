//! Requests of one kind that arrive together are done together, so that they share a transaction: its commit is the
//! dearest part of a small write.
//!
//! Nobody waits for company. Whoever comes while nothing is under way is served at once, alone; those who come meanwhile
//! are served together after that. Each is answered after the commit.
//!
//! Nobody suffers for another. What fails is done again for each alone, and so is what would have to wait for a lock that
//! somebody else keeps: beside those who come next, who need not wait for it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::error::{self, Error, Result};

/// The most requests that are done in one transaction.
const MOST_TOGETHER: usize = 64;

/// The most requests that wait, where nothing else is said; more are refused. As many take a second or two when the database
/// is busy.
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

/// How requests are done: the answers, in the order of the requests. Does one alone as well as many.
type Execute<A, T> =
    dyn Fn(Vec<A>, Patience) -> BoxFuture<'static, Result<Vec<Result<T>>>> + Send + Sync;

/// Requests of one kind, and who does them.
pub struct Group<A, T> {
    shared: Arc<Shared<A, T>>,
}

struct Shared<A, T> {
    execute: Box<Execute<A, T>>,
    tracker: TaskTracker,
    most_waiting: usize,
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
    /// Does requests by `execute`, on a tracker, so that what has begun is done to its end.
    pub fn new<F>(
        tracker: TaskTracker,
        execute: impl Fn(Vec<A>, Patience) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<Result<T>>>> + Send + 'static,
    {
        Self::with_room_for(MOST_WAITING, tracker, execute)
    }

    /// The same, where so many may wait at most.
    pub fn with_room_for<F>(
        most_waiting: usize,
        tracker: TaskTracker,
        execute: impl Fn(Vec<A>, Patience) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<Result<T>>>> + Send + 'static,
    {
        let waiting = Waiting {
            requests: VecDeque::new(),
            under_way: false,
        };
        let shared = Shared {
            execute: Box::new(move |asked, patience| Box::pin(execute(asked, patience))),
            tracker,
            most_waiting,
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
        let mut waiting = self.waiting();
        if waiting.requests.len() >= self.most_waiting {
            return Err(Error::RateLimited {
                problem: "too many requests of this kind wait for the database",
                retry_after: RETRY_AFTER,
            });
        }
        waiting.requests.push_back(request);
        if !waiting.under_way {
            waiting.under_way = true;
            self.tracker.spawn(Arc::clone(self).serve());
        }
        Ok(())
    }

    /// Serves those who wait until nobody does.
    async fn serve(self: Arc<Self>) {
        let _ended = Ended(&self);
        while let Some(requests) = self.next() {
            self.answer(requests).await;
        }
    }

    /// Those who are served next. None: nobody serves from here on.
    fn next(&self) -> Option<Vec<Request<A, T>>> {
        let mut waiting = self.waiting();
        let together = waiting.requests.len().min(MOST_TOGETHER);
        waiting.under_way = together > 0;
        waiting
            .under_way
            .then(|| waiting.requests.drain(..together).collect())
    }

    async fn answer(self: &Arc<Self>, requests: Vec<Request<A, T>>) {
        let asked = requests
            .iter()
            .map(|request| request.asked.clone())
            .collect();
        match (self.execute)(asked, Patience::Brief).await {
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
                for request in requests {
                    self.tracker.spawn(Arc::clone(self).answer_alone(request));
                }
            }
        }
    }

    async fn answer_alone(self: Arc<Self>, request: Request<A, T>) {
        let answers = (self.execute)(vec![request.asked.clone()], Patience::Long).await;
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures::future::{join_all, pending, select_all};
    use sea_orm::DbErr;
    use tokio::sync::Semaphore;
    use tokio_util::task::TaskTracker;

    use super::{Group, MOST_TOGETHER, MOST_WAITING, Patience};
    use crate::error::Error;

    /// What was asked for together, and how long it was to wait.
    type Seen = Arc<Mutex<Vec<(Vec<usize>, Patience)>>>;

    #[tokio::test]
    async fn who_comes_meanwhile_is_served_together_in_the_order_of_coming() {
        let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
        let group = Group::new(TaskTracker::new(), {
            let (seen, gate) = (Arc::clone(&seen), Arc::clone(&gate));
            move |asked: Vec<usize>, patience| {
                let (seen, gate) = (Arc::clone(&seen), Arc::clone(&gate));
                async move {
                    seen.lock().unwrap().push((asked.clone(), patience));
                    gate.acquire().await.unwrap().forget();
                    Ok(asked.into_iter().map(Ok).collect())
                }
            }
        });
        let crowd = MOST_TOGETHER + 3;
        let requests = (0..crowd).map(|nth| group.ask(nth));
        let (answers, ()) = tokio::join!(join_all(requests), async {
            while seen.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            gate.add_permits(crowd);
        });
        let answers: Vec<usize> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, (0..crowd).collect::<Vec<_>>());
        let sizes: Vec<usize> = seen
            .lock()
            .unwrap()
            .iter()
            .map(|(asked, _)| asked.len())
            .collect();
        assert_eq!(sizes.iter().sum::<usize>(), crowd);
        assert_eq!(sizes.iter().max(), Some(&MOST_TOGETHER));
    }

    #[tokio::test]
    async fn what_fails_together_is_done_again_for_each_alone() {
        let seen = Seen::default();
        let group = Group::new(TaskTracker::new(), {
            let seen = Arc::clone(&seen);
            move |asked: Vec<usize>, patience| {
                seen.lock().unwrap().push((asked.clone(), patience));
                async move {
                    if patience == Patience::Brief || asked == [1] {
                        return Err(Error::Internal(anyhow::anyhow!("as it was asked to")));
                    }
                    Ok(asked.into_iter().map(Ok).collect())
                }
            }
        });
        let answers = join_all((0..3).map(|nth| group.ask(nth))).await;
        assert!(matches!(
            answers.as_slice(),
            [Ok(0), Err(Error::Internal(_)), Ok(2)]
        ));
        let patient = seen.lock().unwrap().clone();
        let patient = patient
            .into_iter()
            .filter(|(_, patience)| *patience == Patience::Long);
        let mut alone: Vec<Vec<usize>> = patient.map(|(asked, _)| asked).collect();
        alone.sort();
        assert_eq!(alone, [[0], [1], [2]]);
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_asked_once_for_all() {
        let seen = Seen::default();
        let group = Group::<usize, usize>::new(TaskTracker::new(), {
            let seen = Arc::clone(&seen);
            move |asked, patience| {
                seen.lock().unwrap().push((asked, patience));
                async { Err(Error::Unavailable(DbErr::Custom("it is away".to_owned()))) }
            }
        });
        for answer in join_all((0..3).map(|nth| group.ask(nth))).await {
            assert_eq!(answer.unwrap_err().code(), "UNAVAILABLE");
        }
        let asked: usize = seen
            .lock()
            .unwrap()
            .iter()
            .map(|(asked, _)| asked.len())
            .sum();
        assert_eq!(asked, 3);
    }

    #[tokio::test]
    async fn no_more_wait_than_there_is_room_for() {
        let group = Group::<usize, usize>::new(TaskTracker::new(), |_, _| pending());
        let requests = (0..=MOST_WAITING).map(|nth| Box::pin(group.ask(nth)));
        // Nobody is answered, but for the one for whom there is no room.
        let (answer, _, others) = select_all(requests).await;
        assert_eq!(answer.unwrap_err().code(), "RATE_LIMITED");
        assert_eq!(others.len(), MOST_WAITING);
    }

    #[tokio::test]
    async fn a_panic_lets_everybody_go() {
        let group = Group::<usize, usize>::new(TaskTracker::new(), |asked, _| async move {
            assert!(!asked.contains(&0), "as it was asked to");
            Ok(asked.into_iter().map(Ok).collect())
        });
        assert_eq!(group.ask(0).await.unwrap_err().code(), "INTERNAL");
        assert_eq!(group.ask(7).await.unwrap(), 7);
    }
}
