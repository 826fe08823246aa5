//! What the subscriptions of one server share.

use std::sync::Arc;

use entity::id::{IssueId, WorkspaceId};
use tokio::task::JoinHandle;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument;

use super::alike::{Alike, Key};
use super::banner::Banner;
use super::room::Room;
use super::transcript::Desk;
use crate::error::{Error, Result};
use crate::event::Sight;
use crate::event::hub::Hub;
use crate::event::shared::Registry;

/// What the subscriptions of one server share; clones share it.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Things>);

#[derive(Debug)]
struct Things {
    // What is shared is of one log: the first number says how often it was found to be another.
    rooms: Registry<(u64, WorkspaceId), Room>,
    banners: Registry<(u64, IssueId, Sight), Banner>,
    /// A batch is of one log by itself.
    alike: Registry<Key, Alike>,
    desk: Desk,
    running: TaskTracker,
}

impl Shared {
    /// Nothing as yet; what must not be broken off runs on the tracker.
    pub fn new(running: TaskTracker) -> Self {
        Self(Arc::new(Things {
            rooms: Registry::default(),
            banners: Registry::default(),
            alike: Registry::default(),
            desk: Desk::default(),
            running,
        }))
    }

    /// Everyone's presence in a workspace.
    pub(super) fn room(&self, hub: &Hub, workspace_id: WorkspaceId) -> Arc<Room> {
        let key = (hub.breaks(), workspace_id);
        self.0.rooms.share(key, || Room::new(workspace_id))
    }

    /// The banner of an issue, for those who see the same.
    pub(super) fn banner(&self, hub: &Hub, issue_id: IssueId, sight: &Sight) -> Arc<Banner> {
        let key = (hub.breaks(), issue_id, sight.clone());
        self.0.banners.share(key, Banner::default)
    }

    /// What subscriptions share that are alike.
    pub(super) fn alike(&self, key: Key) -> Arc<Alike> {
        self.0.alike.share(key, Alike::default)
    }

    /// Where transcripts are looked after.
    pub(super) fn desk(&self) -> &Desk {
        &self.0.desk
    }

    /// Does something that must not be dropped half-way, such as a transaction, though a subscription can be dropped
    /// wherever it waits.
    pub(super) async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let finished = self.spawn(work).await;
        finished.map_err(|panicked| Error::Internal(anyhow::Error::new(panicked)))?
    }

    /// Reads what others wait for too, if only for the connection: it gets on though whoever wants it does not, as one whose
    /// socket is stalled, and is given up with them.
    pub(in crate::graphql) async fn beside<T: Send + 'static>(
        &self,
        reading: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let read = AbortOnDropHandle::new(self.spawn(reading)).await;
        read.map_err(|panicked| Error::Internal(anyhow::Error::new(panicked)))?
    }

    /// Does something that must get on whether or not whoever wants it does.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.0.running.spawn(work.in_current_span())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use crate::event::Cursor;
    use crate::event::shared::Latest;

    #[tokio::test]
    async fn a_reading_gets_on_though_whoever_began_it_is_stalled() {
        let shared = Shared::new(TaskTracker::new());
        let latest = Arc::new(Latest::default());
        let (answer, answered) = oneshot::channel();
        let first = Arc::clone(&latest);
        let stalled = shared.beside(async move {
            let read = || async {
                answered
                    .await
                    .map_err(|error| Error::Internal(error.into()))
            };
            first.containing(Cursor(1), read).await
        });
        let mut stalled = Box::pin(stalled);
        // It has begun, and is not polled any more.
        assert!(futures::poll!(&mut stalled).is_pending());
        tokio::task::yield_now().await;
        answer.send(7).unwrap();
        let other = shared.beside(async move {
            latest
                .containing(Cursor(1), || async { Ok::<_, Error>(8) })
                .await
        });
        let read = tokio::time::timeout(Duration::from_secs(20), other).await;
        assert_eq!(*read.expect("an answer").unwrap().1, 7);
    }
}
