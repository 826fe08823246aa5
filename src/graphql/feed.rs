//! Subscriptions: each follows the hub from a cursor and shows of it what its viewer may see.
//!
//! Following is one thing, and what of a [`Batch`](crate::event::Batch) is shown another: that depends on the batch, the
//! viewer's [`Sight`] and the arguments alone. What has to be read from the database beyond the batch is read once for all
//! who want the same ([`Shared`]).

mod alike;
mod banner;
mod checkpoint;
mod event;
mod presence;
mod room;
mod shared;
mod tasks;
mod transcript;
mod waiting;
mod workspace;

use async_graphql::{Context, Result, SimpleObject, Subscription, Union};
use entity::id::{AgentId, IssueId, RuntimeId, TaskId, WorkspaceId};
use futures::{Stream, StreamExt};

use self::alike::told;
use self::banner::IssueTasks;
use self::checkpoint::Checkpoint;
use self::event::TaskEventFilter;
use self::tasks::{Subscriber, Told};
use self::workspace::WorkspaceUpdate;
use super::context::{self, Board};
use super::presence::AgentPresence;
use super::scalar::Cursor;
use super::snapshot::Scope;
use super::task::columns_shown;
use super::transcript::TaskMessage;
use crate::auth::Viewer;
use crate::error;
use crate::event::Sight;
use crate::{limits, workspace as capability};

pub(super) use self::alike::follow as follow_alike;
pub(super) use self::event::TaskEvent;
pub use self::shared::Shared;

/// What is new of the tasks that a subscription is about.
#[derive(Debug, Union)]
enum TaskUpdate {
    /// This happened.
    Event(TaskEvent),
    /// Up to here nothing else did.
    Checkpoint(Checkpoint),
}

/// There is something to claim.
#[derive(Debug, SimpleObject)]
struct TaskAvailable {
    /// For this runtime.
    runtime_id: RuntimeId,
}

/// What a feed of capabilities' results is made of.
type Item<T> = error::Result<T>;

/// The subscriptions.
#[derive(Debug, Default)]
pub(super) struct FeedSubscription;

