//! `Task`, putting it on the board and taking it off, claiming and settling it.

mod daemon;
mod host;

use std::collections::HashSet;

use async_graphql::{Context, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::id::{AgentId, AutopilotRunId, ChatSessionId, CommentId, IssueId, RuntimeId, TaskId};
use entity::task::{self as row, Column, Status};

use super::agent::{self, Agent};
use super::feed::TaskEvent;
use super::loader::{EventsOf, MessagesOf, UsageOf};
use super::transcript::{TaskMessage, TaskProgress, TaskUsage};
use super::waiting::{self, TaskWaiting};
use super::{connection, context};
use crate::error::Error;
use crate::{limits, task};

pub(super) use daemon::DaemonMutation;
pub(super) use host::BoardMutation;

/// A unit of work that an agent performs on a runtime. Its claim token is never a field of it.
#[derive(Clone, Debug)]
pub(super) struct Task(std::sync::Arc<row::Model>);

impl From<row::Model> for Task {
    fn from(row: row::Model) -> Self {
        Self(std::sync::Arc::new(row))
    }
}

impl From<std::sync::Arc<row::Model>> for Task {
    fn from(row: std::sync::Arc<row::Model>) -> Self {
        Self(row)
    }
}

impl Task {
    /// Its row.
    pub(super) fn row(&self) -> &row::Model {
        &self.0
    }
}

/// A unit of work that an agent performs on a runtime. Its claim token is never a field of it.
#[Object]
impl Task {
    /// Its id.
    async fn id(&self) -> TaskId {
        self.0.id
    }

    /// Who is to do it.
    async fn agent(&self, ctx: &Context<'_>) -> Result<Agent> {
        Ok(agent::load(ctx, self.0.agent_id).await?)
    }

    /// The id of who is to do it.
    async fn agent_id(&self) -> AgentId {
        self.0.agent_id
    }

    /// Where it runs: the agent's runtime at the time of the enqueue.
    async fn runtime_id(&self) -> RuntimeId {
        self.0.runtime_id
    }

    /// The issue that it belongs to.
    async fn issue_id(&self) -> Option<IssueId> {
        self.0.issue_id
    }

    /// The chat session that it belongs to.
    async fn chat_session_id(&self) -> Option<ChatSessionId> {
        self.0.chat_session_id
    }

    /// The run of an autopilot that it belongs to.
    async fn autopilot_run_id(&self) -> Option<AutopilotRunId> {
        self.0.autopilot_run_id
    }

    /// The comment that asked for it.
    async fn trigger_comment_id(&self) -> Option<CommentId> {
        self.0.trigger_comment_id
    }

    /// Where it is in its life.
    async fn status(&self) -> Status {
        self.0.status
    }

    /// Higher goes first.
    async fn priority(&self) -> i32 {
        self.0.priority
    }

    /// When it was put on the board.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it was last handed to its runtime.
    async fn dispatched_at(&self) -> Option<DateTime<Utc>> {
        self.0.dispatched_at
    }

    /// When its runtime started it.
    async fn started_at(&self) -> Option<DateTime<Utc>> {
        self.0.started_at
    }

    /// When it ended.
    async fn completed_at(&self) -> Option<DateTime<Utc>> {
        self.0.completed_at
    }

    /// Until when it must be started, while it is dispatched.
    async fn claim_expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.claim_expires_at
    }

    /// Which try of its chain this is, from 1.
    async fn attempt(&self) -> i32 {
        self.0.attempt
    }

    /// How many tries its chain may have.
    async fn max_attempts(&self) -> i32 {
        self.0.max_attempts
    }

    /// The failed try that it repeats.
    async fn parent_task(&self, ctx: &Context<'_>) -> Result<Option<Self>> {
        let Some(id) = self.0.parent_task_id else {
            return Ok(None);
        };
        let parent = context::loaders(ctx)?
            .load_one(id)
            .await
            .map_err(Error::from)?;
        Ok(parent.map(Self::from))
    }

    /// What asked for it, in a line.
    async fn trigger_summary(&self) -> Option<&str> {
        self.0.trigger_summary.as_deref()
    }

    /// What the agent is to know.
    async fn context(&self) -> Option<&serde_json::Value> {
        self.0.context.as_ref()
    }

    /// What came of it.
    async fn result(&self) -> Option<&serde_json::Value> {
        self.0.result.as_ref()
    }

    /// What went wrong, in words.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// What went wrong, as a word: `agent_error`, `timeout`, `runtime_offline`, `runtime_recovery`, `queued_expired`,
    /// `undeliverable`, or one of the daemon's.
    async fn failure_reason(&self) -> Option<&str> {
        self.0.failure_reason.as_deref()
    }

    /// The agent's own session, by which a later task can go on.
    async fn session_id(&self) -> Option<&str> {
        self.0.session_id.as_deref()
    }

    /// Where the agent worked.
    async fn work_dir(&self) -> Option<&str> {
        self.0.work_dir.as_deref()
    }

    /// Whether no earlier session may be resumed.
    async fn force_fresh_session(&self) -> bool {
        self.0.force_fresh_session
    }

    /// Whether the agent acts as the leader of a squad.
    async fn is_leader_task(&self) -> bool {
        self.0.is_leader_task
    }

    /// Where it stands and what holds it back; null unless it is queued.
    #[graphql(complexity = "5 + child_complexity")]
    async fn waiting(&self, ctx: &Context<'_>) -> Result<Option<TaskWaiting>> {
        Ok(waiting::load(ctx, &self.0).await?)
    }

    /// How far it is, in its daemon's words.
    async fn progress(&self) -> Option<TaskProgress> {
        TaskProgress::of(&self.0)
    }

    /// What it used, by provider and model.
    async fn usage(&self, ctx: &Context<'_>) -> Result<Vec<TaskUsage>> {
        let usage = context::loaders(ctx)?
            .load_one(UsageOf(self.0.id))
            .await
            .map_err(Error::from)?;
        Ok(usage
            .unwrap_or_default()
            .into_iter()
            .map(TaskUsage::from)
            .collect())
    }

    /// Its whole life, oldest first, for as long as the event log keeps it.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn events(&self, ctx: &Context<'_>) -> Result<Vec<TaskEvent>> {
        let events = context::loaders(ctx)?
            .load_one(EventsOf(self.0.id))
            .await
            .map_err(Error::from)?;
        Ok(events
            .unwrap_or_default()
            .into_iter()
            .filter_map(|row| TaskEvent::new(row, Self(std::sync::Arc::clone(&self.0))))
            .collect())
    }

    /// Its transcript, in order.
    #[graphql(complexity = "connection::cost(first, child_complexity)")]
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Only what comes after this `seq`.")] after_seq: i32,
        #[graphql(default = 200, desc = "How many, 200 at most.")] first: i32,
    ) -> Result<Vec<TaskMessage>> {
        limits::range("afterSeq", after_seq, 0..=i32::MAX)?;
        limits::range("first", first, 0..=limits::PAGE_ROWS)?;
        let key = MessagesOf {
            task_id: self.0.id,
            after_seq,
            rows: first,
        };
        let messages = context::loaders(ctx)?
            .load_one(key)
            .await
            .map_err(Error::from)?;
        Ok(messages
            .unwrap_or_default()
            .into_iter()
            .map(TaskMessage::from)
            .collect())
    }
}

