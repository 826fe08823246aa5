//! Claiming: who is given what.
//!
//! The rule, which task an agent may be given next, stands in the database (`task_next_claimable`). Here is the
//! order of steps that makes it hold under concurrency: choose an agent without locks, lock it, and only in a later
//! statement, which sees what the lock waited for, choose its task again and take it. Locking inside the claiming
//! statement would not do: its snapshot predates the wait.

use std::time::Duration;

use entity::id::{AgentId, ClaimRequestId, ClaimToken, RuntimeId};
use entity::{agent, runtime, task};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, EntityTrait, Statement, TransactionTrait, raw_sql,
};

use uuid::Uuid;

use super::{lock, session};
use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// What a daemon asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// For which of its runtimes.
    pub runtime_id: RuntimeId,
    /// Of which agent; any where it is absent.
    pub agent_id: Option<AgentId>,
    /// Makes the claim repeatable.
    pub request_id: Option<ClaimRequestId>,
}

/// A task in a daemon's hands.
#[derive(Debug)]
pub struct Claimed {
    /// The task.
    pub task: task::Model,
    /// The proof, for every write that follows.
    pub claim_token: ClaimToken,
    /// The session to go on with.
    pub resume: Option<session::Session>,
    /// Who is to work, secrets included.
    pub agent: agent::Model,
}

/// Hands the runtime its best claimable task. The same request id again gets the same task, for as long as that
/// claim holds it.
pub async fn claim(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    settings: &Settings,
    request: Request,
) -> Result<Option<Claimed>> {
    let runtime = find_runtime(txn, viewer, request.runtime_id).await?;
    if let Some(task) = claimed_before(txn, &runtime, request.request_id).await? {
        return Ok(Some(claimed(txn, task).await?));
    }

    let mut passed_over = Vec::new();
    while let Some(agent_id) = choose_agent(txn, &runtime, request.agent_id, &passed_over).await? {
        // A savepoint, because an agent that turns out to have nothing must be let go of: whoever holds one agent while
        // it waits for the next may wait in a circle.
        let attempt = txn.begin().await?;
        lock::agent(&attempt, agent_id).await?;
        if let Some(task) = take(
            &attempt,
            &runtime,
            agent_id,
            request.request_id,
            settings.claim_lease,
        )
        .await?
        {
            attempt.commit().await?;
            return Ok(Some(claimed(txn, task).await?));
        }
        // Somebody else was faster with this one.
        attempt.rollback().await?;
        passed_over.push(agent_id);
    }
    Ok(None)
}

/// The runtime, if it is one of the daemon's.
async fn find_runtime(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    id: RuntimeId,
) -> Result<runtime::Model> {
    let daemon = viewer.require_daemon()?;
    let (workspace_id, daemon_id) = (daemon.workspace_id, daemon.daemon_id.clone());
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select * from agent_runtime
           where id = {id} and workspace_id = {workspace_id} and daemon_id = {daemon_id}"#
    );
    runtime::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?
        .ok_or(Error::NotFound("runtime"))
}

/// The task that this very request was given, if it still holds it.
async fn claimed_before(
    txn: &DatabaseTransaction,
    runtime: &runtime::Model,
    request_id: Option<ClaimRequestId>,
) -> Result<Option<task::Model>> {
    let Some(request_id) = request_id else {
        return Ok(None);
    };
    // A repetition that overtakes the first try waits for it here.
    let key = request_id.to_string();
    let statement: Statement = raw_sql!(
        Postgres,
        "select pg_advisory_xact_lock(hashtext('callboard claim'), hashtext({key}))"
    );
    txn.query_one_raw(statement).await?;
    let (workspace_id, runtime_id) = (runtime.workspace_id, runtime.id);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select * from agent_task_queue
           where claim_request_id = {request_id} and runtime_id = {runtime_id} and workspace_id = {workspace_id}
               and (status = 'running' or status = 'dispatched' and claim_expires_at >= now())"#
    );
    Ok(task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?)
}

/// Takes back what the runtime was given and did not start in time: by asking, it shows that it lives. A task that was
/// handed out too often fails instead. Looks before it writes, because almost every claim finds nothing here.
///
/// Comes before a claim, and says whether there was something: then this transaction has locked agents, and has to end
/// before the claim locks another one.
pub async fn requeue_expired(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    settings: &Settings,
    runtime_id: RuntimeId,
) -> Result<bool> {
    let workspace_id = viewer.require_daemon()?.workspace_id;
    let (batch, max_deliveries) = (settings.requeue_batch, settings.max_deliveries);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select agent_id from agent_task_queue
           where runtime_id = {runtime_id} and workspace_id = {workspace_id}
               and status = 'dispatched' and claim_expires_at < now()
           limit 1"#
    );
    if txn.query_one_raw(statement).await?.is_none() {
        return Ok(false);
    }
    find_runtime(txn, viewer, runtime_id).await?;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select distinct agent_id from (
               select agent_id from agent_task_queue
               where runtime_id = {runtime_id} and workspace_id = {workspace_id}
                   and status = 'dispatched' and claim_expires_at < now()
               order by claim_expires_at limit {batch}
           ) as expired"#
    );
    let agents = lock::ids(txn, statement).await?;
    lock::agents(txn, &agents).await?;
    let agents = lock::uuids(&agents);
    // MATERIALIZED, because a plain sub-select may be run more than once and lock more than its LIMIT.
    let statement: Statement = raw_sql!(
        Postgres,
        r#"with expired as materialized (
               select id from agent_task_queue
               where runtime_id = {runtime_id} and workspace_id = {workspace_id} and agent_id = any({agents})
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
               claim_token = null,
               claim_expires_at = null,
               claim_request_id = null
           from expired
           cross join lateral (
               select deliveries >= {max_deliveries} as undeliverable from agent_task_queue as t where t.id = expired.id
           ) as verdict
           where task.id = expired.id and task.status = 'dispatched' and task.claim_expires_at < now()"#
    );
    txn.execute_raw(statement).await?;
    Ok(true)
}

