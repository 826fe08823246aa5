//! A daemon's sign of life: the hot write, and the answer that tells it what it has lost.

use entity::id::{ClaimToken, RuntimeId, TaskId};
use entity::{runtime, task};
use sea_orm::{ConnectionTrait, EntityTrait, Statement, raw_sql};
use uuid::Uuid;

use crate::auth::{Viewer, require_all_found};
use crate::error::Result;
use crate::limits;

/// A task that a daemon believes it holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Which task.
    pub task_id: TaskId,
    /// By which claim.
    pub claim_token: ClaimToken,
}

/// What a heartbeat is answered with.
#[derive(Debug)]
pub struct Answer {
    /// The runtimes, as they are.
    pub runtimes: Vec<runtime::Model>,
    /// Of the tasks that the daemon holds, those that it no longer does.
    pub lost: Vec<task::Model>,
}

/// Records that the daemon lives and that its runtimes are on line, and says which of the tasks that it holds it
/// has lost: cancelled, failed from outside, or claimed anew.
pub async fn beat(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    runtimes: &[RuntimeId],
    holding: &[Held],
) -> Result<Answer> {
    let daemon = viewer.require_daemon()?;
    limits::list("input.runtimeIds", runtimes)?;
    limits::list("input.holding", holding)?;

    let (workspace_id, daemon_id) = (daemon.workspace_id, daemon.daemon_id.clone());
    let ids: Vec<Uuid> = runtimes.iter().map(|id| id.0).collect();
    // The rows are locked in one order, so that two heartbeats cannot wait for each other; updated_at moves with the
    // status alone, so that a heartbeat touches no index.
    let statement: Statement = raw_sql!(
        Postgres,
        r#"with own as materialized (
               select id from agent_runtime
               where id = any({ids}) and workspace_id = {workspace_id} and daemon_id = {daemon_id}
               order by id
               for no key update
           )
           update agent_runtime
           set last_seen_at = now(),
               status = 'online',
               updated_at = case when status = 'online' then updated_at else now() end
           from own
           where agent_runtime.id = own.id
           returning agent_runtime.*"#
    );
    let found = runtime::Entity::find()
        .from_raw_sql(statement)
        .all(db)
        .await?;
    let found_ids: Vec<RuntimeId> = found.iter().map(|runtime| runtime.id).collect();
    require_all_found(runtimes, &found_ids)?;
    Ok(Answer {
        runtimes: found,
        lost: lost(db, viewer, holding).await?,
    })
}

/// Of the tasks that the daemon holds, those that it no longer does.
async fn lost(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    holding: &[Held],
) -> Result<Vec<task::Model>> {
    if holding.is_empty() {
        return Ok(Vec::new());
    }
    let daemon = viewer.require_daemon()?;
    let (workspace_id, daemon_id) = (daemon.workspace_id, daemon.daemon_id.clone());
    let tasks: Vec<Uuid> = holding.iter().map(|held| held.task_id.0).collect();
    let tokens: Vec<Uuid> = holding.iter().map(|held| held.claim_token.0).collect();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select task.*
           from unnest({tasks}::uuid[], {tokens}::uuid[]) as held (task_id, claim_token)
           join agent_task_queue as task on task.id = held.task_id
           join agent_runtime as runtime on runtime.id = task.runtime_id
           where task.workspace_id = {workspace_id}
               and runtime.daemon_id = {daemon_id}
               and (task.status not in ('dispatched', 'running') or task.claim_token is distinct from held.claim_token)"#
    );
    Ok(task::Entity::find().from_raw_sql(statement).all(db).await?)
}
