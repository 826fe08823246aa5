//! Reading the log on behalf of those who are behind. Who is at the same place as others reads it with them: a server that
//! was killed is come back to by everybody at the same moment, and most of them were told the same last.
//!
//! Nobody is given less than they would have read themselves: who asks is given a page that is read after that, or one of
//! the last moments that a look at the ends of the log, taken after that, finds to be what would be read again. Those who
//! want such a look at the same moment share it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};
use tokio::sync::Semaphore;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::Cursor;
use super::page::Page;
use super::reach::Extent;
use crate::db::Pool;
use crate::error::{Error, Result};
use crate::group::{Desk, Group};
use crate::metrics::{Live, Metrics};

/// How many pages are read at once: those who are behind shall not have all connections of the pool, nor of the memory
/// more than so many pages take.
const READINGS: usize = 4;

/// For how long a page is given to others who ask for it.
const KEPT: Duration = Duration::from_millis(250);

/// How many pages are kept for that.
const PAGES: usize = 4;

/// How many may wait for a look at the ends of the log: everybody who comes back at once.
const MOST_LOOKING: usize = 32 * 1024;

/// What comes of a reading.
type Answer = BoxFuture<'static, Result<Arc<Page>, Arc<Error>>>;

/// The readings of one server.
#[derive(Debug)]
pub(super) struct CatchUp {
    db: Pool,
    tracker: TaskTracker,
    looks: Group<(), Extent>,
    turns: Semaphore,
    known: Mutex<Known>,
    metrics: Live,
}

/// By the cursors that were asked for.
#[derive(Debug, Default)]
struct Known {
    /// Those that have not begun.
    waiting: HashMap<Cursor, WeakShared<Answer>>,
    /// What was read, and when its reading began.
    pages: HashMap<Cursor, (Instant, Arc<Page>)>,
    /// How often the log was found to be another.
    breaks: u64,
    /// When the database was last found to be away.
    away: Option<(Instant, Arc<Error>)>,
}

impl CatchUp {
    /// Reads on a tracker.
    pub(super) fn new(db: Pool, tracker: TaskTracker, metrics: &Metrics) -> Self {
        let looking = db.clone();
        let desk = Desk::new(&tracker, &metrics.groups).with_room_for(MOST_LOOKING);
        let looks = Group::new("look", desk, move |asked, turn| {
            let db = looking.clone();
            async move {
                let _turn = turn;
                let extent = Extent::find(&db).await?;
                Ok(asked.into_iter().map(|()| Ok(extent)).collect())
            }
        });
        Self {
            db,
            tracker,
            looks,
            turns: Semaphore::new(READINGS),
            known: Mutex::default(),
            metrics: metrics.live.clone(),
        }
    }

    /// The page after a cursor.
    pub(super) async fn page(self: &Arc<Self>, after: Cursor) -> Result<Arc<Page>> {
        if let Some(page) = self.kept(after)
            && page.is_good_at(self.looks.ask(()).await?)
        {
            return Ok(page);
        }
        let reading = {
            let mut known = self.known();
            let waiting = known.waiting.get(&after).and_then(WeakShared::upgrade);
            waiting.unwrap_or_else(|| self.begin(&mut known, after))
        };
        Ok(reading.await?)
    }

    /// A subscriber has fallen behind.
    pub(super) fn count_lagged(&self) {
        self.metrics.lagged();
    }

    /// Forgets what is of the log as it was.
    pub(super) fn log_broke(&self) {
        let mut known = self.known();
        *known = Known {
            breaks: known.breaks + 1,
            ..Known::default()
        };
    }

    /// Forgets what is kept for nobody any more.
    pub(super) fn tidy(&self) {
        let mut known = self.known();
        known.pages.retain(|_, (begun, _)| begun.elapsed() < KEPT);
        known
            .waiting
            .retain(|_, reading| reading.upgrade().is_some());
    }

    /// A page that was read a moment ago.
    fn kept(&self, after: Cursor) -> Option<Arc<Page>> {
        let known = self.known();
        let (begun, page) = known.pages.get(&after)?;
        (begun.elapsed() < KEPT).then(|| Arc::clone(page))
    }

    /// Lets a reading wait for its turn. It gets on though whoever asked first does not, as one whose socket is stalled, and
    /// is given up when nobody waits for it.
    fn begin(self: &Arc<Self>, known: &mut Known, after: Cursor) -> Shared<Answer> {
        let (catch_up, breaks, asked) = (Arc::clone(self), known.breaks, Instant::now());
        let reading = async move { catch_up.read(after, breaks, asked).await };
        let reading = AbortOnDropHandle::new(self.tracker.spawn(reading));
        let reading = reading.map(|read| {
            read.unwrap_or_else(|panicked| {
                Err(Arc::new(Error::Internal(anyhow::Error::new(panicked))))
            })
        });
        let reading = reading.boxed().shared();
        if let Some(weak) = reading.downgrade() {
            known.waiting.insert(after, weak);
        }
        reading
    }

    /// Reads when it has its turn.
    async fn read(
        &self,
        after: Cursor,
        breaks: u64,
        asked: Instant,
    ) -> Result<Arc<Page>, Arc<Error>> {
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|closed| Error::Internal(anyhow::Error::new(closed)))?;
        let begun = Instant::now();
        self.take_turn(after, breaks, asked)?;
        let read = Page::read(&self.db, after).await;
        let read = read.map(Arc::new).map_err(Arc::new);
        let mut known = self.known();
        match &read {
            Ok(page) if known.breaks == breaks => known.keep(after, begun, page),
            Err(error) if matches!(**error, Error::Unavailable(_)) => {
                known.away = Some((Instant::now(), Arc::clone(error)));
            }
            Ok(_) | Err(_) => {}
        }
        read
    }

    /// It is the turn of a reading. From here on it answers nobody who asks anew: they may know of something that it does
    /// not see. Where the database was found to be away while it waited, it is so for all who did: each would otherwise have
    /// to find that out by waiting, one after the other.
    fn take_turn(&self, after: Cursor, breaks: u64, asked: Instant) -> Result<(), Arc<Error>> {
        let mut known = self.known();
        if known.breaks == breaks {
            known.waiting.remove(&after);
        }
        match &known.away {
            Some((at, error)) if *at >= asked => Err(Arc::clone(error)),
            Some(_) | None => Ok(()),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Keeps a page in place of the oldest.
    fn keep(&mut self, after: Cursor, begun: Instant, page: &Arc<Page>) {
        if self.pages.len() >= PAGES
            && !self.pages.contains_key(&after)
            && let Some(oldest) = self.pages.iter().min_by_key(|(_, (begun, _))| *begun)
        {
            let oldest = *oldest.0;
            self.pages.remove(&oldest);
        }
        self.pages.insert(after, (begun, Arc::clone(page)));
    }
}
