//! Subscriptions: each follows the hub from a cursor and shows of it what its viewer may see.

mod presence;
mod waiting;

use std::sync::Arc;

use async_graphql::{Context, Enum, InputObject, Object, Result, SimpleObject, Subscription};
use chrono::{DateTime, Utc};
use entity::id::{AgentId, IssueId, RuntimeId, TaskId, WorkspaceId};
use entity::{task as task_row, task_event as row};
use futures::{Stream, StreamExt, stream};

use super::presence::AgentPresence;
use super::scalar::Cursor;
use super::task::Task;
use super::{connection, context};
use crate::db::until_answered;
use crate::error::{self, Error};
use crate::event::hub::Follower;
use crate::event::{self, Batch, Event};
use crate::{issue, limits, workspace};

/// What happened to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum TaskEventKind {
    /// It was put on the board.
    Queued,
    /// A runtime claimed it.
    Dispatched,
    /// Its lease ran out before it was started; it waits again.
    Requeued,
    /// Its runtime started it.
    Running,
    /// It said how far it is.
    Progress,
    /// Its session or directory became known.
    SessionPinned,
    /// It was attached to an issue.
    Linked,
    /// It ended well.
    Completed,
    /// It ended badly.
    Failed,
    /// It was taken off the board.
    Cancelled,
}

impl TaskEventKind {
    /// The contract's kind, if the event is about a task.
    const fn of(kind: row::Kind) -> Option<Self> {
        Some(match kind {
            row::Kind::Queued => Self::Queued,
            row::Kind::Dispatched => Self::Dispatched,
            row::Kind::Requeued => Self::Requeued,
            row::Kind::Running => Self::Running,
            row::Kind::Progress => Self::Progress,
            row::Kind::SessionPinned => Self::SessionPinned,
            row::Kind::Linked => Self::Linked,
            row::Kind::Completed => Self::Completed,
            row::Kind::Failed => Self::Failed,
            row::Kind::Cancelled => Self::Cancelled,
            row::Kind::AgentChanged | row::Kind::RuntimeChanged => return None,
        })
    }
}

/// A change of a task, at its place in the one order of the event log.
#[derive(Debug)]
pub(super) struct TaskEvent {
    kind: TaskEventKind,
    row: row::Model,
    to_status: task_row::Status,
    task: Task,
}

impl TaskEvent {
    /// The event, if it is about a task.
    pub(super) fn new(row: row::Model, task: Task) -> Option<Self> {
        Some(Self {
            kind: TaskEventKind::of(row.kind)?,
            to_status: row.to_status?,
            row,
            task,
        })
    }

    /// What a subscriber is shown of an event.
    fn shown(event: &Event) -> Option<Self> {
        Self::new(
            event.row.clone(),
            Task::from(Arc::clone(event.task.as_ref()?)),
        )
    }
}

/// A change of a task, at its place in the one order of the event log.
#[Object]
impl TaskEvent {
    /// The position of this event: give it as `after` to continue behind it.
    async fn cursor(&self) -> Cursor {
        Cursor(event::Cursor(self.row.position))
    }

    /// What happened.
    async fn kind(&self) -> TaskEventKind {
        self.kind
    }

    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.row.at
    }

    /// The task as it is; it may have gone on since.
    async fn task(&self) -> &Task {
        &self.task
    }

    /// The task's status before; null where it was put on the board.
    async fn from_status(&self) -> Option<task_row::Status> {
        self.row.from_status
    }

    /// The task's status after.
    async fn to_status(&self) -> task_row::Status {
        self.to_status
    }
}

/// Which events a subscription has; every condition that is given must hold.
#[derive(Debug, Default, InputObject)]
pub(super) struct TaskEventFilter {
    /// Of this issue's tasks.
    issue_id: Option<IssueId>,
    /// Of this agent's tasks.
    agent_id: Option<AgentId>,
    /// Of this runtime's tasks.
    runtime_id: Option<RuntimeId>,
    /// Of this task.
    task_id: Option<TaskId>,
    /// Of these kinds.
    kinds: Option<Vec<TaskEventKind>>,
}

impl TaskEventFilter {
    fn matches(&self, event: &row::Model) -> bool {
        self.issue_id.is_none_or(|id| event.issue_id == Some(id))
            && self.agent_id.is_none_or(|id| event.agent_id == Some(id))
            && self
                .runtime_id
                .is_none_or(|id| event.runtime_id == Some(id))
            && self.task_id.is_none_or(|id| event.task_id == Some(id))
            && self.kinds.as_ref().is_none_or(|kinds| {
                TaskEventKind::of(event.kind).is_some_and(|kind| kinds.contains(&kind))
            })
    }
}

