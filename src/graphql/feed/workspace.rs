//! `workspaceUpdates`: a snapshot, then every change, in one stream without a gap.

use async_graphql::Union;
use entity::task_event::Kind;
use futures::{Stream, StreamExt, stream};

use super::Item;
use super::checkpoint::{Checkpoint, Pace, until};
use super::event::{TaskEvent, TaskEventFilter, shown};
use super::presence::{News, View};
use super::room::Known;
use crate::auth::Viewer;
use crate::db::until_answered;
use crate::error::Result;
use crate::event::{Batch, Change, Cursor, Follower, Sight};
use crate::graphql::context::Board;
use crate::graphql::presence::AgentPresence;
use crate::graphql::snapshot::{Scope, WorkspaceSnapshot};

/// What is new in a workspace.
#[derive(Debug, Union)]
pub(super) enum WorkspaceUpdate {
    /// How everything is. Replaces everything before it.
    Snapshot(WorkspaceSnapshot),
    /// This happened to a task.
    Event(TaskEvent),
    /// This is how an agent is now.
    Presence(AgentPresence),
    /// Up to here nothing else happened.
    Checkpoint(Checkpoint),
}

/// A subscriber to a workspace.
struct Subscriber {
    board: Board,
    viewer: Viewer,
    sight: Sight,
    scope: Scope,
    follower: Follower,
    view: View,
    pace: Pace,
    /// Up to where changes of sight happened while nobody followed, so that it is not known what they changed.
    resumed_through: Option<Cursor>,
}

/// A snapshot and what comes after it, or what comes after a cursor.
pub(super) async fn updates(
    board: &Board,
    viewer: &Viewer,
    scope: Scope,
    after: Option<Cursor>,
) -> Result<impl Stream<Item = Item<WorkspaceUpdate>> + use<>> {
    let sight = Sight::from(viewer);
    let view = View::new(board, sight.clone(), scope.workspace_id, None);
    let (subscriber, first) = if let Some(after) = after {
        let follower = board.hub.follow(Some(after)).await?;
        let now = board.hub.position().await?.max(after);
        let mut subscriber = Subscriber::new(board, viewer, sight, scope, view, follower);
        subscriber.pace = Pace::resumed(after);
        subscriber.resumed_through = Some(now);
        // What the viewer was told last is not known, and time may have changed it with no event.
        let everyone = subscriber.view.after(&Change::Anything(now)).await?;
        (subscriber, presence(everyone))
    } else {
        let snapshot = snapshot(board, viewer, &scope).await?;
        let follower = board.hub.follow_known(snapshot.position());
        let mut subscriber = Subscriber::new(board, viewer, sight, scope, view, follower);
        subscriber.knows(&snapshot);
        (subscriber, vec![WorkspaceUpdate::Snapshot(snapshot)])
    };
    let first = stream::iter(first.into_iter().map(Ok).collect::<Vec<_>>());
    let rest = stream::unfold(Some(subscriber), |subscriber| async move {
        let mut subscriber = subscriber?;
        match subscriber.next().await? {
            Ok(updates) => {
                let updates: Vec<_> = updates.into_iter().map(Ok).collect();
                Some((stream::iter(updates), Some(subscriber)))
            }
            // What comes next is lost: there is nothing to go on with.
            Err(error) => Some((stream::iter(vec![Err(error)]), None)),
        }
    });
    Ok(first.chain(rest.flatten()))
}

impl Subscriber {
    fn new(
        board: &Board,
        viewer: &Viewer,
        sight: Sight,
        scope: Scope,
        view: View,
        follower: Follower,
    ) -> Self {
        Self {
            board: board.clone(),
            viewer: viewer.clone(),
            sight,
            scope,
            pace: Pace::from(follower.position()),
            follower,
            view,
            resumed_through: None,
        }
    }

    /// Takes it that the viewer has been sent a snapshot.
    fn knows(&mut self, snapshot: &WorkspaceSnapshot) {
        let (everyone, as_of) = snapshot.everyone();
        let everyone = everyone.iter().cloned();
        self.view
            .knows(everyone.map(|observed| Known::new(observed, as_of)));
        self.follower.skip_to(snapshot.position());
        self.pace.showed(snapshot.position());
    }

