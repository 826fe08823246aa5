//! Putting work on the board and taking it off: what the host application does.

use async_graphql::{Context, InputObject, Object, Result};
use entity::id::{AgentId, AutopilotRunId, ChatSessionId, CommentId, IssueId, TaskId};

use super::super::context;
use super::super::input::{JsonText, Text, json, text};
use super::{EnqueueTaskPayload, Task};
use crate::task::cancel;
use crate::task::enqueue::{self, NewTask};

/// A task to be put on the board.
#[derive(Debug, InputObject)]
pub(super) struct EnqueueTaskInput {
    /// Who is to do it.
    agent_id: AgentId,
    /// The issue that it belongs to; an agent does one task of an issue at a time.
    issue_id: Option<IssueId>,
    /// The chat session that it belongs to; an agent does one task of a session at a time.
    chat_session_id: Option<ChatSessionId>,
    /// The run of an autopilot that it belongs to.
    autopilot_run_id: Option<AutopilotRunId>,
    /// Higher goes first; not negative.
    #[graphql(default)]
    priority: i32,
    /// The comment that asked for it.
    trigger_comment_id: Option<CommentId>,
    /// What asked for it, in a line.
    trigger_summary: Option<Text>,
    /// What the agent is to know; a daemon gives `context.prompt` to its command as the prompt.
    context: Option<JsonText>,
    /// Whether no earlier session may be resumed.
    #[graphql(default)]
    force_fresh_session: bool,
    /// Whether the agent acts as the leader of a squad.
    #[graphql(default)]
    is_leader_task: bool,
    /// How many tries it may have, from 1 to 100; failures that lie outside the work are retried.
    #[graphql(default = 2)]
    max_attempts: i32,
}

impl From<EnqueueTaskInput> for NewTask {
    fn from(input: EnqueueTaskInput) -> Self {
        Self {
            agent_id: input.agent_id,
            issue_id: input.issue_id,
            chat_session_id: input.chat_session_id,
            autopilot_run_id: input.autopilot_run_id,
            priority: input.priority,
            trigger_comment_id: input.trigger_comment_id,
            trigger_summary: text(input.trigger_summary),
            context: json(input.context),
            force_fresh_session: input.force_fresh_session,
            is_leader_task: input.is_leader_task,
            max_attempts: input.max_attempts,
        }
    }
}

/// The mutations of the host application on the board.
#[derive(Debug, Default)]
pub(in super::super) struct BoardMutation;

#[Object]
impl BoardMutation {
    /// Puts a task on the board. Where the same issue and agent already have a queued or dispatched task, that one is
    /// returned.
    async fn enqueue_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The task.")] input: EnqueueTaskInput,
    ) -> Result<EnqueueTaskPayload> {
        let txn = context::write(ctx).await?;
        let enqueued = enqueue::enqueue(&txn, context::viewer(ctx)?, input.into()).await?;
        txn.commit().await?;
        Ok(EnqueueTaskPayload {
            task: Task::from(enqueued.task),
            deduplicated: enqueued.deduplicated,
        })
    }

    /// Cancels a task; one that has ended is returned as it is.
    async fn cancel_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] task_id: TaskId,
    ) -> Result<Task> {
        let txn = context::write(ctx).await?;
        let task = cancel::one(&txn, context::viewer(ctx)?, task_id).await?;
        txn.commit().await?;
        Ok(Task::from(task))
    }

    /// Cancels every active task of an issue; returns those that it cancelled.
    async fn cancel_by_issue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which issue.")] issue_id: IssueId,
        #[graphql(desc = "Only this agent's; everyone's where it is absent.")] agent_id: Option<
            AgentId,
        >,
    ) -> Result<Vec<Task>> {
        let txn = context::write(ctx).await?;
        let cancelled = cancel::by_issue(&txn, context::viewer(ctx)?, issue_id, agent_id).await?;
        txn.commit().await?;
        Ok(cancelled.into_iter().map(Task::from).collect())
    }
}