/// The agent whose next claimable task on the runtime is the best of all.
async fn choose_agent(
    txn: &DatabaseTransaction,
    runtime: &runtime::Model,
    only: Option<AgentId>,
    passed_over: &[AgentId],
) -> Result<Option<AgentId>> {
    let runtime_id = runtime.id;
    let passed_over = lock::uuids(passed_over);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select waiting.agent_id
           from task_agents_waiting({runtime_id}) as waiting (agent_id)
           cross join lateral task_next_claimable({runtime_id}, waiting.agent_id) as next
           where next.id is not null
               and ({only}::uuid is null or waiting.agent_id = {only})
               and waiting.agent_id <> all ({passed_over}::uuid[])
           order by next.priority desc, next.created_at, next.id
           limit 1"#
    );
    let row = txn.query_one_raw(statement).await?;
    row.map(|row| Ok(AgentId(row.try_get_by_index(0)?)))
        .transpose()
}

/// Dispatches the next claimable task of an agent that this transaction has locked.
async fn take(
    txn: &DatabaseTransaction,
    runtime: &runtime::Model,
    agent_id: AgentId,
    request_id: Option<ClaimRequestId>,
    lease: Duration,
) -> Result<Option<task::Model>> {
    let (workspace_id, runtime_id, lease_secs) =
        (runtime.workspace_id, runtime.id, lease.as_secs_f64());
    let statement: Statement = raw_sql!(
        Postgres,
        r#"with next as materialized (
               select task.id
               from task_next_claimable({runtime_id}, {agent_id}) as claimable
               join agent_task_queue as task on task.id = claimable.id
               where task.status = 'queued'
               for no key update of task skip locked
           )
           update agent_task_queue as task
           set status = 'dispatched',
               dispatched_at = now(),
               claim_token = gen_random_uuid(),
               claim_expires_at = now() + make_interval(secs => {lease_secs}),
               claim_request_id = {request_id},
               deliveries = deliveries + 1
           from next
           where task.id = next.id and task.workspace_id = {workspace_id} and task.status = 'queued'
           returning task.*"#
    );
    Ok(task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?)
}

/// Of these runtimes, those that would be given something if they asked; who may ask was decided before.
pub async fn runtimes_with_work(
    db: &impl ConnectionTrait,
    runtimes: &[RuntimeId],
) -> Result<Vec<RuntimeId>> {
    let runtimes: Vec<Uuid> = runtimes.iter().map(|id| id.0).collect();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select runtime.id
           from unnest({runtimes}::uuid[]) as runtime (id)
           where exists (
                   select from task_agents_waiting(runtime.id) as waiting (agent_id)
                   cross join lateral task_next_claimable(runtime.id, waiting.agent_id) as next
                   where next.id is not null)
               or exists (
                   select from agent_task_queue as task
                   where task.runtime_id = runtime.id and task.status = 'dispatched' and task.claim_expires_at < now())"#
    );
    let rows = db.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok(RuntimeId(row.try_get_by_index(0)?)))
        .collect()
}

/// On these runtimes, the agents that have tasks waiting there; who may ask was decided before.
pub async fn agents_waiting(
    db: &impl ConnectionTrait,
    runtimes: &[RuntimeId],
) -> Result<Vec<(RuntimeId, AgentId)>> {
    let runtimes: Vec<Uuid> = runtimes.iter().map(|id| id.0).collect();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select runtime.id, waiting.agent_id
           from unnest({runtimes}::uuid[]) as runtime (id)
           cross join lateral task_agents_waiting(runtime.id) as waiting (agent_id)"#
    );
    let rows = db.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
        .collect()
}

/// The task with what its daemon needs to work on it.
async fn claimed(txn: &DatabaseTransaction, task: task::Model) -> Result<Claimed> {
    let agent = agent::Entity::find_by_id(task.agent_id)
        .one(txn)
        .await?
        .ok_or(Error::NotFound("agent"))?;
    let claim_token = task.claim_token.ok_or_else(|| {
        Error::Internal(anyhow::anyhow!("a claim of task {} has no token", task.id))
    })?;
    let resume = session::to_resume(txn, &task).await?;
    Ok(Claimed {
        task,
        claim_token,
        resume,
        agent,
    })
}
