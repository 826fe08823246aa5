//! `TaskEvent`, its kinds, and which of them a subscription has.

use std::sync::Arc;

use async_graphql::{Enum, InputObject, Object};
use chrono::{DateTime, Utc};
use entity::id::{AgentId, IssueId, RuntimeId, TaskId, WorkspaceId};
use entity::{task as task_row, task_event as row};

use crate::error::Result;
use crate::event::{self, Audience, Batch, Event, Sight};
use crate::graphql::scalar::Cursor;
use crate::graphql::task::Task;
use crate::limits;

/// What happened to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(in crate::graphql) enum TaskEventKind {
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
#[derive(Clone, Debug)]
pub(in crate::graphql) struct TaskEvent {
    kind: TaskEventKind,
    event: Arc<Event>,
    to_status: task_row::Status,
    task: Task,
}

impl TaskEvent {
    /// The event, if it is about a task.
    pub(in crate::graphql) fn new(row: row::Model, task: Task) -> Option<Self> {
        let event = Event {
            row,
            task: None,
            audience: Audience::default(),
        };
        Self::about(Arc::new(event), task)
    }

    /// What a subscriber is shown of an event.
    fn shown(event: &Arc<Event>) -> Option<Self> {
        let task = Task::from(Arc::clone(event.task.as_ref()?));
        Self::about(Arc::clone(event), task)
    }

    fn about(event: Arc<Event>, task: Task) -> Option<Self> {
        Some(Self {
            kind: TaskEventKind::of(event.row.kind)?,
            to_status: event.row.to_status?,
            event,
            task,
        })
    }
}

/// A change of a task, at its place in the one order of the event log.
#[Object]
impl TaskEvent {
    /// The position of this event: give it as `after` to continue behind it.
    pub(super) async fn cursor(&self) -> Cursor {
        Cursor(self.event.cursor())
    }

    /// What happened.
    async fn kind(&self) -> TaskEventKind {
        self.kind
    }

    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.event.row.at
    }

    /// The task as it is; it may have gone on since.
    async fn task(&self) -> &Task {
        &self.task
    }

    /// The task's status before; null where it was put on the board.
    async fn from_status(&self) -> Option<task_row::Status> {
        self.event.row.from_status
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
    /// Refuses a list that is too long.
    pub(super) fn check(&self) -> Result<()> {
        limits::list("filter.kinds", self.kinds.as_deref().unwrap_or_default())
    }

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

/// What of a batch a subscription shows, told from nothing but the batch, what its viewer may see, and its arguments.
pub(super) fn shown(
    batch: &Batch,
    sight: &Sight,
    workspace_id: WorkspaceId,
    filter: &TaskEventFilter,
) -> Vec<(event::Cursor, TaskEvent)> {
    batch
        .of(workspace_id)
        .filter(|event| filter.matches(&event.row) && event.is_in(sight))
        .filter_map(|event| Some((event.cursor(), TaskEvent::shown(event)?)))
        .collect()
}
