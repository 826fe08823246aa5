//! The next try of a task, by itself or by hand. Which failures earn one is a rule of the database's (`task_earns_retry`), and
//! so is the one insert that makes it.

use entity::id::TaskId;
use entity::task;
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, Statement, raw_sql};
use uuid::Uuid;

use super::{find, lock};
use crate::agent;
use crate::auth::Viewer;
use crate::error::{Error, Result};

/// Puts the next tries on the board of tasks that have just failed in this transaction: of those that earn one. Where the
/// issue and agent already have another task that waits there is none, and the failure stands.
pub async fn after_failure(
    txn: &DatabaseTransaction,
    failed: &[task::Model],
) -> Result<Vec<task::Model>> {
    if failed.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = failed.iter().map(|_| TaskId::generate().0).collect();
    let failed: Vec<Uuid> = failed.iter().map(|task| task.id.0).collect();
    let statement: Statement = raw_sql!(
        Postgres,
        "select * from task_try_again_if_earned({ids}, {failed})"
    );
    Ok(task::Entity::find()
        .from_raw_sql(statement)
        .all(txn)
        .await?)
}

/// The same for tasks that lapsed, where nobody asks which those are: what cannot be read of a task is copied all the same.
pub(super) async fn after_lapse(txn: &DatabaseTransaction, lapsed: &[TaskId]) -> Result<()> {
    if lapsed.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = lapsed.iter().map(|_| TaskId::generate().0).collect();
    let lapsed: Vec<Uuid> = lapsed.iter().map(|id| id.0).collect();
    let statement: Statement = raw_sql!(
        Postgres,
        "select id from task_try_again_if_earned({ids}, {lapsed})"
    );
    txn.execute_raw(statement).await?;
    Ok(())
}

/// Puts the next try of a task on the board because somebody asks for it: also of one that was cancelled, and beyond the
/// number of tries that it may have by itself.
pub async fn by_hand(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    id: TaskId,
) -> Result<task::Model> {
    viewer.require_host()?;
    let task = find(txn, viewer, id)
        .await?
        .ok_or(Error::NotFound("task"))?;
    lock::agent(txn, task.agent_id).await?;
    let task = find(txn, viewer, id)
        .await?
        .ok_or(Error::NotFound("task"))?;
    match task.status {
        task::Status::Failed | task::Status::Cancelled => {}
        task::Status::Completed => {
            return Err(Error::precondition(
                "the task has completed; rerun its issue instead",
            ));
        }
        task::Status::Queued | task::Status::Dispatched | task::Status::Running => {
            return Err(Error::precondition("the task has not ended"));
        }
    }
    let agent = agent::find(txn, viewer, task.agent_id)
        .await?
        .ok_or(Error::NotFound("agent"))?;
    if agent.archived_at.is_some() {
        return Err(Error::precondition("the agent is archived"));
    }
    if has_active_successor(txn, &task).await? {
        return Err(Error::precondition("the task is being retried"));
    }
    let retried = insert(txn, task.id).await?;
    retried.ok_or_else(|| Error::precondition("the agent has another task waiting on this issue"))
}

/// Whether a next try of the task is under way.
async fn has_active_successor(txn: &DatabaseTransaction, task: &task::Model) -> Result<bool> {
    let (id, agent_id, workspace_id) = (task.id, task.agent_id, task.workspace_id);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select id from agent_task_queue
           where parent_task_id = {id} and agent_id = {agent_id} and workspace_id = {workspace_id}
               and by_index('none', status in ('queued', 'dispatched', 'running'))
           limit 1"#
    );
    Ok(txn.query_one_raw(statement).await?.is_some())
}

/// Inserts the next try, unless another task is in its way.
async fn insert(txn: &DatabaseTransaction, parent: TaskId) -> Result<Option<task::Model>> {
    let (ids, parents) = (vec![TaskId::generate().0], vec![parent.0]);
    let statement: Statement = raw_sql!(Postgres, "select * from task_try_again({ids}, {parents})");
    Ok(task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?)
}
