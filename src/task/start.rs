//! Starting a claimed task: locks first, decides after, so that starts that race are answered alike.

use entity::task;
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, Statement, raw_sql};

use super::{Claim, find_of_daemon};
use crate::auth::Viewer;
use crate::error::{Error, Result};

/// Takes up a claimed task; the lease has served its purpose then. Repeated with the same token it returns the running
/// task with its first `started_at`.
pub async fn start(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    claim: Claim,
) -> Result<task::Model> {
    let daemon = viewer.require_daemon()?;
    let Claim { task_id, token } = claim;
    let workspace_id = find_of_daemon(txn, daemon, task_id).await?.workspace_id;
    let statement: Statement = raw_sql!(
        Postgres,
        "select id from agent_task_queue where id = {task_id} and workspace_id = {workspace_id} for no key update"
    );
    txn.query_one_raw(statement).await?;
    // With a token it must be the row's, under a lease that holds. Without one the row must have none.
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent_task_queue
           set status = 'running', started_at = coalesce(started_at, now()), claim_expires_at = null
           where id = {task_id} and workspace_id = {workspace_id} and by_index('none', status = 'dispatched')
               and claim_token is not distinct from {token}
               and ({token} is null or claim_expires_at >= now())
           returning *"#
    );
    if let Some(task) = task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?
    {
        return Ok(task);
    }
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select * from agent_task_queue
           where id = {task_id} and workspace_id = {workspace_id}
               and by_index('none', status = 'running') and claim_token = {token}"#
    );
    task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?
        .ok_or(Error::ClaimConflict)
}
