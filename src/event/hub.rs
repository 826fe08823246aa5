//! The hub: one reader of the log for each server, and its subscribers.
//!
//! After each ring the hub reads the log once, whatever the number of subscribers, and hands them the batch. A
//! subscriber is bounded: one that falls behind, joins late or finds a gap reads the log from its own cursor, with those who
//! are at the same place, until it has caught up. So nothing here can lose an event, and nothing has to be kept for anyone:
//! what waits for those who are late is bounded by its number and by its size.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::catch_up::CatchUp;
use super::parcel::{Parcel, Parcels};
use super::{Batch, Cursor, Follower, Watcher, mend, read, tip};
use crate::db::Pool;
use crate::doorbell::Doorbell;
use crate::error::{Error, Result};
use crate::metrics::{Live, Metrics};

/// How many batches a subscriber may lag behind before it reads the log itself.
const BUFFERED_BATCHES: usize = 256;

/// About how many bytes of events wait for those who are late, besides the batch that was read last. Who is later reads the
/// log itself.
pub const BUFFERED_BYTES: usize = 16 * 1024 * 1024;

/// How long a lost ring may go unnoticed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How soon to look again while a writer that is still under way holds back events behind it: its roll-back would
/// ring no bell.
const HELD_BACK_INTERVAL: Duration = Duration::from_millis(10);

/// How many times as long as the hub has read it rests before it reads again, and how long at most. However many commits
/// there are, reading what they tell takes no more than a fifth of one processor; who commits alone is read at once.
const REST: u32 = 4;
const LONGEST_REST: Duration = Duration::from_millis(10);

/// How long to wait before the log is read again after the database did not answer.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// What the hub hands out.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    /// This happened.
    Batch(Arc<Parcel>),
    /// The log is not the one that it was: it was taken back, or has been dropped faster than it was read.
    Break,
}

/// The hub of one server; clones share it.
#[derive(Clone, Debug)]
pub struct Hub {
    db: Pool,
    heard: broadcast::Sender<Heard>,
    /// What has been handed out and not been taken by everyone.
    parcels: Arc<Mutex<Parcels>>,
    /// How far the hub has read; none before its first look.
    position: watch::Sender<Option<Cursor>>,
    /// Marked as changed by each look, whether or not there was something to read.
    looks: watch::Sender<()>,
    /// How often the log was found not to be the one that it was.
    breaks: Arc<AtomicU64>,
    catch_up: Arc<CatchUp>,
    metrics: Live,
}

impl Hub {
    /// Makes a hub; it hands out nothing until it runs. What those read who are behind is read on the tracker.
    pub fn new(db: Pool, tracker: TaskTracker, metrics: &Metrics) -> Self {
        let (heard, _) = broadcast::channel(BUFFERED_BATCHES);
        let (position, _) = watch::channel(None);
        let (looks, _) = watch::channel(());
        Self {
            catch_up: Arc::new(CatchUp::new(db.clone(), tracker, metrics)),
            db,
            heard,
            parcels: Arc::default(),
            position,
            looks,
            breaks: Arc::default(),
            metrics: metrics.live.clone(),
        }
    }

    /// Reads the log after each ring, until told to stop. Its subscribers end with it.
    pub async fn run(self, doorbell: Doorbell, stop: CancellationToken) {
        // Reading changes nothing, so it is broken off wherever it is: a database that has fallen silent holds nobody up.
        stop.run_until_cancelled(self.read_after_each_ring(doorbell))
            .await;
    }