/// An issue's active tasks at one moment.
#[derive(Debug)]
pub(super) struct IssueTasks {
    issue_id: IssueId,
    cursor: event::Cursor,
    active_tasks: Vec<task_row::Model>,
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

/// There may be something to claim.
#[derive(Debug, SimpleObject)]
pub(super) struct TaskAvailable {
    /// For this runtime.
    runtime_id: RuntimeId,
}

/// What can be watched.
#[derive(Debug, Default)]
pub(super) struct FeedSubscription;

#[Subscription]
impl FeedSubscription {
    /// Every change of the workspace's tasks, or of those that the filter names: in one order, the same for everyone, each
    /// once. With `after` it begins with what was missed since; `CURSOR_EXPIRED` where the log no longer reaches back.
    async fn task_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose tasks.")] workspace_id: WorkspaceId,
        #[graphql(desc = "Which events; all where it is absent.")] filter: Option<TaskEventFilter>,
        #[graphql(desc = "From where; from now where it is absent.")] after: Option<Cursor>,
    ) -> Result<impl Stream<Item = TaskEvent>> {
        let (board, viewer) = (context::board(ctx)?, context::viewer(ctx)?.clone());
        let filter = filter.unwrap_or_default();
        limits::list("filter.kinds", filter.kinds.as_deref().unwrap_or_default())?;
        workspace::find(&board.db, &viewer, workspace_id)
            .await?
            .ok_or(Error::NotFound("workspace"))?;
        let follower = board.hub.follow(after.map(|cursor| cursor.0)).await?;
        Ok(batches(follower).flat_map(move |batch| {
            let shown: Vec<TaskEvent> = batch
                .events
                .iter()
                .filter(|event| event.row.workspace_id == workspace_id)
                .filter(|event| filter.matches(&event.row) && event.is_visible_to(&viewer))
                .filter_map(|event| TaskEvent::shown(event))
                .collect();
            stream::iter(shown)
        }))
    }

    /// The banner of an issue: its active tasks now, and again whenever they change.
    async fn issue_tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which issue.")] issue_id: IssueId,
    ) -> Result<impl Stream<Item = Result<IssueTasks>>> {
        let (board, viewer) = (context::board(ctx)?.clone(), context::viewer(ctx)?.clone());
        let follower = board.hub.follow(None).await?;
        let first = follower.position();
        let changes = batches(follower).filter_map({
            let viewer = viewer.clone();
            move |batch| {
                let concerns = |event: &Arc<Event>| {
                    event.row.issue_id == Some(issue_id) && event.is_visible_to(&viewer)
                };
                let changed = batch.events.iter().any(concerns).then_some(batch.through);
                std::future::ready(changed)
            }
        });
        Ok(stream::once(std::future::ready(first))
            .chain(changes)
            .then(move |cursor| {
                let (db, viewer) = (board.db.clone(), viewer.clone());
                async move {
                    let active_tasks =
                        until_answered(|| issue::banner(&db, &viewer, issue_id)).await?;
                    Ok(IssueTasks {
                        issue_id,
                        cursor,
                        active_tasks,
                    })
                }
            }))
    }

    /// Everyone's presence now, then each change of it, those that only time brings about included.
    async fn agent_presence(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose agents.")] workspace_id: WorkspaceId,
        #[graphql(desc = "Only these; all where it is absent.")] agent_ids: Option<Vec<AgentId>>,
    ) -> Result<impl Stream<Item = Result<AgentPresence>>> {
        let (board, viewer) = (context::board(ctx)?, context::viewer(ctx)?);
        limits::list("agentIds", agent_ids.as_deref().unwrap_or_default())?;
        workspace::find(&board.db, viewer, workspace_id)
            .await?
            .ok_or(Error::NotFound("workspace"))?;
        let watch = presence::Watch::new(board, viewer, workspace_id, agent_ids).await?;
        Ok(watch
            .changes()
            .map(|change| Ok(AgentPresence::from(change?))))
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
}

/// The stretches of the log that a follower comes by.
fn batches(follower: Follower) -> impl Stream<Item = Arc<Batch>> {
    stream::unfold(follower, |mut follower| async move {
        let batch = follower.next().await?;
        Some((batch, follower))
    })
}

/// What a feed of capabilities' results ends with.
type Item<T> = error::Result<T>;
