//! Which failures earn a successor, and the one insert that makes it.

use entity::id::TaskId;
use entity::task;
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, Statement, raw_sql};

use super::{find, lock};
use crate::agent;
use crate::auth::Viewer;
use crate::error::{Error, Result};

/// The failures that say nothing of the work itself: the place where it ran was lost, or time ran out.
const RETRIED_REASONS: [&str; 3] = ["runtime_offline", "runtime_recovery", "timeout"];

/// Whether a failed task is tried again by itself: for a reason that lies outside the work, while tries are left, and
/// only where a person waits for it at an issue or in a chat.
fn earns_retry(task: &task::Model) -> bool {
    let reason_outside = task
        .failure_reason
        .as_deref()
        .is_some_and(|reason| RETRIED_REASONS.contains(&reason));
    let somebody_waits = task.issue_id.is_some() || task.chat_session_id.is_some();
    reason_outside
        && somebody_waits
        && task.autopilot_run_id.is_none()
        && task.attempt < task.max_attempts
}

/// Puts the next try of a task on the board that has just failed in this transaction, if it earns one. Where the issue
/// and agent already have another task that waits there is none, and the failure stands.
pub async fn after_failure(
    txn: &DatabaseTransaction,
    failed: &task::Model,
) -> Result<Option<task::Model>> {
    if earns_retry(failed) {
        insert(txn, failed).await
    } else {
        Ok(None)
    }
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
    let retried = insert(txn, &task).await?;
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

/// Inserts the next try. It goes on with the session of this one, unless that would poison it too.
async fn insert(txn: &DatabaseTransaction, parent: &task::Model) -> Result<Option<task::Model>> {
    let id = TaskId::generate();
    let (parent_id, workspace_id) = (parent.id, parent.workspace_id);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"insert into agent_task_queue (
               id, workspace_id, agent_id, runtime_id, issue_id, chat_session_id, autopilot_run_id, status, priority,
               trigger_comment_id, trigger_summary, context, session_id, work_dir, attempt, max_attempts,
               parent_task_id, is_leader_task)
           select {id}, workspace_id, agent_id, runtime_id, issue_id, chat_session_id, autopilot_run_id, 'queued',
               priority, trigger_comment_id, trigger_summary, context,
               case when not task_spoils_session(parent) then session_id end,
               work_dir, attempt + 1, max_attempts, id, is_leader_task
           from agent_task_queue as parent
           where id = {parent_id} and workspace_id = {workspace_id}
           on conflict (issue_id, agent_id) where status in ('queued', 'dispatched') do nothing
           returning *"#
    );
    Ok(task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?)
}
