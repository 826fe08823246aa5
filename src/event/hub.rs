//! The hub: one reader of the log for each server, and its subscribers.
//!
//! After each ring the hub reads the log once, whatever the number of subscribers, and hands them the batch. A
//! subscriber is bounded: one that falls behind, joins late or finds a gap reads the log itself, from its own cursor,
//! until it has caught up. So nothing here can lose an event, and nothing has to be kept for anyone.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DatabaseConnection;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::{Batch, Cursor, check_cursor, read, tip};
use crate::doorbell::Doorbell;
use crate::error::{Error, Result};

/// How many batches a subscriber may lag behind before it reads the log itself.
const BUFFERED_BATCHES: usize = 256;

/// How long a lost ring may go unnoticed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How soon to look again while a writer that is still under way holds back events behind it: its roll-back would
/// ring no bell.
const HELD_BACK_INTERVAL: Duration = Duration::from_millis(10);

/// How long to wait before the log is read again after the database did not answer.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The hub of one server; clones share it.
#[derive(Clone, Debug)]
pub struct Hub {
    db: DatabaseConnection,
    batches: broadcast::Sender<Arc<Batch>>,
    /// How far the hub has read; none before its first look.
    position: watch::Sender<Option<Cursor>>,
}

impl Hub {
    /// Makes a hub; it hands out nothing until it runs.
    pub fn new(db: DatabaseConnection) -> Self {
        let (batches, _) = broadcast::channel(BUFFERED_BATCHES);
        let (position, _) = watch::channel(None);
        Self {
            db,
            batches,
            position,
        }
    }

    /// Reads the log after each ring, until told to stop. Its subscribers end with it.
    pub async fn run(self, doorbell: Doorbell, stop: CancellationToken) {
        // Reading changes nothing, so it is broken off wherever it is: a database that has fallen silent holds nobody up.
        stop.run_until_cancelled(self.read_after_each_ring(doorbell))
            .await;
    }

    async fn read_after_each_ring(&self, doorbell: Doorbell) {
        let mut position = None;
        let mut pause = Duration::ZERO;
        loop {
            let _elapsed = tokio::time::timeout(pause, doorbell.heard()).await;
            pause = match self.advance(&mut position).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(error = %error, "cannot read the event log; trying again");
                    RETRY_INTERVAL
                }
            };
        }
    }

    /// Reads what is new and hands it out; says how long to wait for the next ring.
    async fn advance(&self, position: &mut Option<Cursor>) -> Result<Duration> {
        let Some(after) = *position else {
            let now = tip(&self.db).await?;
            *position = Some(now);
            self.position.send_replace(Some(now));
            return Ok(Duration::ZERO);
        };
        let batch = read(&self.db, after).await?;
        let (more, through, horizon) = (batch.more, batch.through, batch.horizon);
        if through > after {
            *position = Some(through);
            self.position.send_replace(Some(through));
            // An error only says that nobody listens.
            let _receivers = self.batches.send(Arc::new(batch));
        }
        if more {
            return Ok(Duration::ZERO);
        }
        let held_back = super::drawn(&self.db).await? > horizon;
        Ok(if held_back {
            HELD_BACK_INTERVAL
        } else {
            POLL_INTERVAL
        })
    }

    /// Follows the log from a cursor, or from now on.
    pub async fn follow(&self, after: Option<Cursor>) -> Result<Follower> {
        let batches = self.batches.subscribe();
        let position = match after {
            Some(cursor) => {
                check_cursor(&self.db, cursor).await?;
                cursor
            }
            None => self.position().await?,
        };
        Ok(Follower {
            db: self.db.clone(),
            batches,
            position,
            behind: after.is_some(),
        })
    }

    /// How far the hub has read; waits for its first look.
    async fn position(&self) -> Result<Cursor> {
        let mut position = self.position.subscribe();
        let known = position
            .wait_for(Option::is_some)
            .await
            .map_err(|error| Error::Internal(anyhow::Error::new(error)))?;
        known.ok_or_else(|| Error::Internal(anyhow::anyhow!("the hub has no position")))
    }
}

/// A subscriber's way along the log.
#[derive(Debug)]
pub struct Follower {
    db: DatabaseConnection,
    batches: broadcast::Receiver<Arc<Batch>>,
    /// Up to where this subscriber has seen everything.
    position: Cursor,
    /// Whether there may be something between `position` and what the hub hands out.
    behind: bool,
}

impl Follower {
    /// Up to where everything has been handed over.
    pub const fn position(&self) -> Cursor {
        self.position
    }

    /// The next stretch of the log; none when the server stops. Waits, and does not fail, while the database is away.
    pub async fn next(&mut self) -> Option<Arc<Batch>> {
        loop {
            if self.behind {
                match read(&self.db, self.position).await {
                    Ok(batch) => {
                        self.behind = batch.more;
                        if batch.through > self.position {
                            self.position = batch.through;
                            return Some(Arc::new(batch));
                        }
                    }
                    Err(error) => {
                        tracing::debug!(error = %error, "cannot catch up; trying again");
                        tokio::time::sleep(RETRY_INTERVAL).await;
                    }
                }
                continue;
            }
            match self.batches.recv().await {
                Ok(batch) if batch.through <= self.position => {}
                Ok(batch) if batch.after <= self.position => {
                    let seen = std::mem::replace(&mut self.position, batch.through);
                    return Some(unseen(batch, seen));
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// The batch without what was seen before.
fn unseen(batch: Arc<Batch>, seen: Cursor) -> Arc<Batch> {
    if batch.after == seen {
        return batch;
    }
    Arc::new(Batch {
        after: seen,
        through: batch.through,
        horizon: batch.horizon,
        events: batch
            .events
            .iter()
            .filter(|event| event.cursor() > seen)
            .map(Arc::clone)
            .collect(),
        more: batch.more,
    })
}
