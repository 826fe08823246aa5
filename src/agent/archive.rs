//! Archiving agents, which takes their work off the board, and restoring them, which does not put it back.

use entity::agent;
use entity::id::{AgentId, RuntimeId};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, Statement, raw_sql,
};
use uuid::Uuid;

use super::lock_to_change;
use crate::auth::{Viewer, require_all_found};
use crate::error::{Error, Result};
use crate::task::{cancel, lock};
use crate::{limits, runtime};

/// Archives an agent and cancels its active tasks. One that is archived already is returned as it is.
pub async fn archive(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    id: AgentId,
) -> Result<agent::Model> {
    let agent = lock_to_change(txn, viewer, id).await?;
    if agent.archived_at.is_some() {
        return Ok(agent);
    }
    let archived = archive_locked(txn, viewer, &[agent]).await?;
    archived.into_iter().next().ok_or(Error::NotFound("agent"))
}

/// Archives every agent of the runtimes and cancels their active tasks; returns those that it archived, oldest first. All
/// or nothing: one that the viewer may not change refuses the whole.
pub async fn archive_of_runtimes(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    runtime_ids: &[RuntimeId],
) -> Result<Vec<agent::Model>> {
    viewer.require_host()?;
    limits::list("runtimeIds", runtime_ids)?;
    let found = runtime::find_all(txn, viewer, runtime_ids).await?;
    require_all_found(runtime_ids, &found)?;
    let of_runtimes = || {
        agent::Entity::find()
            .filter(viewer.agents())
            .filter(agent::Column::RuntimeId.is_in(found.iter().copied()))
            .filter(agent::Column::ArchivedAt.is_null())
            .order_by_asc(agent::Column::CreatedAt)
            .order_by_asc(agent::Column::Id)
    };
    let ids: Vec<AgentId> = of_runtimes()
        .all(txn)
        .await?
        .iter()
        .map(|agent| agent.id)
        .collect();
    lock::agents(txn, &ids).await?;
    let agents = of_runtimes()
        .filter(agent::Column::Id.is_in(ids))
        .all(txn)
        .await?;
    for agent in &agents {
        viewer.require_manager_of(agent)?;
    }
    archive_locked(txn, viewer, &agents).await
}

/// Archives agents that this transaction has locked.
async fn archive_locked(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    agents: &[agent::Model],
) -> Result<Vec<agent::Model>> {
    let ids: Vec<AgentId> = agents.iter().map(|agent| agent.id).collect();
    lock::agents_from_enqueues(txn, &ids).await?;
    let workspaces: Vec<Uuid> = agents.iter().map(|agent| agent.workspace_id.0).collect();
    let (bound, archived_by) = (lock::uuids(&ids), viewer.member_id());
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent set archived_at = now(), archived_by = {archived_by}, updated_at = now()
           where id = any({bound}) and workspace_id = any({workspaces})"#
    );
    sea_orm::ConnectionTrait::execute_raw(txn, statement).await?;
    for id in &ids {
        cancel::all(txn, viewer, cancel::Which::OfAgent(*id)).await?;
    }
    Ok(agent::Entity::find()
        .filter(viewer.agents())
        .filter(agent::Column::Id.is_in(ids))
        .order_by_asc(agent::Column::CreatedAt)
        .order_by_asc(agent::Column::Id)
        .all(txn)
        .await?)
}

/// Makes an archived agent available again.
pub async fn restore(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    id: AgentId,
) -> Result<agent::Model> {
    let agent = lock_to_change(txn, viewer, id).await?;
    if agent.archived_at.is_none() {
        return Err(Error::precondition("the agent is not archived"));
    }
    let workspace_id = agent.workspace_id;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent set archived_at = null, archived_by = null, updated_at = now()
           where id = {id} and workspace_id = {workspace_id}
           returning *"#
    );
    agent::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?
        .ok_or(Error::NotFound("agent"))
}
