//! Failing tasks from outside, because time ran out: in bounded batches, retried where the rule allows.

use entity::id::{AgentId, TaskId};
use entity::task;
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Statement, raw_sql};
use uuid::Uuid;

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
            "select id, agent_id, status from tasks_of_lost_runtimes(make_interval(secs => {lost_after_secs}), {batch})"
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
            r#"select id, agent_id, status from tasks_timed_out(
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
            "select id, agent_id, status from tasks_expired_in_queue(make_interval(secs => {ttl_secs}), {batch})"
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
    let concerned = concerned
        .iter()
        .filter(|task| agents.contains(&task.agent_id));
    let failed = fail_found(&txn, concerned, lapse).await?;
    retry::after_lapse(&txn, &failed).await?;
    txn.commit().await?;
    Ok(failed.len())
}

/// Fails those of the tasks that are still as they were found; a start may have come in between, and nothing else. Of no
/// task more than its id is read: one that cannot be read would keep the others from their end.
async fn fail_found(
    txn: &DatabaseTransaction,
    found: impl Iterator<Item = &Lapsed>,
    lapse: Lapse,
) -> Result<Vec<TaskId>> {
    let (ids, statuses): (Vec<Uuid>, Vec<String>) = found
        .map(|task| (task.id.0, sea_orm::ActiveEnum::to_value(&task.status)))
        .unzip();
    let Lapse { reason, error } = lapse;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent_task_queue as task
           set status = 'failed', completed_at = now(), error = {error}, failure_reason = {reason}
           from unnest({ids}::uuid[], {statuses}::text[]) as found (id, status)
           where task.id = any({ids}) and task.id = found.id and by_index('none', task.status = found.status)
               and by_index('none', task.status in ('queued', 'dispatched', 'running'))
           returning task.id"#
    );
    let failed = txn.query_all_raw(statement).await?;
    failed
        .iter()
        .map(|task| Ok(task.try_get("", "id")?))
        .collect()
}
