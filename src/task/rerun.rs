//! Doing an issue again, from scratch: somebody judged what came of it.

use entity::id::{AgentId, IssueId};
use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement, raw_sql};

use super::enqueue::{self, Enqueued, NewTask};
use super::lock;
use crate::agent;
use crate::auth::Viewer;
use crate::error::{Error, Result};

/// Puts a new task of the issue on the board for the agent, which may not resume an earlier session. What of the pair's
/// waits is cancelled; what runs goes on, and other agents are left alone.
pub async fn rerun(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    issue_id: IssueId,
    agent_id: AgentId,
) -> Result<Enqueued> {
    viewer.require_host()?;
    let agent = agent::find(txn, viewer, agent_id)
        .await?
        .ok_or(Error::NotFound("agent"))?;
    lock::agent(txn, agent_id).await?;
    // Or what is being put on the board at this moment would be taken for the new task.
    lock::agents_from_enqueues(txn, &[agent_id]).await?;
    let workspace_id = agent.workspace_id;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent_task_queue
           set status = 'cancelled', completed_at = now()
           where issue_id = {issue_id} and agent_id = {agent_id} and workspace_id = {workspace_id}
               and status in ('queued', 'dispatched')"#
    );
    txn.execute_raw(statement).await?;
    let new = NewTask {
        issue_id: Some(issue_id),
        force_fresh_session: true,
        ..NewTask::of(agent_id)
    };
    enqueue::enqueue(txn, viewer, new).await
}
