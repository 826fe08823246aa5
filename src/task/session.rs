//! The agent's own session: pinning it to a task, and finding the last one of an issue. Which one a task goes on with is a
//! rule of the database's.

use entity::id::{AgentId, IssueId, RuntimeId, WorkspaceId};
use entity::task;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, Statement, raw_sql,
};

use super::{Claim, find_of_daemon};
use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::limits;

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
           where id = {task_id} and workspace_id = {workspace_id}
               and by_index('none', status in ('dispatched', 'running'))
               and claim_token is not distinct from {token}
           returning *"#
    );
    task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?
        .ok_or(Error::ClaimConflict)
}

/// The session of the agent's last finished task on the issue, except where it ended in a way that would poison whoever
/// resumes it.
pub async fn last(
    db: &impl ConnectionTrait,
    workspace_id: WorkspaceId,
    agent_id: AgentId,
    issue_id: IssueId,
) -> Result<Option<Session>> {
    let statement: Statement = raw_sql!(
        Postgres,
        "select * from task_last_session({workspace_id}, {agent_id}, {issue_id})"
    );
    Ok(Session::find_by_statement(statement).one(db).await?)
}
