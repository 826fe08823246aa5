//! The agent's own session: pinning it to a task, and finding the one to go on with.

use entity::id::{AgentId, IssueId, RuntimeId, WorkspaceId};
use entity::task;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, QueryFilter,
    Statement, raw_sql,
};

use super::{Claim, find_of_daemon};
use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::limits;

/// The failures after which a conversation is beyond repair.
const SPOILING_REASONS: [&str; 3] = [
    "iteration_limit",
    "agent_fallback_message",
    "api_invalid_request",
];

/// A session that can be gone on with.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Session {
    /// The agent's own name for it.
    pub session_id: String,
    /// Where the agent worked.
    pub work_dir: Option<String>,
    /// On which runtime.
    pub runtime_id: RuntimeId,
}

/// Notes the session and directory of a task under way, so that they outlive a crash. What is absent is kept.
pub async fn pin(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    claim: Claim,
    session_id: Option<String>,
    work_dir: Option<String>,
) -> Result<task::Model> {
    limits::line("input.sessionId", session_id.as_deref())?;
    limits::line("input.workDir", work_dir.as_deref())?;
    let Claim { task_id, token } = claim;
    let workspace_id = find_of_daemon(txn, viewer.require_daemon()?, task_id)
        .await?
        .workspace_id;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent_task_queue
           set session_id = coalesce({session_id}, session_id), work_dir = coalesce({work_dir}, work_dir)
           where id = {task_id} and workspace_id = {workspace_id} and status in ('dispatched', 'running')
               and claim_token is not distinct from {token}
           returning *"#
    );
    task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?
        .ok_or(Error::ClaimConflict)
}

/// The session that a claimed task goes on with: the last one of its agent on its issue, or the one that a retry
/// brought along, if it was made on the same runtime and the task does not ask for a fresh one.
pub async fn to_resume(db: &impl ConnectionTrait, task: &task::Model) -> Result<Option<Session>> {
    if task.force_fresh_session {
        return Ok(None);
    }
    let last = match task.issue_id {
        Some(issue_id) => last(db, task.workspace_id, task.agent_id, issue_id).await?,
        None => None,
    };
    let session = match last {
        Some(last) => Some(last),
        None => brought_along(db, task).await?,
    };
    Ok(session.filter(|session| session.runtime_id == task.runtime_id))
}

/// The session that a retry brought along from the try before. One that is spoilt is not handed on to begin with; this
/// looks again because retries are put on the board by plain SQL too.
async fn brought_along(db: &impl ConnectionTrait, task: &task::Model) -> Result<Option<Session>> {
    let Some(session_id) = task.session_id.clone() else {
        return Ok(None);
    };
    if let Some(id) = task.parent_task_id {
        let parent = task::Entity::find_by_id(id)
            .filter(task::Column::WorkspaceId.eq(task.workspace_id))
            .one(db)
            .await?;
        if parent.is_some_and(|parent| spoils_session(&parent)) {
            return Ok(None);
        }
    }
    Ok(Some(Session {
        session_id,
        work_dir: task.work_dir.clone(),
        runtime_id: task.runtime_id,
    }))
}

/// Whether a task ended in a way that would poison whoever resumes its session; the rule of [`last`].
pub(crate) fn spoils_session(task: &task::Model) -> bool {
    let reason = task.failure_reason.as_deref().unwrap_or_default();
    let error = task
        .error
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase();
    SPOILING_REASONS.contains(&reason)
        || error.contains("400") && error.contains("invalid_request_error")
}

/// The session of the agent's last finished task on the issue, except where it ended in a way that would poison
/// whoever resumes it.
pub async fn last(
    db: &impl ConnectionTrait,
    workspace_id: WorkspaceId,
    agent_id: AgentId,
    issue_id: IssueId,
) -> Result<Option<Session>> {
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select session_id, work_dir, runtime_id
           from agent_task_queue
           where agent_id = {agent_id} and issue_id = {issue_id} and workspace_id = {workspace_id}
               and session_id is not null
               and (status = 'completed'
                    or status = 'failed'
                        and coalesce(failure_reason, '')
                            not in ('iteration_limit', 'agent_fallback_message', 'api_invalid_request')
                        and not (coalesce(error, '') ilike '%400%'
                                 and coalesce(error, '') ilike '%invalid_request_error%'))
           order by coalesce(completed_at, started_at, dispatched_at, created_at) desc
           limit 1"#
    );
    Ok(Session::find_by_statement(statement).one(db).await?)
}
