//! Taking tasks off the board: one, or all of something.

use entity::id::{AgentId, ChatSessionId, CommentId, IssueId, TaskId};
use entity::task;
use sea_orm::sea_query::{Expr, ExprTrait, IntoCondition, Query};
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    QueryFilter, Statement, raw_sql,
};

use super::{active_by, find, is_active, lock};
use crate::agent;
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
           where id = {id} and workspace_id = {workspace_id}
               and by_index('none', status in ('queued', 'dispatched', 'running'))
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

/// Which active tasks are to be cancelled.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// Those of an issue, or of one agent among them.
    OfIssue(IssueId, Option<AgentId>),
    /// Those of an agent.
    OfAgent(AgentId),
    /// Those that a comment asked for.
    OfTriggerComment(CommentId),
    /// Those of a chat session.
    OfChatSession(ChatSessionId),
}

impl Which {
    /// As a condition.
    fn condition(self) -> Condition {
        match self {
            Self::OfIssue(issue_id, agent_id) => Condition::all()
                .add(task::Column::IssueId.eq(issue_id))
                .add_option(agent_id.map(|id| task::Column::AgentId.eq(id))),
            Self::OfAgent(id) => task::Column::AgentId.eq(id).into_condition(),
            Self::OfTriggerComment(id) => task::Column::TriggerCommentId
                .eq(id)
                .and(active_by("active_by_comment"))
                .into_condition(),
            Self::OfChatSession(id) => task::Column::ChatSessionId
                .eq(id)
                .and(active_by("active_by_chat"))
                .into_condition(),
        }
    }
}

/// Cancels active tasks that the viewer may see; returns every one that it cancelled, oldest first.
pub async fn all(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    which: Which,
) -> Result<Vec<task::Model>> {
    viewer.require_host()?;
    // The host application's ids may name nothing yet; an agent is Callboard's own.
    let mut concerned = Condition::all()
        .add(viewer.tasks())
        .add(which.condition())
        .add(is_active());
    if let Which::OfAgent(id) = which {
        let agent = agent::find(txn, viewer, id)
            .await?
            .ok_or(Error::NotFound("agent"))?;
        concerned = concerned
            .add(task::Column::WorkspaceId.eq(agent.workspace_id))
            .add(active_by("active"));
    }
    let statement = Query::select()
        .column(task::Column::AgentId)
        .distinct()
        .from(task::Entity)
        .cond_where(concerned.clone())
        .to_owned();
    let rows = txn.query_all(&statement).await?;
    let agents = rows
        .iter()
        .map(|row| Ok(row.try_get("", "agent_id")?))
        .collect::<Result<Vec<AgentId>>>()?;
    if agents.is_empty() {
        return Ok(Vec::new());
    }
    // Only tasks of the agents locked here: whatever another agent was given since came after the cancel.
    lock::agents(txn, &agents).await?;
    let mut cancelled = task::Entity::update_many()
        .col_expr(
            task::Column::Status,
            Expr::val(task::Status::Cancelled.to_value()),
        )
        .col_expr(task::Column::CompletedAt, Expr::cust("now()"))
        .filter(concerned)
        .filter(task::Column::AgentId.is_in(agents))
        .exec_with_returning(txn)
        .await?;
    cancelled.sort_by_key(|task| (task.created_at, task.id));
    Ok(cancelled)
}