    /// What is told next; none when the server stops.
    async fn next(&mut self) -> Option<Item<Vec<WorkspaceUpdate>>> {
        loop {
            let told = tokio::select! {
                batch = self.follower.next() => match batch? {
                    Ok(batch) => self.happened(batch).await,
                    Err(error) => Err(error),
                },
                () = until(self.view.due()) => self.time_passed().await,
                () = until(self.pace.due()) => Ok(self.checkpoint().into_iter().collect()),
            };
            if told.as_ref().map_or(true, |told| !told.is_empty()) {
                return Some(told);
            }
        }
    }

    /// What is told of a batch.
    async fn happened(&mut self, batch: std::sync::Arc<Batch>) -> Result<Vec<WorkspaceUpdate>> {
        let out_of_sight = self.sight.can_change() && self.contradicts(&batch);
        let resumed = self.resumed_before(&batch);
        let events = shown(
            &batch,
            &self.sight,
            self.scope.workspace_id,
            &TaskEventFilter::default(),
        );
        if let Some((cursor, _)) = events.last() {
            self.pace.showed(*cursor);
        }
        self.pace.passed(&batch);
        let mut told: Vec<_> = events
            .into_iter()
            .map(|(_, event)| WorkspaceUpdate::Event(event))
            .collect();
        let news = self.view.after(&Change::Batch(batch)).await?;
        let sight_changed = self.sight.can_change() && news.sight_changed;
        if news.gone || sight_changed || out_of_sight || resumed {
            told.push(self.snapshot().await?);
        } else {
            told.extend(presence(news));
            told.extend(self.checkpoint());
        }
        Ok(told)
    }

    /// What is told because time has passed.
    async fn time_passed(&mut self) -> Result<Vec<WorkspaceUpdate>> {
        let news = self.view.now().await?;
        if news.gone {
            return Ok(vec![self.snapshot().await?]);
        }
        Ok(presence(news))
    }

    /// Whether the batch has something of an agent that the viewer may see as far as they know, and which they may not, or
    /// the other way round: then more may have been withheld of it, or shown, than the viewer knows.
    fn contradicts(&self, batch: &Batch) -> bool {
        batch.of(self.scope.workspace_id).any(|event| {
            let sees = event.row.agent_id.map(|id| self.view.sees(id));
            sees.is_some_and(|sees| sees != event.is_in(&self.sight))
        })
    }

    /// Whether agents changed while nobody followed, in a way that the viewer cannot be told of otherwise: one may have been
    /// archived, opened or hidden.
    fn resumed_before(&mut self, batch: &Batch) -> bool {
        let Some(through) = self.resumed_through else {
            return false;
        };
        let unknown = batch.of(self.scope.workspace_id).any(|event| {
            let of_agent = event.row.kind == Kind::AgentChanged && event.cursor() <= through;
            let present = event.row.agent_id.is_some_and(|id| self.view.knows_of(id));
            of_agent && (self.sight.can_change() || !present)
        });
        if batch.through >= through {
            self.resumed_through = None;
        }
        unknown
    }

    /// Begins anew: how everything is, in place of all that was told.
    async fn snapshot(&mut self) -> Result<WorkspaceUpdate> {
        let snapshot = snapshot(&self.board, &self.viewer, &self.scope).await?;
        self.knows(&snapshot);
        self.resumed_through = None;
        Ok(WorkspaceUpdate::Snapshot(snapshot))
    }

    fn checkpoint(&mut self) -> Option<WorkspaceUpdate> {
        self.pace.checkpoint().map(WorkspaceUpdate::Checkpoint)
    }
}

/// Takes a snapshot, to its end.
async fn snapshot(board: &Board, viewer: &Viewer, scope: &Scope) -> Result<WorkspaceSnapshot> {
    until_answered(|| {
        let (board, viewer, scope) = (board.clone(), viewer.clone(), scope.clone());
        let shared = board.shared.clone();
        async move {
            let taking = async move { WorkspaceSnapshot::take(&board, &viewer, &scope).await };
            shared.finish(taking).await
        }
    })
    .await
}

/// What is told of the news.
fn presence(news: News) -> Vec<WorkspaceUpdate> {
    let changed = news.changed.into_iter();
    changed
        .map(|presence| WorkspaceUpdate::Presence(AgentPresence::from(presence)))
        .collect()
}
