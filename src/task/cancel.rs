//! Taking tasks off the board: one, or all of an issue.

use entity::id::{AgentId, IssueId, TaskId, WorkspaceId};
use entity::task;
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, Statement, raw_sql};

use super::{find, is_active, lock};
use crate::auth::Viewer;
use crate::error::{Error, Result};

/// Cancels one task; one that has ended is returned as it is.
pub async fn one(txn: &DatabaseTransaction, viewer: &Viewer, id: TaskId) -> Result<task::Model> {
    viewer.require_host()?;
    let task = find(txn, viewer, id)
        .await?
        .ok_or(Error::NotFound("task"))?;
    lock::agent(txn, task.agent_id).await?;
    let workspace_id = task.workspace_id;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent_task_queue
           set status = 'cancelled', completed_at = now()
           where id = {id} and workspace_id = {workspace_id} and status in ('queued', 'dispatched', 'running')
           returning *"#
    );
    match task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?
    {
        Some(cancelled) => Ok(cancelled),
        None => find(txn, viewer, id).await?.ok_or(Error::NotFound("task")),
    }
}

/// Cancels the active tasks of an issue that the viewer may see, or of one agent among them; returns every one that it
/// cancelled, oldest first.
pub async fn by_issue(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    issue_id: IssueId,
    agent_id: Option<AgentId>,
) -> Result<Vec<task::Model>> {
    viewer.require_host()?;
    let mut which = Query::select();
    which
        .column(task::Column::AgentId)
        .column(task::Column::WorkspaceId)
        .distinct()
        .from(task::Entity)
        .cond_where(viewer.tasks())
        .and_where(task::Column::IssueId.eq(issue_id))
        .and_where(is_active());
    if let Some(agent_id) = agent_id {
        which.and_where(task::Column::AgentId.eq(agent_id));
    }
    let found = txn.query_all(&which).await?;
    let mut agents = Vec::with_capacity(found.len());
    let mut workspaces = Vec::with_capacity(found.len());
    for row in found {
        agents.push(AgentId(row.try_get("", "agent_id")?));
        workspaces.push(WorkspaceId(row.try_get("", "workspace_id")?).0);
    }
    // Only tasks of the agents locked here: whatever another agent was given since came after the cancel.
    lock::agents(txn, &agents).await?;
    let agents = lock::uuids(&agents);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent_task_queue
           set status = 'cancelled', completed_at = now()
           where issue_id = {issue_id} and agent_id = any({agents}) and workspace_id = any({workspaces})
               and status in ('queued', 'dispatched', 'running')
           returning *"#
    );
    let mut cancelled = task::Entity::find()
        .from_raw_sql(statement)
        .all(txn)
        .await?;
    cancelled.sort_by_key(|task| (task.created_at, task.id));
    Ok(cancelled)
}
