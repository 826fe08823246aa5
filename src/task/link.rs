//! Attaching the issue that a task brought about to the task, once.

use entity::id::{IssueId, TaskId};
use entity::task;
use sea_orm::{DatabaseTransaction, EntityTrait, Statement, raw_sql};

use super::{find, lock};
use crate::auth::Viewer;
use crate::error::{Error, Result, violated_constraint};

/// Attaches a task to an issue. One that is attached to it already is returned as it is; one that belongs to another issue
/// stays with that.
pub async fn link(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    task_id: TaskId,
    issue_id: IssueId,
) -> Result<task::Model> {
    viewer.require_host()?;
    let task = find(txn, viewer, task_id)
        .await?
        .ok_or(Error::NotFound("task"))?;
    // The task changes the line that it stands in, which a claim must not see half of.
    lock::agent(txn, task.agent_id).await?;
    let workspace_id = task.workspace_id;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent_task_queue as task
           set issue_id = {issue_id}
           where id = {task_id} and workspace_id = {workspace_id} and issue_id is null
               and not (status in ('dispatched', 'running') and exists (
                   select from agent_task_queue as active
                   where active.agent_id = task.agent_id and active.issue_id = {issue_id}
                       and by_index('at_work', active.status in ('dispatched', 'running'))))
           returning *"#
    );
    let linked = task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await
        .map_err(|error| match violated_constraint(&error) {
            Some("agent_task_queue_one_pending_per_issue_and_agent") => {
                Error::precondition("the agent has another task waiting on this issue")
            }
            _ => error.into(),
        })?;
    if let Some(linked) = linked {
        return Ok(linked);
    }
    let task = find(txn, viewer, task_id)
        .await?
        .ok_or(Error::NotFound("task"))?;
    match task.issue_id {
        Some(known) if known == issue_id => Ok(task),
        Some(_) => Err(Error::precondition("the task belongs to another issue")),
        None => Err(Error::precondition(
            "the agent is at work on this issue in another task",
        )),
    }
}
