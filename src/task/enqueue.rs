//! Putting work on the board.

pub(super) mod together;

use entity::id::{AgentId, AutopilotRunId, ChatSessionId, CommentId, IssueId};
use entity::task;
use sea_orm::DatabaseTransaction;
use serde_json::{Value, json};

use self::together::Enqueueing;
use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::limits;

/// A task to be put on the board.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Who is to do it.
    pub agent_id: AgentId,
    /// The issue that it belongs to.
    pub issue_id: Option<IssueId>,
    /// The chat session that it belongs to.
    pub chat_session_id: Option<ChatSessionId>,
    /// The run of an autopilot that it belongs to.
    pub autopilot_run_id: Option<AutopilotRunId>,
    /// Higher goes first; from 0.
    pub priority: i32,
    /// The comment that asked for it.
    pub trigger_comment_id: Option<CommentId>,
    /// What asked for it, in a line.
    pub trigger_summary: Option<String>,
    /// What the agent is to know.
    pub context: Option<Value>,
    /// Whether no earlier session may be resumed.
    pub force_fresh_session: bool,
    /// Whether the agent acts as the leader of a squad.
    pub is_leader_task: bool,
    /// How many tries the task may have.
    pub max_attempts: i32,
}

impl NewTask {
    /// How many tries a task may have where nobody says.
    pub const MAX_ATTEMPTS: i32 = 2;

    /// A task for an agent, linked to nothing.
    pub const fn of(agent_id: AgentId) -> Self {
        Self {
            agent_id,
            issue_id: None,
            chat_session_id: None,
            autopilot_run_id: None,
            priority: 0,
            trigger_comment_id: None,
            trigger_summary: None,
            context: None,
            force_fresh_session: false,
            is_leader_task: false,
            max_attempts: Self::MAX_ATTEMPTS,
        }
    }

    /// Refuses what can never be right.
    fn check(&self) -> Result<()> {
        limits::range("input.priority", self.priority, 0..=i32::MAX)?;
        limits::range("input.maxAttempts", self.max_attempts, 1..=100)?;
        limits::text("input.triggerSummary", self.trigger_summary.as_deref())?;
        limits::json("input.context", self.context.as_ref())
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Enqueued {
    /// The task on the board.
    pub task: task::Model,
    /// Whether it was there before: the issue and agent already had a queued or dispatched task.
    pub deduplicated: bool,
}

/// Puts a task on the board, unless the same issue and agent already have one that waits: then that one is the
/// answer.
pub async fn enqueue(txn: &DatabaseTransaction, viewer: &Viewer, new: NewTask) -> Result<Enqueued> {
    together::enqueue_within(txn, Enqueueing::check(viewer, new)?).await
}

/// A task whose whole description is in its context, to be put on the board without a link: the agent is to bring about
/// what it will be linked to.
#[derive(Clone, Debug)]
pub struct QuickCreate {
    /// Who is to do it.
    pub agent_id: AgentId,
    /// What to do.
    pub prompt: String,
    /// Higher goes first; from 0.
    pub priority: i32,
    /// What else the agent is to know; an object.
    pub context: Option<Value>,
}

impl QuickCreate {
    /// The task that it is. Its context says `type` and `prompt`, by which a daemon knows it.
    pub(super) fn into_task(self) -> Result<NewTask> {
        limits::name(
            "input.prompt",
            self.prompt.lines().next().unwrap_or_default(),
        )?;
        limits::text("input.prompt", Some(&self.prompt))?;
        let Some(mut context) = self
            .context
            .unwrap_or_else(|| json!({}))
            .as_object()
            .cloned()
        else {
            return Err(Error::bad_input("input.context", "must be an object"));
        };
        context.insert("type".to_owned(), json!("quick_create"));
        context.insert("prompt".to_owned(), json!(self.prompt));
        Ok(NewTask {
            priority: self.priority,
            context: Some(context.into()),
            ..NewTask::of(self.agent_id)
        })
    }
}