/// The columns of tasks that are shown somewhere below the field that is resolved.
pub(super) fn columns_shown(ctx: &Context<'_>) -> task::Columns {
    let mut asked = HashSet::new();
    let mut fields = vec![ctx.field()];
    while let Some(field) = fields.pop() {
        for field in field.selection_set() {
            asked.insert(field.name());
            fields.push(field);
        }
    }
    task::Columns::wanted(|column| shown_by(column).is_none_or(|field| asked.contains(field)))
}

/// The only field of a task that shows a column, of those that can be null.
const fn shown_by(column: Column) -> Option<&'static str> {
    match column {
        Column::IssueId => Some("issueId"),
        Column::ChatSessionId => Some("chatSessionId"),
        Column::AutopilotRunId => Some("autopilotRunId"),
        Column::TriggerCommentId => Some("triggerCommentId"),
        Column::TriggerSummary => Some("triggerSummary"),
        Column::DispatchedAt => Some("dispatchedAt"),
        Column::StartedAt => Some("startedAt"),
        Column::CompletedAt => Some("completedAt"),
        Column::ClaimExpiresAt => Some("claimExpiresAt"),
        Column::ParentTaskId => Some("parentTask"),
        Column::Context => Some("context"),
        Column::Result => Some("result"),
        Column::Error => Some("error"),
        Column::FailureReason => Some("failureReason"),
        Column::SessionId => Some("sessionId"),
        Column::WorkDir => Some("workDir"),
        Column::ProgressSummary
        | Column::ProgressStep
        | Column::ProgressTotal
        | Column::ProgressAt => Some("progress"),
        Column::Id
        | Column::WorkspaceId
        | Column::AgentId
        | Column::RuntimeId
        | Column::Status
        | Column::Priority
        | Column::CreatedAt
        | Column::ClaimToken
        | Column::ClaimRequestId
        | Column::Deliveries
        | Column::Attempt
        | Column::MaxAttempts
        | Column::ForceFreshSession
        | Column::IsLeaderTask => None,
    }
}

/// The query of a task.
#[derive(Debug, Default)]
pub(super) struct TaskQuery;

#[Object]
impl TaskQuery {
    /// A task; null where it does not exist or the viewer may not see it.
    async fn task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: TaskId,
    ) -> Result<Option<Task>> {
        let found = task::find(context::db(ctx)?, context::viewer(ctx)?, id).await?;
        Ok(found.map(Task::from))
    }
}

/// What came of putting a task on the board.
#[derive(Debug, SimpleObject)]
pub(super) struct EnqueueTaskPayload {
    /// The task on the board.
    task: Task,
    /// Whether it was there before: its issue and agent already had a queued or dispatched task, and this is it.
    deduplicated: bool,
}
