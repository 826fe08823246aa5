//! Setting an agent's status by hand, where it does not follow from its tasks.

use entity::agent::{self, Status};
use entity::id::AgentId;
use sea_orm::{ActiveEnum, DatabaseTransaction, EntityTrait, Statement, raw_sql};

use super::lock_to_change;
use crate::auth::Viewer;
use crate::error::{Error, Result};

/// Sets an agent's status until its tasks change it. Idle and working are not a matter of opinion: either of them means
/// whichever follows from the agent's tasks.
pub async fn set(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    id: AgentId,
    status: Status,
) -> Result<agent::Model> {
    let workspace_id = lock_to_change(txn, viewer, id).await?.workspace_id;
    let status = match status {
        Status::Idle | Status::Working => None,
        Status::Blocked | Status::Error | Status::Offline => Some(status.to_value()),
    };
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent
           set status = coalesce({status}, case when exists (
                   select from agent_task_queue as task
                   where task.agent_id = agent.id and by_index('at_work', task.status in ('dispatched', 'running'))
               ) then 'working' else 'idle' end),
               updated_at = now()
           where id = {id} and workspace_id = {workspace_id}
           returning *"#
    );
    agent::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?
        .ok_or(Error::NotFound("agent"))
}
