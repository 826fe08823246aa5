//! Following the events of tasks, with checkpoints between them.

use entity::id::WorkspaceId;
use futures::{Stream, StreamExt, stream};

use super::Item;
use super::checkpoint::{Checkpoint, Pace, until};
use super::event::{TaskEvent, TaskEventFilter, shown};
use crate::error::Result;
use crate::event::{Cursor, Follower, Sight};
use crate::graphql::context::Board;

/// What a subscriber to the events of tasks is told.
#[derive(Debug)]
pub(super) enum Told {
    /// This happened.
    Event(TaskEvent),
    /// Up to here nothing else did.
    Checkpoint(Checkpoint),
}

/// A subscriber to the events of tasks.
#[derive(Debug)]
struct Subscriber {
    follower: Follower,
    sight: Sight,
    workspace_id: WorkspaceId,
    filter: TaskEventFilter,
    pace: Pace,
}

/// The events after a cursor, or from now on.
pub(super) async fn events(
    board: &Board,
    sight: Sight,
    workspace_id: WorkspaceId,
    filter: TaskEventFilter,
    after: Option<Cursor>,
) -> Result<impl Stream<Item = Item<Told>> + use<>> {
    let follower = board.hub.follow(after).await?;
    let subscriber = Subscriber {
        pace: Pace::from(follower.position()),
        follower,
        sight,
        workspace_id,
        filter,
    };
    let told = stream::unfold(Some(subscriber), |subscriber| async move {
        let mut subscriber = subscriber?;
        match subscriber.next().await? {
            Ok(told) => Some((
                stream::iter(told.into_iter().map(Ok).collect::<Vec<_>>()),
                Some(subscriber),
            )),
            // What comes next is lost: there is nothing to go on with.
            Err(error) => Some((stream::iter(vec![Err(error)]), None)),
        }
    });
    Ok(told.flatten())
}

impl Subscriber {
    /// What is told next; none when the server stops.
    async fn next(&mut self) -> Option<Result<Vec<Told>>> {
        loop {
            let batch = tokio::select! {
                batch = self.follower.next() => batch?,
                () = until(self.pace.due()) => {
                    let checkpoint = self.pace.checkpoint();
                    return Some(Ok(checkpoint.map(Told::Checkpoint).into_iter().collect()));
                }
            };
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            };
            let events = shown(&batch, &self.sight, self.workspace_id, &self.filter);
            if let Some((cursor, _)) = events.last() {
                self.pace.showed(*cursor);
            }
            self.pace.passed(&batch);
            let mut told: Vec<Told> = events
                .into_iter()
                .map(|(_, event)| Told::Event(event))
                .collect();
            told.extend(self.pace.checkpoint().map(Told::Checkpoint));
            if !told.is_empty() {
                return Some(Ok(told));
            }
        }
    }
}
