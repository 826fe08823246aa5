//! Table `agent_task_queue`: the queue and the history of tasks.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::id::{
    AgentId, AutopilotRunId, ChatSessionId, ClaimRequestId, ClaimToken, CommentId, IssueId,
    RuntimeId, TaskId, WorkspaceId,
};

/// Where a task is in its life.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, async_graphql::Enum,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[graphql(name = "TaskStatus")]
pub enum Status {
    /// Waiting for its runtime to claim it.
    Queued,
    /// Claimed under a lease, not yet started.
    Dispatched,
    /// At work.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly; `error` says how.
    Failed,
    /// Taken off the board.
    Cancelled,
}

impl Status {
    /// The states that may follow this one; the only copy of this table in Rust.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Queued => &[Self::Dispatched, Self::Failed, Self::Cancelled],
            Self::Dispatched => &[Self::Queued, Self::Running, Self::Failed, Self::Cancelled],
            Self::Running => &[Self::Completed, Self::Failed, Self::Cancelled],
            Self::Completed | Self::Failed | Self::Cancelled => &[],
        }
    }

    /// Whether nothing can happen to the task any more.
    pub const fn is_terminal(self) -> bool {
        self.next().is_empty()
    }
}

/// A unit of work that an agent performs on a runtime.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "agent_task_queue")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TaskId,
    /// In which workspace: its agent's.
    pub workspace_id: WorkspaceId,
    /// Who is to do it.
    pub agent_id: AgentId,
    /// Where it runs: the agent's runtime at the time of the enqueue.
    pub runtime_id: RuntimeId,
    /// The issue that it belongs to.
    pub issue_id: Option<IssueId>,
    /// The chat session that it belongs to.
    pub chat_session_id: Option<ChatSessionId>,
    /// The run of an autopilot that it belongs to.
    pub autopilot_run_id: Option<AutopilotRunId>,
    /// The comment that asked for it.
    pub trigger_comment_id: Option<CommentId>,
    /// What asked for it, in a line.
    pub trigger_summary: Option<String>,
    /// Where it is in its life.
    pub status: Status,
    /// Higher goes first.
    pub priority: i32,
    /// When it was put on the board.
    pub created_at: DateTime<Utc>,
    /// When it was last handed to its runtime.
    pub dispatched_at: Option<DateTime<Utc>>,
    /// When its runtime started it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// The fence of the claim that holds it, or held it last.
    pub claim_token: Option<ClaimToken>,
    /// Until when it must be started.
    pub claim_expires_at: Option<DateTime<Utc>>,
    /// What the claimer called its request.
    pub claim_request_id: Option<ClaimRequestId>,
    /// How often it was handed out.
    pub deliveries: i32,
    /// Which try of its chain this is, from 1.
    pub attempt: i32,
    /// How many tries its chain may have.
    pub max_attempts: i32,
    /// The failed try that it repeats.
    pub parent_task_id: Option<TaskId>,
    /// What the agent is to know.
    pub context: Option<serde_json::Value>,
    /// What came of it.
    pub result: Option<serde_json::Value>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// What went wrong, as a word that the retry rule reads.
    pub failure_reason: Option<String>,
    /// The agent's own session, by which a later task can go on.
    pub session_id: Option<String>,
    /// Where the agent worked.
    pub work_dir: Option<String>,
    /// Whether no earlier session may be resumed.
    pub force_fresh_session: bool,
    /// Whether the agent acts as the leader of a squad.
    pub is_leader_task: bool,
    /// What it is doing, in words.
    pub progress_summary: Option<String>,
    /// Which step it is at.
    pub progress_step: Option<i32>,
    /// Of how many steps.
    pub progress_total: Option<i32>,
    /// When it last said so.
    pub progress_at: Option<DateTime<Utc>>,
}

/// None; statements join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