#[Subscription]
impl FeedSubscription {
    /// Every change of the workspace's tasks, or of those that the filter names: in one order, the same for everyone, each
    /// once. With `after`, first what was missed since. Ends with `CURSOR_EXPIRED` where the log does not reach back so far,
    /// or reaches no more to where a subscriber is that fell behind: take a new snapshot then. Who asks for few events
    /// among many does better with `taskUpdates`.
    async fn task_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which workspace.")] workspace_id: WorkspaceId,
        #[graphql(desc = "Which events; all where it is absent.")] filter: Option<TaskEventFilter>,
        #[graphql(desc = "From where; from now where it is absent.")] after: Option<Cursor>,
    ) -> Result<impl Stream<Item = Result<TaskEvent>>> {
        let subscriber = subscriber(ctx, workspace_id, filter, after).await?;
        let told = told(ctx, subscriber)?;
        Ok(told.filter_map(|told| {
            std::future::ready(match told {
                Ok(Told::Event(event)) => Some(Ok(event)),
                Ok(Told::Checkpoint(_)) => None,
                Err(error) => Some(Err(error.into())),
            })
        }))
    }

    /// The same as `taskEvents`, with a checkpoint now and then while events pass by that the filter leaves out or that the
    /// viewer may not see, and one where `after` has been caught up with. Whoever resumes from the last cursor of either kind neither waits nor has their cursor expire
    /// because nothing happened that concerns them.
    async fn task_updates(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which workspace.")] workspace_id: WorkspaceId,
        #[graphql(desc = "Which events; all where it is absent.")] filter: Option<TaskEventFilter>,
        #[graphql(desc = "From where; from now where it is absent.")] after: Option<Cursor>,
    ) -> Result<impl Stream<Item = Result<TaskUpdate>>> {
        let subscriber = subscriber(ctx, workspace_id, filter, after).await?;
        let told = told(ctx, subscriber.with_checkpoints())?;
        Ok(told.map(|told| {
            Ok(match told? {
                Told::Event(event) => TaskUpdate::Event(event),
                Told::Checkpoint(checkpoint) => TaskUpdate::Checkpoint(checkpoint),
            })
        }))
    }

    /// The banner of an issue: its active tasks now, and again whenever they change.
    async fn issue_tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which issue.")] issue_id: IssueId,
    ) -> Result<impl Stream<Item = Result<IssueTasks>>> {
        let (board, viewer) = (context::board(ctx)?, context::viewer(ctx)?);
        let banners = banner::changes(board, viewer, issue_id).await?;
        Ok(banners.map(|banner| Ok(banner?)))
    }

    /// Everyone's presence now, then each change of it, those that only time brings about included. Of an agent that is
    /// archived, or that the viewer may not see any more, nothing more is told.
    async fn agent_presence(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose agents.")] workspace_id: WorkspaceId,
        #[graphql(desc = "Only these; all where it is absent.")] agent_ids: Option<Vec<AgentId>>,
    ) -> Result<impl Stream<Item = Result<AgentPresence>>> {
        limits::list("agentIds", agent_ids.as_deref().unwrap_or_default())?;
        let (board, viewer) = watcher_of(ctx, workspace_id).await?;
        let sight = Sight::from(viewer);
        let changes = presence::changes(board, sight, workspace_id, agent_ids).await?;
        Ok(changes.map(|change| Ok(AgentPresence::from(change?))))
    }

    /// A snapshot, then every change after it, in one stream without a gap. With `after`, what was missed since, and
    /// everyone's presence, without a snapshot. A snapshot replaces everything before it: another one comes where an agent
    /// is archived, or comes into the viewer's sight or goes out of it, with its tasks. Ends with `CURSOR_EXPIRED` as
    /// `taskEvents` does; the `cursor` of any event, snapshot or checkpoint is good as `after`.
    async fn workspace_updates(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which workspace.")] workspace_id: WorkspaceId,
        #[graphql(desc = "From where; from a snapshot where it is absent.")] after: Option<Cursor>,
    ) -> Result<impl Stream<Item = Result<WorkspaceUpdate>>> {
        let (board, viewer) = watcher_of(ctx, workspace_id).await?;
        let after = after.map(|cursor| cursor.0);
        let scope = Scope {
            workspace_id,
            columns: columns_shown(ctx),
        };
        let updates = workspace::updates(board, viewer, scope, after).await?;
        Ok(updates.map(|update| Ok(update?)))
    }

    /// The doorbell of a daemon: fires at once if work waits, then whenever there is something to claim.
    async fn task_available(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "For which runtimes.")] runtime_ids: Vec<RuntimeId>,
    ) -> Result<impl Stream<Item = Result<TaskAvailable>>> {
        let (board, viewer) = (context::board(ctx)?, context::viewer(ctx)?);
        let rings = waiting::rings(board, viewer, runtime_ids).await?;
        Ok(rings.map(|runtime_id| {
            Ok(TaskAvailable {
                runtime_id: runtime_id?,
            })
        }))
    }

    /// A task's transcript: the lines that are there, then each new one, in the order of their `seq`, each once. It goes on
    /// beyond the end of the task, because the last lines may come after it: whoever is not interested in them leaves when
    /// the task has ended. Where the daemon leaves out a `seq`, what is behind is kept back for two seconds; a line that
    /// comes later still than others behind it is in `Task.messages`, and not told here.
    async fn task_messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which task.")] task_id: TaskId,
        #[graphql(default, desc = "Only what comes after this `seq`.")] after_seq: i32,
    ) -> Result<impl Stream<Item = Result<TaskMessage>>> {
        limits::range("afterSeq", after_seq, 0..=i32::MAX)?;
        let (board, viewer) = (context::board(ctx)?, context::viewer(ctx)?);
        let lines = transcript::lines(board, viewer, task_id, after_seq).await?;
        Ok(lines.map(|line| Ok(TaskMessage::from(line?))))
    }
}

/// A subscriber to the events of tasks, if all is in order.
async fn subscriber(
    ctx: &Context<'_>,
    workspace_id: WorkspaceId,
    filter: Option<TaskEventFilter>,
    after: Option<Cursor>,
) -> error::Result<Subscriber> {
    let filter = filter.unwrap_or_default();
    filter.check()?;
    let (board, viewer) = watcher_of(ctx, workspace_id).await?;
    let after = after.map(|cursor| cursor.0);
    Subscriber::begin(board, Sight::from(viewer), workspace_id, filter, after).await
}

/// The service and whoever is asking, if the workspace is theirs.
async fn watcher_of<'a>(
    ctx: &Context<'a>,
    workspace_id: WorkspaceId,
) -> error::Result<(&'a Board, &'a Viewer)> {
    let (board, viewer) = (context::board(ctx)?, context::viewer(ctx)?);
    let (db, asking) = (board.db.clone(), viewer.clone());
    let required = async move { capability::require(&db, &asking, workspace_id).await };
    board.shared.beside(required).await?;
    Ok((board, viewer))
}
