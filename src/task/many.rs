//! Reading tasks by the thousand.
//!
//! What is derived for a row looks for each of its columns by name, and makes a message of every null that it finds, only to
//! drop it. Of a few rows nobody notices; of a workspace's active tasks it is most of the work. Here columns are taken in
//! their order, and of those that may be null only what somebody asked for: what a task is to know and what came of it may
//! be long.

use std::sync::Arc;

use entity::id::{
    AgentId, AutopilotRunId, ChatSessionId, ClaimRequestId, ClaimToken, CommentId, IssueId,
    RuntimeId, TaskId, WorkspaceId,
};
use entity::task::{Column, Model, Status};
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DbErr, IdenStatic, Iterable, QueryResult, RuntimeErr,
    Statement,
};
use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row, Type};
use uuid::Uuid;

use crate::error::Result;

/// Which columns of tasks are read, in their order. What is not read is null.
#[derive(Clone, Debug)]
pub struct Columns(Vec<(Column, bool)>);

impl Columns {
    /// Those that cannot be null, and those that are wanted.
    pub fn wanted(is_wanted: impl Fn(Column) -> bool) -> Self {
        let is_read = |column: &Column| !column.def().is_null() || is_wanted(*column);
        Self(
            Column::iter()
                .map(|column| (column, is_read(&column)))
                .collect(),
        )
    }

    /// Those that are read.
    pub(super) fn read(&self) -> impl Iterator<Item = Column> {
        let read = self.0.iter().filter(|(_, is_read)| *is_read);
        read.map(|(column, _)| *column)
    }

    /// The same, of a table or alias.
    pub(super) fn of(&self, table: &str) -> String {
        let columns = self
            .read()
            .map(|column| format!("{table}.{}", column.as_str()));
        columns.collect::<Vec<_>>().join(", ")
    }
}

/// The tasks that a statement selects, with these columns.
pub(super) async fn read(
    db: &impl ConnectionTrait,
    columns: &Columns,
    statement: Statement,
) -> Result<Vec<Model>, DbErr> {
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(|row| task(row, columns)).collect()
}

fn task(row: &QueryResult, columns: &Columns) -> Result<Model, DbErr> {
    let Some(row) = row.try_as_pg_row() else {
        return Err(DbErr::Type("a task is not of Postgres".to_owned()));
    };
    let mut values = Values {
        row,
        columns: columns.0.iter(),
        next: 0,
    };
    // In the order of the model, which is that of its columns.
    Ok(Model {
        id: TaskId(values.take()?),
        workspace_id: WorkspaceId(values.take()?),
        agent_id: AgentId(values.take()?),
        runtime_id: RuntimeId(values.take()?),
        issue_id: values.maybe::<Uuid>()?.map(IssueId),
        chat_session_id: values.maybe::<Uuid>()?.map(ChatSessionId),
        autopilot_run_id: values.maybe::<Uuid>()?.map(AutopilotRunId),
        trigger_comment_id: values.maybe::<Uuid>()?.map(CommentId),
        trigger_summary: values.maybe()?,
        status: Status::try_from_value(&values.take()?)?,
        priority: values.take()?,
        created_at: values.take()?,
        dispatched_at: values.maybe()?,
        started_at: values.maybe()?,
        completed_at: values.maybe()?,
        claim_token: values.maybe::<Uuid>()?.map(ClaimToken),
        claim_expires_at: values.maybe()?,
        claim_request_id: values.maybe::<Uuid>()?.map(ClaimRequestId),
        deliveries: values.take()?,
        attempt: values.take()?,
        max_attempts: values.take()?,
        parent_task_id: values.maybe::<Uuid>()?.map(TaskId),
        context: values.maybe()?,
        result: values.maybe()?,
        error: values.maybe()?,
        failure_reason: values.maybe()?,
        session_id: values.maybe()?,
        work_dir: values.maybe()?,
        force_fresh_session: values.take()?,
        is_leader_task: values.take()?,
        progress_summary: values.maybe()?,
        progress_step: values.maybe()?,
        progress_total: values.maybe()?,
        progress_at: values.maybe()?,
    })
}

/// The values of a row, one column after the other.
struct Values<'a, 'c> {
    row: &'a PgRow,
    columns: std::slice::Iter<'c, (Column, bool)>,
    /// Which of those that were read is next.
    next: usize,
}

impl<'a> Values<'a, '_> {
    /// The next, if it was read.
    fn maybe<T: Decode<'a, Postgres> + Type<Postgres>>(&mut self) -> Result<Option<T>, DbErr> {
        match self.columns.next() {
            Some((_, true)) => self.value(),
            Some((_, false)) | None => Ok(None),
        }
    }

    /// The next, which cannot be null.
    fn take<T: Decode<'a, Postgres> + Type<Postgres>>(&mut self) -> Result<T, DbErr> {
        self.columns.next();
        self.value()
    }

    fn value<T: Decode<'a, Postgres> + Type<Postgres>>(&mut self) -> Result<T, DbErr> {
        let column = self.next;
        self.next += 1;
        self.row
            .try_get(column)
            .map_err(|error| DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))))
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Columns};

    #[test]
    fn what_may_be_null_is_read_only_if_it_is_wanted() {
        let result = |column| matches!(column, Column::Result);
        let read = Columns::wanted(result).of("task");
        for (column, is_read) in [("id", true), ("result", true), ("context", false)] {
            let named = read
                .split(", ")
                .any(|name| name == format!("task.{column}"));
            assert_eq!(named, is_read, "{column}");
        }
    }
}
