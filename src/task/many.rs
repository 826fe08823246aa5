//! Reading tasks by the thousand.
//!
//! What is derived for a row looks for each of its columns by name, and makes a message of every null that it finds, only to
//! drop it. Of a few rows nobody notices; of a workspace's active tasks it is most of the work. Here columns are taken in
//! their order.

use std::sync::Arc;

use entity::id::{
    AgentId, AutopilotRunId, ChatSessionId, ClaimRequestId, ClaimToken, CommentId, IssueId,
    RuntimeId, TaskId, WorkspaceId,
};
use entity::task::{Column, Model, Status};
use sea_orm::{
    ActiveEnum, ConnectionTrait, DbErr, IdenStatic, Iterable, QueryResult, RuntimeErr, Statement,
};
use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row, Type};
use uuid::Uuid;

use crate::error::Result;

/// The columns of a table or alias, in the order in which they are read; a select of the entity has them like this by
/// itself.
pub(super) fn columns(table: &str) -> String {
    let columns = Column::iter().map(|column| format!("{table}.{}", column.as_str()));
    columns.collect::<Vec<_>>().join(", ")
}

/// The tasks that a statement selects, with the columns in their order.
pub(super) async fn read(
    db: &impl ConnectionTrait,
    statement: Statement,
) -> Result<Vec<Model>, DbErr> {
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(task).collect()
}

fn task(row: &QueryResult) -> Result<Model, DbErr> {
    let Some(row) = row.try_as_pg_row() else {
        return Err(DbErr::Type("a task is not of Postgres".to_owned()));
    };
    let mut columns = Columns { row, next: 0 };
    // In the order of the model, which is that of its columns.
    Ok(Model {
        id: TaskId(columns.take()?),
        workspace_id: WorkspaceId(columns.take()?),
        agent_id: AgentId(columns.take()?),
        runtime_id: RuntimeId(columns.take()?),
        issue_id: columns.take::<Option<Uuid>>()?.map(IssueId),
        chat_session_id: columns.take::<Option<Uuid>>()?.map(ChatSessionId),
        autopilot_run_id: columns.take::<Option<Uuid>>()?.map(AutopilotRunId),
        trigger_comment_id: columns.take::<Option<Uuid>>()?.map(CommentId),
        trigger_summary: columns.take()?,
        status: Status::try_from_value(&columns.take()?)?,
        priority: columns.take()?,
        created_at: columns.take()?,
        dispatched_at: columns.take()?,
        started_at: columns.take()?,
        completed_at: columns.take()?,
        claim_token: columns.take::<Option<Uuid>>()?.map(ClaimToken),
        claim_expires_at: columns.take()?,
        claim_request_id: columns.take::<Option<Uuid>>()?.map(ClaimRequestId),
        deliveries: columns.take()?,
        attempt: columns.take()?,
        max_attempts: columns.take()?,
        parent_task_id: columns.take::<Option<Uuid>>()?.map(TaskId),
        context: columns.take()?,
        result: columns.take()?,
        error: columns.take()?,
        failure_reason: columns.take()?,
        session_id: columns.take()?,
        work_dir: columns.take()?,
        force_fresh_session: columns.take()?,
        is_leader_task: columns.take()?,
        progress_summary: columns.take()?,
        progress_step: columns.take()?,
        progress_total: columns.take()?,
        progress_at: columns.take()?,
    })
}

/// The columns of a row, one after the other.
struct Columns<'a> {
    row: &'a PgRow,
    next: usize,
}

impl<'a> Columns<'a> {
    fn take<T: Decode<'a, Postgres> + Type<Postgres>>(&mut self) -> Result<T, DbErr> {
        let column = self.next;
        self.next += 1;
        self.row
            .try_get(column)
            .map_err(|error| DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))))
    }
}
