//! Putting work on the board and taking it off: what the host application does.

use async_graphql::{Context, InputObject, Object, Result};
use entity::id::{AgentId, AutopilotRunId, ChatSessionId, CommentId, IssueId, TaskId};

use super::super::input::{JsonText, Text, json, text};
use super::super::{connection, context};
use super::{EnqueueTaskPayload, Task};
use crate::task::cancel::{self, Which};
use crate::task::enqueue::{NewTask, QuickCreate};
use crate::task::{link, rerun, retry};

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

/// A task that is linked to nothing.
#[derive(Debug, InputObject)]
pub(super) struct EnqueueQuickCreateInput {
    /// Who is to do it.
    agent_id: AgentId,
    /// What to do.
    prompt: Text,
    /// Higher goes first; not negative.
    #[graphql(default = 3)]
    priority: i32,
    /// What else the agent is to know; an object.
    context: Option<JsonText>,
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
        let tasks = &context::board(ctx)?.tasks;
        let enqueued = tasks.enqueue(context::viewer(ctx)?, input.into()).await?;
        Ok(EnqueueTaskPayload {
            task: Task::from(enqueued.task),
            deduplicated: enqueued.deduplicated,
        })
    }

    /// Puts a task on the board that is linked to nothing: its prompt says all, and what it brings about is linked to it
    /// later. An agent does one of these at a time.
    async fn enqueue_quick_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The task.")] input: EnqueueQuickCreateInput,
    ) -> Result<EnqueueTaskPayload> {
        let new = QuickCreate {
            agent_id: input.agent_id,
            prompt: input.prompt.0,
            priority: input.priority,
            context: json(input.context),
        };
        let tasks = &context::board(ctx)?.tasks;
        let enqueued = tasks.quick_create(context::viewer(ctx)?, new).await?;
        Ok(EnqueueTaskPayload {
            task: Task::from(enqueued.task),
            deduplicated: enqueued.deduplicated,
        })
    }

    /// Attaches the issue that a task brought about to the task, once.
    async fn link_task_to_issue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which task.")] task_id: TaskId,
        #[graphql(desc = "To which issue.")] issue_id: IssueId,
    ) -> Result<Task> {
        let txn = context::write(ctx).await?;
        let task = link::link(&txn, context::viewer(ctx)?, task_id, issue_id).await?;
        txn.commit().await?;
        Ok(Task::from(task))
    }

    /// Puts the next try of a failed or cancelled task on the board, also beyond its number of tries.
    async fn retry_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] task_id: TaskId,
    ) -> Result<Task> {
        let txn = context::write(ctx).await?;
        let task = retry::by_hand(&txn, context::viewer(ctx)?, task_id).await?;
        txn.commit().await?;
        Ok(Task::from(task))
    }

    /// Puts a new task of an issue on the board that starts from scratch. What of the agent's waits on the issue is
    /// cancelled; what runs goes on, and other agents are left alone.
    async fn rerun_issue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which issue.")] issue_id: IssueId,
        #[graphql(desc = "Which agent.")] agent_id: AgentId,
    ) -> Result<EnqueueTaskPayload> {
        let txn = context::write(ctx).await?;
        let enqueued = rerun::rerun(&txn, context::viewer(ctx)?, issue_id, agent_id).await?;
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
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn cancel_by_issue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which issue.")] issue_id: IssueId,
        #[graphql(desc = "Only this agent's; everyone's where it is absent.")] agent_id: Option<
            AgentId,
        >,
    ) -> Result<Vec<Task>> {
        cancel_all(ctx, Which::OfIssue(issue_id, agent_id)).await
    }

    /// Cancels every active task of an agent; returns those that it cancelled.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn cancel_by_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which agent.")] agent_id: AgentId,
    ) -> Result<Vec<Task>> {
        cancel_all(ctx, Which::OfAgent(agent_id)).await
    }

    /// Cancels every active task that a comment asked for; returns those that it cancelled.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn cancel_by_trigger_comment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which comment.")] comment_id: CommentId,
    ) -> Result<Vec<Task>> {
        cancel_all(ctx, Which::OfTriggerComment(comment_id)).await
    }

    /// Cancels every active task of a chat session; returns those that it cancelled.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn cancel_by_chat_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which session.")] chat_session_id: ChatSessionId,
    ) -> Result<Vec<Task>> {
        cancel_all(ctx, Which::OfChatSession(chat_session_id)).await
    }
}

async fn cancel_all(ctx: &Context<'_>, which: Which) -> Result<Vec<Task>> {
    let txn = context::write(ctx).await?;
    let cancelled = cancel::all(&txn, context::viewer(ctx)?, which).await?;
    txn.commit().await?;
    Ok(cancelled.into_iter().map(Task::from).collect())
}
