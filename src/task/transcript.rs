//! What a daemon tells of a task besides its progress: messages and usage. Also after the end, because the end may come from
//! outside while they are on their way.

pub mod live;

use entity::id::TaskId;
use entity::{task, task_message, task_usage};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, Set, Statement, raw_sql};
use serde_json::Value;
use uuid::Uuid;

use super::{Claim, find_of_daemon};
use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::limits;

/// A line of a transcript.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its place, from 1; the daemon counts.
    pub seq: i32,
    /// What sort of line it is.
    pub r#type: String,
    /// Which tool it speaks of.
    pub tool: Option<String>,
    /// What was said.
    pub content: Option<String>,
    /// What the tool was given.
    pub input: Option<Value>,
    /// What the tool gave.
    pub output: Option<String>,
}

impl Message {
    /// Refuses what can never be right, naming the place in the list.
    fn check(&self, index: usize) -> Result<()> {
        let argument = |field: &str| format!("input.messages.{index}.{field}");
        limits::range(argument("seq"), self.seq, 1..=i32::MAX)?;
        limits::name(argument("type"), &self.r#type)?;
        limits::line(argument("tool"), self.tool.as_deref())?;
        limits::text(argument("content"), self.content.as_deref())?;
        limits::json(argument("input"), self.input.as_ref())?;
        limits::text(argument("output"), self.output.as_deref())
    }
}

/// Appends to a task's transcript. A line that is there already stays as it is, so that a batch can be sent again.
pub async fn append_messages(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    claim: Claim,
    mut messages: Vec<Message>,
) -> Result<task::Model> {
    limits::list("input.messages", &messages)?;
    for (index, message) in messages.iter().enumerate() {
        message.check(index)?;
    }
    // In one order, so that two batches cannot wait for each other's lines.
    messages.sort_by_key(|message| message.seq);
    let task = held_or_ended(txn, viewer, claim).await?;
    let rows = messages
        .into_iter()
        .map(|message| task_message::ActiveModel {
            task_id: Set(task.id),
            seq: Set(message.seq),
            r#type: Set(message.r#type),
            tool: Set(message.tool),
            content: Set(message.content),
            input: Set(message.input),
            output: Set(message.output),
            ..Default::default()
        });
    task_message::Entity::insert_many(rows)
        .on_conflict(
            OnConflict::columns([task_message::Column::TaskId, task_message::Column::Seq])
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(txn)
        .await?;
    Ok(task)
}

/// Notes what a task used, by provider and model; a repetition replaces, it does not add.
pub async fn report_usage(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    claim: Claim,
    mut usage: Vec<task_usage::Model>,
) -> Result<task::Model> {
    limits::list("input.usage", &usage)?;
    for (index, row) in usage.iter().enumerate() {
        let argument = |field: &str| format!("input.usage.{index}.{field}");
        limits::name(argument("provider"), &row.provider)?;
        limits::name(argument("model"), &row.model)?;
        limits::range(argument("inputTokens"), row.input_tokens, 0..=i32::MAX)?;
        limits::range(argument("outputTokens"), row.output_tokens, 0..=i32::MAX)?;
        limits::range(
            argument("cacheReadTokens"),
            row.cache_read_tokens,
            0..=i32::MAX,
        )?;
        limits::range(
            argument("cacheWriteTokens"),
            row.cache_write_tokens,
            0..=i32::MAX,
        )?;
    }
    let task = held_or_ended(txn, viewer, claim).await?;
    // In one order, so that two reports cannot wait for each other's rows; of a model that is named twice the last holds.
    usage.sort_by(|a, b| (&a.provider, &a.model).cmp(&(&b.provider, &b.model)));
    // One row a statement: a list that names a model twice would touch a row twice, which one statement may not.
    for row in usage {
        task_usage::Entity::insert(task_usage::ActiveModel {
            task_id: Set(task.id),
            provider: Set(row.provider),
            model: Set(row.model),
            input_tokens: Set(row.input_tokens),
            output_tokens: Set(row.output_tokens),
            cache_read_tokens: Set(row.cache_read_tokens),
            cache_write_tokens: Set(row.cache_write_tokens),
        })
        .on_conflict(
            OnConflict::columns([
                task_usage::Column::TaskId,
                task_usage::Column::Provider,
                task_usage::Column::Model,
            ])
            .update_columns([
                task_usage::Column::InputTokens,
                task_usage::Column::OutputTokens,
                task_usage::Column::CacheReadTokens,
                task_usage::Column::CacheWriteTokens,
            ])
            .to_owned(),
        )
        .exec_without_returning(txn)
        .await?;
    }
    Ok(task)
}

/// A page of the transcript of each task: what comes after `after_seq`, in order.
pub async fn messages(
    db: &impl ConnectionTrait,
    tasks: &[TaskId],
    after_seq: i32,
    rows: i32,
) -> Result<Vec<task_message::Model>> {
    let ids: Vec<Uuid> = tasks.iter().map(|id| id.0).collect();
    let rows = i64::from(rows);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select message.*
           from unnest({ids}::uuid[]) as wanted (task_id)
           cross join lateral (
               select * from task_message
               where task_message.task_id = wanted.task_id and seq > {after_seq}
               order by seq
               limit {rows}
           ) as message
           order by message.task_id, message.seq"#
    );
    Ok(task_message::Entity::find()
        .from_raw_sql(statement)
        .all(db)
        .await?)
}

/// The task, if the claim holds it or held it to the end. The row is locked, so that a claim that is taken back
/// meanwhile is seen.
async fn held_or_ended(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    claim: Claim,
) -> Result<task::Model> {
    let Claim { task_id, token } = claim;
    let workspace_id = find_of_daemon(txn, viewer.require_daemon()?, task_id)
        .await?
        .workspace_id;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select * from agent_task_queue
           where id = {task_id} and workspace_id = {workspace_id} and status <> 'queued'
               and claim_token is not distinct from {token}
           for share"#
    );
    task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?
        .ok_or(Error::ClaimConflict)
}
