//! Claiming: who is given what.
//!
//! The rule, which task an agent may be given next, stands in the database (`task_next_claimable`). Here is the
//! order of steps that makes it hold under concurrency: choose agents without locks, lock them, and only in later
//! statements, which see what the locks waited for, choose their tasks again and take them. Locking inside the
//! claiming statement would not do: its snapshot predates the wait.

mod requeue;

use std::time::Duration;

use entity::id::{AgentId, ClaimRequestId, ClaimToken, RuntimeId};
use entity::{agent, task};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, Statement,
    TransactionTrait, raw_sql,
};
use uuid::Uuid;

use super::{lock, session};
use crate::auth::{Daemon, Viewer, require_all_found};
use crate::error::{Error, Result};
use crate::limits;
use crate::settings::Settings;

pub use requeue::requeue_expired;

/// The most tasks that one claim hands out.
pub const MOST_AT_ONCE: i32 = 100;

/// What a daemon asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// For which of its runtimes.
    pub runtime_ids: Vec<RuntimeId>,
    /// Of which agent; any where it is absent.
    pub agent_id: Option<AgentId>,
    /// How many at most.
    pub max: i32,
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

/// Hands the daemon the best claimable tasks of its runtimes. The same request id again gets the same tasks, for as long
/// as that claim holds them.
///
/// What the runtimes were given and did not start must have been taken back before ([`requeue_expired`]), in a
/// transaction of its own: it locks agents, and these here are locked in one order from the first to the last.
pub async fn claim(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    settings: &Settings,
    request: &Request,
) -> Result<Vec<Claimed>> {
    let daemon = viewer.require_daemon()?;
    limits::range("input.max", request.max, 1..=MOST_AT_ONCE)?;
    limits::list("input.runtimeIds", &request.runtime_ids)?;
    find_runtimes(txn, daemon, &request.runtime_ids).await?;

    let mut tasks = claimed_before(txn, daemon, request).await?;
    let mut passed_over = Vec::new();
    while tasks.is_empty() {
        let agents = choose_agents(txn, request, &passed_over).await?;
        if agents.is_empty() {
            break;
        }
        // A savepoint: what turns out to be in vain lets go of its locks, so that the next agents are again locked in
        // order.
        let attempt = txn.begin().await?;
        lock::agents(&attempt, &agents).await?;
        tasks = take(&attempt, daemon, request, &agents, settings.claim_lease).await?;
        if tasks.is_empty() {
            // Somebody else was faster with all of them.
            attempt.rollback().await?;
            passed_over.extend(agents);
        } else {
            attempt.commit().await?;
        }
    }
    claimed(txn, tasks).await
}

/// Refuses runtimes that are not the daemon's.
async fn find_runtimes(
    txn: &DatabaseTransaction,
    daemon: &Daemon,
    asked: &[RuntimeId],
) -> Result<()> {
    let rows = txn.query_all(&daemon.runtimes()).await?;
    let own = rows
        .iter()
        .map(|row| Ok(RuntimeId(row.try_get_by_index(0)?)))
        .collect::<Result<Vec<_>>>()?;
    require_all_found(asked, &own)
}

/// The tasks that this very request was given, as far as it still holds them.
async fn claimed_before(
    txn: &DatabaseTransaction,
    daemon: &Daemon,
    request: &Request,
) -> Result<Vec<task::Model>> {
    let Some(request_id) = request.request_id else {
        return Ok(Vec::new());
    };
    // A repetition that overtakes the first try waits for it here.
    let key = request_id.to_string();
    let statement: Statement = raw_sql!(
        Postgres,
        "select pg_advisory_xact_lock(hashtext('callboard claim'), hashtext({key}))"
    );
    txn.query_one_raw(statement).await?;
    let (workspace_id, runtimes) = (daemon.workspace_id, uuids(&request.runtime_ids));
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select * from agent_task_queue
           where claim_request_id = {request_id} and runtime_id = any({runtimes}) and workspace_id = {workspace_id}
               and by_index('claim_request', status in ('dispatched', 'running'))
               and (status = 'running' or claim_expires_at >= now())
           order by priority desc, created_at, id"#
    );
    Ok(task::Entity::find()
        .from_raw_sql(statement)
        .all(txn)
        .await?)
}

