//! Failing tasks from outside, because time ran out: in bounded batches, retried where the rule allows.

use entity::id::{AgentId, TaskId, WorkspaceId};
use entity::task;
use sea_orm::{DatabaseTransaction, EntityTrait, FromQueryResult, Statement, raw_sql};

use super::{lock, retry};
use crate::db::Writer;
use crate::error::Result;
use crate::settings::Settings;

/// Why a task lapses.
#[derive(Clone, Copy, Debug)]
struct Lapse {
    /// As a word that the retry rule reads.
    reason: &'static str,
    /// In words.
    error: &'static str,
}

/// A task whose time has run out.
#[derive(Debug, FromQueryResult)]
struct Lapsed {
    id: TaskId,
    workspace_id: WorkspaceId,
    agent_id: AgentId,
    status: task::Status,
}

/// Fails what was at work on runtimes that are gone; how many.
pub async fn lost(writer: &Writer, settings: &Settings) -> Result<usize> {
    let lost_after_secs = (settings.runtime_silent_after + settings.reconnect_grace).as_secs_f64();
    let batch = settings.sweep_batch;
    let which = || {
        let statement: Statement = raw_sql!(
            Postgres,
            "select id, workspace_id, agent_id, status from tasks_of_lost_runtimes(make_interval(secs => {lost_after_secs}), {batch})"
        );
        statement
    };
    fail(
        writer,
        which,
        Lapse {
            reason: "runtime_offline",
            error: "the runtime went offline while the task was in flight",
        },
    )
    .await
}

/// Fails what was dispatched or ran for too long; how many.
pub async fn timed_out(writer: &Writer, settings: &Settings) -> Result<usize> {
    let dispatch_secs = settings.dispatch_timeout.as_secs_f64();
    let running_secs = settings.running_timeout.as_secs_f64();
    let silent_secs = settings.runtime_silent_after.as_secs_f64();
    let batch = settings.sweep_batch;
    let which = || {
        let statement: Statement = raw_sql!(
            Postgres,
            r#"select id, workspace_id, agent_id, status from tasks_timed_out(
                   make_interval(secs => {dispatch_secs}), make_interval(secs => {running_secs}),
                   make_interval(secs => {silent_secs}), {batch})"#
        );
        statement
    };
    fail(
        writer,
        which,
        Lapse {
            reason: "timeout",
            error: "task timed out",
        },
    )
    .await
}

/// Fails what waited for too long; how many.
pub async fn expired(writer: &Writer, settings: &Settings) -> Result<usize> {
    let ttl_secs = settings.queue_ttl.as_secs_f64();
    let batch = settings.sweep_batch;
    let which = || {
        let statement: Statement = raw_sql!(
            Postgres,
            "select id, workspace_id, agent_id, status from tasks_expired_in_queue(make_interval(secs => {ttl_secs}), {batch})"
        );
        statement
    };
    fail(
        writer,
        which,
        Lapse {
            reason: "queued_expired",
            error: "task expired in queue",
        },
    )
    .await
}

/// Fails the tasks that a question names, once more under the locks of their agents.
async fn fail(writer: &Writer, which: impl Fn() -> Statement, lapse: Lapse) -> Result<usize> {
    // Looks before it writes, because almost every sweep finds nothing.
    let found = Lapsed::find_by_statement(which()).all(writer.db()).await?;
    let mut agents: Vec<AgentId> = found.iter().map(|task| task.agent_id).collect();
    if agents.is_empty() {
        return Ok(0);
    }
    agents.sort_unstable();
    agents.dedup();
    let txn = writer.begin().await?;
    lock::agents(&txn, &agents).await?;
    let concerned = Lapsed::find_by_statement(which()).all(&*txn).await?;
    let mut count = 0;
    for task in concerned
        .iter()
        .filter(|task| agents.contains(&task.agent_id))
    {
        if let Some(failed) = fail_one(&txn, task, lapse).await? {
            retry::after_failure(&txn, &failed).await?;
            count += 1;
        }
    }
    txn.commit().await?;
    Ok(count)
}

/// Fails a task that is still as it was found; a start may have come in between, and nothing else.
async fn fail_one(
    txn: &DatabaseTransaction,
    found: &Lapsed,
    lapse: Lapse,
) -> Result<Option<task::Model>> {
    let (id, workspace_id) = (found.id, found.workspace_id);
    let status = sea_orm::ActiveEnum::to_value(&found.status);
    let Lapse { reason, error } = lapse;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent_task_queue
           set status = 'failed', completed_at = now(), error = {error}, failure_reason = {reason}
           where id = {id} and workspace_id = {workspace_id} and by_index('none', status = {status})
               and by_index('none', status in ('queued', 'dispatched', 'running'))
           returning *"#
    );
    Ok(task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?)
}
