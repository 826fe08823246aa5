//! The banner of an issue: its active tasks now, and again whenever they change.

use std::sync::Arc;

use async_graphql::Object;
use entity::id::IssueId;
use entity::task as row;
use entity::task_event::Kind;
use futures::{Stream, stream};

use super::Item;
use crate::auth::Viewer;
use crate::db::until_answered;
use crate::error::Result;
use crate::event::shared::Latest;
use crate::event::{self, Batch, Change, Sight, Watcher};
use crate::graphql::connection;
use crate::graphql::context::Board;
use crate::graphql::scalar::Cursor;
use crate::graphql::task::Task;
use crate::issue;

/// An issue's active tasks at one moment.
#[derive(Debug)]
pub(super) struct IssueTasks {
    issue_id: IssueId,
    cursor: event::Cursor,
    active_tasks: Arc<Vec<row::Model>>,
}

/// An issue's active tasks at one moment.
#[Object]
impl IssueTasks {
    /// Which issue.
    async fn issue_id(&self) -> IssueId {
        self.issue_id
    }

    /// Up to where the event log is contained in it.
    async fn cursor(&self) -> Cursor {
        Cursor(self.cursor)
    }

    /// What runs, then what is dispatched, then what waits; newest first in each.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn active_tasks(&self) -> Vec<Task> {
        self.active_tasks.iter().cloned().map(Task::from).collect()
    }
}

/// The active tasks of an issue, as those see them who see the same.
pub(super) type Banner = Latest<Vec<row::Model>>;

/// A subscriber to a banner.
#[derive(Debug)]
struct Subscriber {
    board: Board,
    viewer: Viewer,
    sight: Sight,
    issue_id: IssueId,
    watcher: Watcher,
    banner: Arc<Banner>,
    /// What was shown last.
    shown: Option<Arc<Vec<row::Model>>>,
}

/// The banner now, then whenever it changes.
pub(super) async fn changes(
    board: &Board,
    viewer: &Viewer,
    issue_id: IssueId,
) -> Result<impl Stream<Item = Item<IssueTasks>> + use<>> {
    let sight = Sight::from(viewer);
    let subscriber = Subscriber {
        banner: board.shared.banner(&board.hub, issue_id, &sight),
        board: board.clone(),
        viewer: viewer.clone(),
        sight,
        issue_id,
        watcher: board.hub.watch().await?,
        shown: None,
    };
    Ok(stream::unfold(subscriber, |mut subscriber| async move {
        let next = subscriber.next().await?;
        Some((next, subscriber))
    }))
}

impl Subscriber {
    /// The next banner that is another; none when the server stops.
    async fn next(&mut self) -> Option<Item<IssueTasks>> {
        loop {
            let cursor = if self.shown.is_none() {
                self.watcher.position()
            } else {
                self.change().await?
            };
            match self.banner(cursor).await {
                Ok((_, tasks)) if self.shown.as_ref() == Some(&tasks) => {}
                Ok((cursor, tasks)) => {
                    self.shown = Some(Arc::clone(&tasks));
                    return Some(Ok(IssueTasks {
                        issue_id: self.issue_id,
                        cursor,
                        active_tasks: tasks,
                    }));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Waits until the banner may be another; says up to where that may have come about.
    async fn change(&mut self) -> Option<event::Cursor> {
        loop {
            let change = self.watcher.next().await?;
            let concerns = match &change {
                Change::Batch(batch) => concerns(batch, &self.sight, self.issue_id),
                Change::Anything(_) => {
                    let Board { shared, hub, .. } = &self.board;
                    self.banner = shared.banner(hub, self.issue_id, &self.sight);
                    true
                }
            };
            if concerns {
                return Some(change.through());
            }
        }
    }

    /// The banner with the cursor contained in it, read once for all who see the same.
    async fn banner(&self, cursor: event::Cursor) -> Result<(event::Cursor, Arc<Vec<row::Model>>)> {
        let (banner, db) = (Arc::clone(&self.banner), self.board.db.clone());
        let (viewer, issue_id) = (self.viewer.clone(), self.issue_id);
        let reading = async move {
            let read = || issue::banner(&db, &viewer, issue_id);
            banner.containing(cursor, || until_answered(read)).await
        };
        self.board.shared.beside(reading).await
    }
}

/// Whether a batch may have changed what is shown of an issue.
fn concerns(batch: &Batch, sight: &Sight, issue_id: IssueId) -> bool {
    batch.events.iter().any(|event| {
        let of_issue = event.row.issue_id == Some(issue_id) && event.is_in(sight);
        // Whose agent was opened or hidden, its tasks come and go.
        of_issue || (sight.can_change() && event.row.kind == Kind::AgentChanged)
    })
}
