//! Following the events of tasks, with checkpoints between them.

use std::sync::Arc;

use entity::id::WorkspaceId;
use futures::{Stream, StreamExt, stream};

use super::Item;
use super::checkpoint::{Checkpoint, Pace, until};
use super::event::{TaskEvent, TaskEventFilter, shown};
use crate::error::Result;
use crate::event::{Batch, Cursor, Follower, Sight};
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
pub(super) struct Subscriber {
    follower: Follower,
    sight: Sight,
    workspace_id: WorkspaceId,
    filter: TaskEventFilter,
    /// Whether it began after a cursor.
    resumes: bool,
    /// Of one that is told checkpoints.
    pace: Option<Pace>,
}

impl Subscriber {
    /// Begins after a cursor, or from now on.
    pub(super) async fn begin(
        board: &Board,
        sight: Sight,
        workspace_id: WorkspaceId,
        filter: TaskEventFilter,
        after: Option<Cursor>,
    ) -> Result<Self> {
        Ok(Self {
            follower: board.hub.follow(after).await?,
            sight,
            workspace_id,
            filter,
            resumes: after.is_some(),
            pace: None,
        })
    }

    /// The same, told checkpoints too.
    pub(super) fn with_checkpoints(self) -> Self {
        let begun = self.follower.position();
        let pace = if self.resumes {
            Pace::resumed(begun)
        } else {
            Pace::from(begun)
        };
        Self {
            pace: Some(pace),
            ..self
        }
    }

    /// What it comes by: a batch, or nothing, when a checkpoint is due; none when the server stops.
    pub(super) async fn next(&mut self) -> Option<Result<Option<Arc<Batch>>>> {
        let due = self.pace.as_ref().and_then(Pace::due);
        tokio::select! {
            batch = self.follower.next() => Some(batch?.map(Some)),
            () = until(due) => Some(Ok(None)),
        }
    }

    /// What it is shown of a batch.
    pub(super) fn shown(&self, batch: &Batch) -> Vec<(Cursor, TaskEvent)> {
        shown(batch, &self.sight, self.workspace_id, &self.filter)
    }

    /// It has come by a batch, and was shown of it what has this cursor last; what it is told after that.
    pub(super) fn passed(&mut self, batch: &Batch, shown: Option<Cursor>) -> Option<Checkpoint> {
        let pace = self.pace.as_mut()?;
        if let Some(cursor) = shown {
            pace.showed(cursor);
        }
        pace.passed(batch);
        pace.checkpoint()
    }

    /// The checkpoint, if it is time for one.
    pub(super) fn checkpoint(&mut self) -> Option<Checkpoint> {
        self.pace.as_mut()?.checkpoint()
    }

    /// All that it is told.
    pub(super) fn into_stream(self) -> impl Stream<Item = Item<Told>> {
        let told = stream::unfold(Some(self), |subscriber| async move {
            let mut subscriber = subscriber?;
            let told = match subscriber.next().await? {
                Ok(Some(batch)) => subscriber.told(&batch),
                Ok(None) => subscriber
                    .checkpoint()
                    .map(Told::Checkpoint)
                    .into_iter()
                    .collect(),
                // What comes next is lost: there is nothing to go on with.
                Err(error) => return Some((stream::iter(vec![Err(error)]), None)),
            };
            let told: Vec<_> = told.into_iter().map(Ok).collect();
            Some((stream::iter(told), Some(subscriber)))
        });
        told.flatten()
    }

    /// What is told of a batch.
    fn told(&mut self, batch: &Batch) -> Vec<Told> {
        let events = self.shown(batch);
        let checkpoint = self.passed(batch, events.last().map(|(cursor, _)| *cursor));
        let events = events.into_iter().map(|(_, event)| Told::Event(event));
        events.chain(checkpoint.map(Told::Checkpoint)).collect()
    }
}
