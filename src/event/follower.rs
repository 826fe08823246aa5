//! The two ways to follow the log: one that misses nothing, and one that says so when it has.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;

use super::catch_up::CatchUp;
use super::hub::{Heard, Hub, RETRY_INTERVAL};
use super::page::Page;
use super::parcel::Parcel;
use super::{Batch, Cursor};
use crate::error::{Error, Result};

/// How soon to read again what the hub has read and a writer under way holds back from those who read later.
const HELD_BACK_INTERVAL: Duration = Duration::from_millis(100);

/// A subscriber's way along the log, for those who show every event.
#[derive(Debug)]
pub struct Follower {
    catch_up: Arc<CatchUp>,
    heard: broadcast::Receiver<Heard>,
    /// How far the hub has read; none before its first look.
    read: watch::Receiver<Option<Cursor>>,
    /// Up to where this subscriber has seen everything.
    position: Cursor,
    /// Whether there may be something between `position` and what the hub hands out.
    behind: bool,
    /// What was read after `position`.
    page: Option<Arc<Page>>,
}

impl Follower {
    /// Begins at a cursor that the log has; this began to hear the hub before it looked how far that has read.
    pub(super) fn new(
        catch_up: Arc<CatchUp>,
        heard: broadcast::Receiver<Heard>,
        read: watch::Receiver<Option<Cursor>>,
        position: Cursor,
    ) -> Self {
        let behind = read.borrow().is_none_or(|read| read > position);
        Self {
            catch_up,
            heard,
            read,
            position,
            behind,
            page: None,
        }
    }

    /// Begins with a page that was read, or is as good as if it were, after this began to hear the hub.
    pub(super) fn beginning_with(
        catch_up: Arc<CatchUp>,
        heard: broadcast::Receiver<Heard>,
        read: watch::Receiver<Option<Cursor>>,
        page: Arc<Page>,
    ) -> Self {
        Self {
            catch_up,
            heard,
            read,
            position: page.batch.after,
            behind: true,
            page: Some(page),
        }
    }

    /// Up to where everything has been handed over.
    pub const fn position(&self) -> Cursor {
        self.position
    }

    /// Goes on from a later cursor: the subscriber knows by other means what happened before it.
    pub fn skip_to(&mut self, cursor: Cursor) {
        self.position = self.position.max(cursor);
    }

    /// The next stretch of the log; none when the server stops. Waits, and does not fail, while the database is away. Fails
    /// where the log has lost what comes next.
    ///
    /// Who was behind comes by a batch that says that there is no more when it has caught up, though there be nothing in it.
    pub async fn next(&mut self) -> Option<Result<Arc<Batch>>> {
        loop {
            if self.behind {
                match self.read().await {
                    Ok(batch) => {
                        self.behind = batch.more;
                        let seen = self.position;
                        self.position = seen.max(batch.through);
                        return Some(Ok(unseen(batch, seen)));
                    }
                    Err(Error::CursorExpired) => return Some(Err(Error::CursorExpired)),
                    Err(error) => {
                        tracing::debug!(error = %error, "cannot catch up; trying again");
                        tokio::time::sleep(RETRY_INTERVAL).await;
                    }
                }
                continue;
            }
            let Some(heard) = self.hear().await else {
                self.behind = true;
                continue;
            };
            match heard {
                Ok(Heard::Batch(parcel)) if parcel.through <= self.position => {}
                Ok(Heard::Batch(parcel)) => match take(&parcel, self.position) {
                    Some(batch) => {
                        let seen = std::mem::replace(&mut self.position, batch.through);
                        return Some(Ok(unseen(batch, seen)));
                    }
                    None => self.fall_behind(),
                },
                Err(RecvError::Lagged(_)) => self.fall_behind(),
                Ok(Heard::Break) => return Some(Err(Error::CursorExpired)),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// What the hub hands out next; none where it is ahead, and has nothing more to hand out of what is missing here. A writer
    /// that locks a position later than it looked at it takes the end of what is complete back to there for a while, and so
    /// this may have read less than the hub had before.
    async fn hear(&mut self) -> Option<Result<Heard, RecvError>> {
        let is_ahead = self.read.borrow().is_some_and(|read| read > self.position);
        let heard = self.heard.recv();
        if is_ahead {
            return tokio::time::timeout(HELD_BACK_INTERVAL, heard).await.ok();
        }
        Some(heard.await)
    }

    /// It has missed something: what comes next has to be read.
    fn fall_behind(&mut self) {
        self.behind = true;
        self.catch_up.count_lagged();
    }

    /// Reads what comes next.
    async fn read(&mut self) -> Result<Arc<Batch>> {
        let page = match self.page.take() {
            Some(page) => page,
            None => self.catch_up.page(self.position).await?,
        };
        page.batch()
    }
}

/// The batch of a parcel, unless there is a gap before it or it was emptied: then what is missing has to be found out.
fn take(parcel: &Parcel, position: Cursor) -> Option<Arc<Batch>> {
    (parcel.after <= position).then(|| parcel.open()).flatten()
}

/// The batch without what was seen before.
fn unseen(batch: Arc<Batch>, seen: Cursor) -> Arc<Batch> {
    if batch.after == seen {
        return batch;
    }
    Arc::new(batch.behind(seen))
}

/// What a watcher comes by.
#[derive(Clone, Debug)]
pub enum Change {
    /// This happened.
    Batch(Arc<Batch>),
    /// Anything may have happened up to here.
    Anything(Cursor),
}

impl Change {
    /// Up to where it happened.
    pub fn through(&self) -> Cursor {
        match self {
            Self::Batch(batch) => batch.through,
            Self::Anything(through) => *through,
        }
    }
}

/// A subscriber's way along the log, for those who show how things are: one that falls behind looks at them anew, and
/// reads nothing again.
#[derive(Debug)]
pub struct Watcher {
    hub: Hub,
    heard: broadcast::Receiver<Heard>,
    /// Up to where this subscriber knows what may have changed.
    position: Cursor,
}

impl Watcher {
    /// Begins where the hub is.
    pub(super) const fn new(hub: Hub, heard: broadcast::Receiver<Heard>, position: Cursor) -> Self {
        Self {
            hub,
            heard,
            position,
        }
    }

    /// Up to where everything has been handed over.
    pub const fn position(&self) -> Cursor {
        self.position
    }

    /// What may have changed; none when the server stops.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            match self.heard.recv().await {
                Ok(Heard::Batch(parcel)) if parcel.through <= self.position => {}
                Ok(Heard::Batch(parcel)) => {
                    return Some(match take(&parcel, self.position) {
                        Some(batch) => {
                            self.position = batch.through;
                            Change::Batch(batch)
                        }
                        None => self.lagged(),
                    });
                }
                Ok(Heard::Break) => return Some(self.anything()),
                Err(RecvError::Lagged(_)) => return Some(self.lagged()),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// It has fallen behind.
    fn lagged(&mut self) -> Change {
        self.hub.count_lagged();
        self.anything()
    }

    /// It has missed something: from here on it goes by what the hub has read.
    fn anything(&mut self) -> Change {
        self.position = self.hub.read_through().unwrap_or(self.position);
        Change::Anything(self.position)
    }
}
