//! Agents: making, changing, archiving and finding them. What an agent is doing follows from its tasks; the database
//! keeps it.

pub mod archive;
mod check;
pub mod create;
pub mod history;
pub mod status;
pub mod update;

use entity::agent;
use entity::id::{AgentId, RuntimeId, WorkspaceId};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
};

use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::task::lock;

/// Finds an agent that the viewer may see.
pub async fn find(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    id: AgentId,
) -> Result<Option<agent::Model>> {
    Ok(agent::Entity::find_by_id(id)
        .filter(viewer.agents())
        .one(db)
        .await?)
}

/// The agents of a workspace that the viewer may see, oldest first.
pub async fn list(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    workspace_id: WorkspaceId,
    archived: Archived,
) -> Result<Vec<agent::Model>> {
    let mut agents = agent::Entity::find()
        .filter(viewer.agents())
        .filter(agent::Column::WorkspaceId.eq(workspace_id))
        .order_by_asc(agent::Column::CreatedAt)
        .order_by_asc(agent::Column::Id);
    if archived == Archived::LeftOut {
        agents = agents.filter(agent::Column::ArchivedAt.is_null());
    }
    Ok(agents.all(db).await?)
}

/// The agents on runtimes that the viewer may see and that are not archived, oldest first.
pub async fn of_runtimes(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    runtimes: &[RuntimeId],
) -> Result<Vec<agent::Model>> {
    Ok(agent::Entity::find()
        .filter(viewer.agents())
        .filter(agent::Column::RuntimeId.is_in(runtimes.iter().copied()))
        .filter(Expr::cust(
            r#""agent"."workspace_id" = (select workspace_id from agent_runtime where id = "agent"."runtime_id")"#,
        ))
        .filter(agent::Column::ArchivedAt.is_null())
        .order_by_asc(agent::Column::CreatedAt)
        .order_by_asc(agent::Column::Id)
        .all(db)
        .await?)
}

/// Whether a list has the archived agents in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archived {
    /// It does.
    Included,
    /// It does not.
    LeftOut,
}

/// Finds an agent that the viewer may change, and locks it to the end of the transaction.
async fn lock_to_change(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    id: AgentId,
) -> Result<agent::Model> {
    viewer.require_host()?;
    let agent = find(txn, viewer, id)
        .await?
        .ok_or(Error::NotFound("agent"))?;
    viewer.require_manager_of(&agent)?;
    lock::agent(txn, id).await?;
    find(txn, viewer, id).await?.ok_or(Error::NotFound("agent"))
}
