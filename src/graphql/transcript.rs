//! What a daemon tells of a task: progress, messages, usage.

use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::id::{ClaimToken, TaskId};
use entity::{task, task_message, task_usage};

use super::context;
use super::input::{JsonText, Text, json, text};
use super::task::Task;
use crate::task::Claim;
use crate::task::progress::Progress;
use crate::task::transcript::{self, Message};

/// How far a task is.
#[derive(Debug, SimpleObject)]
pub(super) struct TaskProgress {
    /// In words.
    summary: String,
    /// At which step.
    step: Option<i32>,
    /// Of how many.
    total: Option<i32>,
    /// When it said so.
    at: DateTime<Utc>,
}

impl TaskProgress {
    /// The progress of a task that has reported any.
    pub(super) fn of(task: &task::Model) -> Option<Self> {
        Some(Self {
            summary: task.progress_summary.clone()?,
            step: task.progress_step,
            total: task.progress_total,
            at: task.progress_at?,
        })
    }
}

/// What a task used of one model.
#[derive(Debug, SimpleObject)]
pub(super) struct TaskUsage {
    /// Whose model.
    provider: String,
    /// Which model.
    model: String,
    /// Tokens read, the cached left out.
    input_tokens: i32,
    /// Tokens written.
    output_tokens: i32,
    /// Tokens read from the cache.
    cache_read_tokens: i32,
    /// Tokens written to the cache.
    cache_write_tokens: i32,
}

impl From<task_usage::Model> for TaskUsage {
    fn from(row: task_usage::Model) -> Self {
        Self {
            provider: row.provider,
            model: row.model,
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            cache_read_tokens: row.cache_read_tokens,
            cache_write_tokens: row.cache_write_tokens,
        }
    }
}

/// A line of a task's transcript.
#[derive(Debug, SimpleObject)]
pub(super) struct TaskMessage {
    /// Its place, from 1.
    seq: i32,
    /// What sort of line it is, in the daemon's word.
    r#type: String,
    /// Which tool it speaks of.
    tool: Option<String>,
    /// What was said.
    content: Option<String>,
    /// What the tool was given.
    input: Option<serde_json::Value>,
    /// What the tool gave.
    output: Option<String>,
    /// When it was received.
    at: DateTime<Utc>,
}

impl From<task_message::Model> for TaskMessage {
    fn from(row: task_message::Model) -> Self {
        let task_message::Model {
            seq,
            r#type,
            tool,
            content,
            input,
            output,
            at,
            ..
        } = row;
        Self {
            seq,
            r#type,
            tool,
            content,
            input,
            output,
            at,
        }
    }
}

/// How far a task is.
#[derive(Debug, InputObject)]
pub(super) struct ReportTaskProgressInput {
    /// Which task.
    task_id: TaskId,
    /// By which claim.
    claim_token: Option<ClaimToken>,
    /// In words.
    summary: Text,
    /// At which step.
    step: Option<i32>,
    /// Of how many.
    total: Option<i32>,
}

/// Lines of a task's transcript.
#[derive(Debug, InputObject)]
pub(super) struct AppendTaskMessagesInput {
    /// Which task.
    task_id: TaskId,
    /// By which claim.
    claim_token: Option<ClaimToken>,
    /// The lines, 1000 at most.
    messages: Vec<TaskMessageInput>,
}

/// A line of a task's transcript.
#[derive(Debug, InputObject)]
pub(super) struct TaskMessageInput {
    /// Its place, from 1; the daemon counts. A place that is taken is left as it is, so that a batch can be sent again.
    seq: i32,
    /// What sort of line it is.
    r#type: Text,
    /// Which tool it speaks of.
    tool: Option<Text>,
    /// What was said.
    content: Option<Text>,
    /// What the tool was given.
    input: Option<JsonText>,
    /// What the tool gave.
    output: Option<Text>,
}

/// What a task used.
#[derive(Debug, InputObject)]
pub(super) struct ReportTaskUsageInput {
    /// Which task.
    task_id: TaskId,
    /// By which claim.
    claim_token: Option<ClaimToken>,
    /// By provider and model; a repetition replaces.
    usage: Vec<TaskUsageInput>,
}

/// What a task used of one model.
#[derive(Debug, InputObject)]
pub(super) struct TaskUsageInput {
    /// Whose model.
    provider: Text,
    /// Which model.
    model: Text,
    /// Tokens read, the cached left out.
    #[graphql(default)]
    input_tokens: i32,
    /// Tokens written.
    #[graphql(default)]
    output_tokens: i32,
    /// Tokens read from the cache.
    #[graphql(default)]
    cache_read_tokens: i32,
    /// Tokens written to the cache.
    #[graphql(default)]
    cache_write_tokens: i32,
}

/// The mutations by which daemons tell of a task.
#[derive(Debug, Default)]
pub(super) struct TranscriptMutation;

#[Object]
impl TranscriptMutation {
    /// Notes how far a task under way is.
    async fn report_task_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How far.")] input: ReportTaskProgressInput,
    ) -> Result<Task> {
        let claim = Claim {
            task_id: input.task_id,
            token: input.claim_token,
        };
        let progress = Progress {
            summary: input.summary.0,
            step: input.step,
            total: input.total,
        };
        let tasks = &context::board(ctx)?.tasks;
        let viewer = context::viewer(ctx)?;
        let task = tasks.report_progress(viewer, claim, progress).await?;
        Ok(Task::from(task))
    }

    /// Appends to a task's transcript, also after its end. Lines that are there already are left as they are.
    async fn append_task_messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The lines.")] input: AppendTaskMessagesInput,
    ) -> Result<Task> {
        let txn = context::write(ctx).await?;
        let claim = Claim {
            task_id: input.task_id,
            token: input.claim_token,
        };
        let messages = input
            .messages
            .into_iter()
            .map(|message| Message {
                seq: message.seq,
                r#type: message.r#type.0,
                tool: text(message.tool),
                content: text(message.content),
                input: json(message.input),
                output: text(message.output),
            })
            .collect();
        let task =
            transcript::append_messages(&txn, context::viewer(ctx)?, claim, messages).await?;
        txn.commit().await?;
        Ok(Task::from(task))
    }

    /// Notes what a task used, also after its end.
    async fn report_task_usage(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it used.")] input: ReportTaskUsageInput,
    ) -> Result<Task> {
        let txn = context::write(ctx).await?;
        let claim = Claim {
            task_id: input.task_id,
            token: input.claim_token,
        };
        let usage = input
            .usage
            .into_iter()
            .map(|usage| task_usage::Model {
                task_id: input.task_id,
                provider: usage.provider.0,
                model: usage.model.0,
                input_tokens: usage.input_tokens,
                output_tokens: usage.output_tokens,
                cache_read_tokens: usage.cache_read_tokens,
                cache_write_tokens: usage.cache_write_tokens,
            })
            .collect();
        let task = transcript::report_usage(&txn, context::viewer(ctx)?, claim, usage).await?;
        txn.commit().await?;
        Ok(Task::from(task))
    }
}
