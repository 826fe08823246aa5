//! Table `task_event`: the append-only log that live views read; written by triggers.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::id::{AgentId, IssueId, RuntimeId, TaskId, WorkspaceId};
use crate::task::Status;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Kind {
    /// A task was put on the board.
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
    /// An agent was made or changed.
    AgentChanged,
    /// A runtime came, went on line or off line.
    RuntimeChanged,
}

/// A fact: what happened to a task, an agent or a runtime.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "task_event")]
pub struct Model {
    /// Its place in the one order.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    /// When it was written; the log is partitioned by it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub at: DateTime<Utc>,
    /// In which workspace.
    pub workspace_id: WorkspaceId,
    /// What happened.
    pub kind: Kind,
    /// To which task, if to one.
    pub task_id: Option<TaskId>,
    /// The task's agent, or the agent that changed.
    pub agent_id: Option<AgentId>,
    /// The task's or agent's runtime, or the runtime that changed.
    pub runtime_id: Option<RuntimeId>,
    /// The task's issue.
    pub issue_id: Option<IssueId>,
    /// The task's status before.
    pub from_status: Option<Status>,
    /// The task's status after.
    pub to_status: Option<Status>,
    /// Which try of its chain the task is.
    pub attempt: Option<i32>,
    /// Why it failed.
    pub reason: Option<String>,
}

/// None; statements join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
