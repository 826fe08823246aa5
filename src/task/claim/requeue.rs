//! Taking back what a runtime was given and did not start in time.

use entity::id::{AgentId, RuntimeId};
use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement, raw_sql};

use super::uuids;
use crate::auth::Daemon;
use crate::db::Writer;
use crate::error::Result;
use crate::settings::Settings;
use crate::task::lock;

/// Puts the expired leases of the daemon's runtimes back on the board: by asking for work, it shows that it lives. A task
/// that was handed out too often fails instead. In a transaction of its own: it locks agents, and so does the claim, each
/// in one order from the first to the last.
pub(super) async fn requeue_expired(
    writer: &Writer,
    daemon: &Daemon,
    settings: &Settings,
    runtimes: &[RuntimeId],
) -> Result<()> {
    let txn = writer.begin().await?;
    let agents = agents_with_expired(&txn, daemon, settings, runtimes).await?;
    lock::agents(&txn, &agents).await?;
    requeue(&txn, daemon, settings, runtimes, &agents).await?;
    txn.commit().await
}

/// The agents of the oldest expired leases.
async fn agents_with_expired(
    txn: &DatabaseTransaction,
    daemon: &Daemon,
    settings: &Settings,
    runtimes: &[RuntimeId],
) -> Result<Vec<AgentId>> {
    let (workspace_id, daemon_id) = (daemon.workspace_id, daemon.daemon_id.clone());
    let (runtimes, batch) = (uuids(runtimes), settings.requeue_batch);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select distinct agent_id from (
               select task.agent_id
               from agent_task_queue as task
               join agent_runtime as runtime on runtime.id = task.runtime_id
               where task.runtime_id = any({runtimes}) and task.workspace_id = {workspace_id}
                   and runtime.daemon_id = {daemon_id}
                   and by_index('held_by_runtime', task.status in ('dispatched', 'running'))
                   and task.status = 'dispatched' and task.claim_expires_at < now()
               order by task.claim_expires_at limit {batch}
           ) as expired"#
    );
    lock::ids(txn, statement).await
}

/// Requeues the expired leases of agents that this transaction has locked. MATERIALIZED, because a plain sub-select may be
/// run more than once and lock more than its LIMIT.
async fn requeue(
    txn: &DatabaseTransaction,
    daemon: &Daemon,
    settings: &Settings,
    runtimes: &[RuntimeId],
    agents: &[AgentId],
) -> Result<()> {
    let (workspace_id, runtimes, agents) =
        (daemon.workspace_id, uuids(runtimes), lock::uuids(agents));
    let (batch, max_deliveries) = (settings.requeue_batch, settings.max_deliveries);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"with expired as materialized (
               select id, deliveries >= {max_deliveries} as undeliverable
               from agent_task_queue
               where runtime_id = any({runtimes}) and workspace_id = {workspace_id} and agent_id = any({agents})
                   and by_index('held_by_runtime', status in ('dispatched', 'running'))
                   and status = 'dispatched' and claim_expires_at < now()
               order by claim_expires_at limit {batch}
               for no key update skip locked
           )
           update agent_task_queue as task
           set status = case when undeliverable then 'failed' else 'queued' end,
               completed_at = case when undeliverable then now() end,
               error = case when undeliverable then 'handed out ' || deliveries || ' times and never started' end,
               failure_reason = case when undeliverable then 'undeliverable' end,
               dispatched_at = case when undeliverable then dispatched_at end,
               claim_token = case when undeliverable then claim_token end,
               claim_expires_at = null,
               claim_request_id = null
           from expired
           where task.id = expired.id
               and by_index('none', task.status = 'dispatched') and task.claim_expires_at < now()"#
    );
    txn.execute_raw(statement).await?;
    Ok(())
}