/// The agents whose next claimable tasks are the best of all.
async fn choose_agents(
    txn: &DatabaseTransaction,
    request: &Request,
    passed_over: &[AgentId],
) -> Result<Vec<AgentId>> {
    let (runtimes, passed_over) = (uuids(&request.runtime_ids), lock::uuids(passed_over));
    let (agent_id, max) = (request.agent_id, request.max);
    let statement: Statement = raw_sql!(
        Postgres,
        "select task_agents_to_claim({runtimes}, {agent_id}, {passed_over}, {max})"
    );
    lock::ids(txn, statement).await
}

/// Dispatches the best claimable tasks of agents that this transaction has locked.
async fn take(
    txn: &DatabaseTransaction,
    daemon: &Daemon,
    request: &Request,
    agents: &[AgentId],
    lease: Duration,
) -> Result<Vec<task::Model>> {
    let mut taken = Vec::new();
    for _ in 0..request.max {
        match take_one(txn, daemon, request, agents, lease).await? {
            Some(task) => taken.push(task),
            None => break,
        }
    }
    Ok(taken)
}

/// Dispatches the best claimable task of agents that this transaction has locked.
async fn take_one(
    txn: &DatabaseTransaction,
    daemon: &Daemon,
    request: &Request,
    agents: &[AgentId],
    lease: Duration,
) -> Result<Option<task::Model>> {
    let (runtimes, agents) = (uuids(&request.runtime_ids), lock::uuids(agents));
    let (workspace_id, request_id, lease_secs) =
        (daemon.workspace_id, request.request_id, lease.as_secs_f64());
    let statement: Statement = raw_sql!(
        Postgres,
        r#"with best as materialized (
               select claimable.id
               from unnest({runtimes}::uuid[]) as runtime (id)
               cross join unnest({agents}::uuid[]) as agent (id)
               cross join lateral task_next_claimable(runtime.id, agent.id) as claimable
               where claimable.id is not null
               order by claimable.priority desc, claimable.created_at, claimable.id
               limit 1
           ), next as materialized (
               select task.id
               from best join agent_task_queue as task on task.id = best.id
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
    let runtimes = uuids(runtimes);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select runtime.id
           from unnest({runtimes}::uuid[]) as runtime (id)
           where exists (
                   select from task_agents_to_claim(array[runtime.id], null, array[]::uuid[], 1))
               or exists (
                   select from agent_task_queue as task
                   where task.runtime_id = runtime.id
                       and by_index('held_by_runtime', task.status in ('dispatched', 'running'))
                       and task.status = 'dispatched' and task.claim_expires_at < now())"#
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
    let runtimes = uuids(runtimes);
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

/// The tasks with what their daemon needs to work on them.
async fn claimed(txn: &DatabaseTransaction, tasks: Vec<task::Model>) -> Result<Vec<Claimed>> {
    let ids: Vec<AgentId> = tasks.iter().map(|task| task.agent_id).collect();
    let agents = agent::Entity::find()
        .filter(agent::Column::Id.is_in(ids))
        .all(txn)
        .await?;
    let mut claimed = Vec::with_capacity(tasks.len());
    for task in tasks {
        let agent = agents
            .iter()
            .find(|agent| agent.id == task.agent_id)
            .cloned()
            .ok_or(Error::NotFound("agent"))?;
        let claim_token = task.claim_token.ok_or_else(|| {
            Error::Internal(anyhow::anyhow!("a claim of task {} has no token", task.id))
        })?;
        let resume = session::to_resume(txn, &task).await?;
        claimed.push(Claimed {
            task,
            claim_token,
            resume,
            agent,
        });
    }
    Ok(claimed)
}

/// The ids as the driver binds them.
fn uuids(runtimes: &[RuntimeId]) -> Vec<Uuid> {
    runtimes.iter().map(|id| id.0).collect()
}