    async fn read_after_each_ring(&self, doorbell: Doorbell) {
        let mut pause = Duration::ZERO;
        loop {
            let _elapsed = tokio::time::timeout(pause, doorbell.heard()).await;
            self.looks.send_replace(());
            self.catch_up.tidy();
            let began = Instant::now();
            pause = match self.advance().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(error = %error, "cannot read the event log; trying again");
                    RETRY_INTERVAL
                }
            };
            if !pause.is_zero() {
                tokio::time::sleep((began.elapsed() * REST).min(LONGEST_REST)).await;
            }
        }
    }

    /// Reads what is new and hands it out; says how long to wait for the next ring.
    async fn advance(&self) -> Result<Duration> {
        let Some(after) = self.read_through() else {
            let now = self.begin().await?;
            // Who has caught up before this, and waits, may lack what happened in between.
            self.hand_out_batch(Arc::new(Batch::none_at(now)));
            return Ok(Duration::ZERO);
        };
        let batch = match read(&self.db, after).await {
            Err(Error::CursorExpired) => {
                tracing::warn!("the event log was taken back, or dropped before it was read");
                self.begin().await?;
                self.breaks.fetch_add(1, Ordering::Relaxed);
                self.catch_up.log_broke();
                self.hand_out(Heard::Break);
                return Ok(Duration::ZERO);
            }
            batch => batch?,
        };
        let pause = match (batch.more, batch.held_back) {
            (true, _) => Duration::ZERO,
            (false, true) => HELD_BACK_INTERVAL,
            (false, false) => POLL_INTERVAL,
        };
        if batch.through > after {
            self.count(&batch);
            self.position.send_replace(Some(batch.through));
            self.hand_out_batch(batch);
        }
        Ok(pause)
    }

    /// Begins at the end of the log, which then has its numbers before it.
    async fn begin(&self) -> Result<Cursor> {
        let skipped = mend(&self.db).await?;
        if skipped > 0 {
            tracing::warn!(
                skipped,
                "the numbers of the event log lay behind it, as in a database put together from parts of different age; \
                 they were moved past it, and what was written with the old ones is told to nobody"
            );
        }
        let now = tip(&self.db).await?;
        self.position.send_replace(Some(now));
        Ok(now)
    }

    fn count(&self, batch: &Batch) {
        for event in &batch.events {
            self.metrics.read(event.row.kind);
        }
        if let Some(age_secs) = batch.age_secs {
            self.metrics.delayed(age_secs);
        }
    }

    fn hand_out_batch(&self, batch: Arc<Batch>) {
        let mut parcels = self.parcels.lock().unwrap_or_else(PoisonError::into_inner);
        let parcel = parcels.send(batch, BUFFERED_BYTES);
        drop(parcels);
        self.hand_out(Heard::Batch(parcel));
    }

    fn hand_out(&self, heard: Heard) {
        // An error only says that nobody listens.
        let _receivers = self.heard.send(heard);
    }

    /// Follows every event after a cursor, or from now on.
    pub async fn follow(&self, after: Option<Cursor>) -> Result<Follower> {
        // Heard first: what the hub reads later it hands out here.
        let (heard, catch_up) = (self.heard.subscribe(), Arc::clone(&self.catch_up));
        let read = self.position.subscribe();
        if let Some(cursor) = after {
            let page = self.catch_up.page(cursor).await?;
            page.check_cursor()?;
            return Ok(Follower::beginning_with(catch_up, heard, read, page));
        }
        let position = self.position().await?;
        Ok(Follower::new(catch_up, heard, read, position))
    }

    /// Follows every event after a cursor that the log was just seen to have.
    pub fn follow_known(&self, after: Cursor) -> Follower {
        // Heard first: what the hub reads later it hands out here, and what it has read before shows in its position.
        let (heard, catch_up) = (self.heard.subscribe(), Arc::clone(&self.catch_up));
        Follower::new(catch_up, heard, self.position.subscribe(), after)
    }

    /// Watches for changes from now on.
    pub async fn watch(&self) -> Result<Watcher> {
        let heard = self.heard.subscribe();
        let position = self.position().await?;
        Ok(Watcher::new(self.clone(), heard, position))
    }

    /// Is marked as changed whenever something of any kind may have been committed, and once in a poll interval.
    pub fn looks(&self) -> watch::Receiver<()> {
        self.looks.subscribe()
    }

    /// How often the log was found not to be the one that it was. What contains a cursor from before the last time contains
    /// nothing of what came after it.
    pub fn breaks(&self) -> u64 {
        self.breaks.load(Ordering::Relaxed)
    }

    /// About how many bytes of events wait for those who are late.
    pub fn buffered_bytes(&self) -> usize {
        let parcels = self.parcels.lock().unwrap_or_else(PoisonError::into_inner);
        parcels.bytes()
    }

    /// A subscriber has fallen behind.
    pub(super) fn count_lagged(&self) {
        self.metrics.lagged();
    }

    /// How far the hub has read; none before its first look.
    pub fn read_through(&self) -> Option<Cursor> {
        *self.position.borrow()
    }

    /// How far the hub has read; waits for its first look.
    pub async fn position(&self) -> Result<Cursor> {
        let mut position = self.position.subscribe();
        let known = position
            .wait_for(Option::is_some)
            .await
            .map_err(|error| Error::Internal(anyhow::Error::new(error)))?;
        known.ok_or_else(|| Error::Internal(anyhow::anyhow!("the hub has no position")))
    }
}
