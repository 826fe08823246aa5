//! What is new in transcripts, for those who read along.

use std::collections::HashMap;

use entity::id::TaskId;
use entity::task_message;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, raw_sql};
use uuid::Uuid;

use crate::error::Result;

/// The last line of each of the tasks that have any; who may see them was decided before.
pub async fn last_lines(
    db: &impl ConnectionTrait,
    tasks: &[TaskId],
) -> Result<HashMap<TaskId, i32>> {
    let tasks: Vec<Uuid> = tasks.iter().map(|id| id.0).collect();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select task.id, last.seq
           from unnest({tasks}::uuid[]) as task (id)
           cross join lateral (
               select seq from task_message where task_id = task.id order by seq desc limit 1
           ) as last"#
    );
    let rows = db.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
        .collect()
}

/// A page of lines.
#[derive(Debug)]
pub struct Page {
    /// The lines that can be shown, in order.
    pub lines: Vec<task_message::Model>,
    /// Whether there is more to read at once.
    pub more: bool,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    #[sea_orm(nested)]
    line: task_message::Model,
    kept_back: bool,
}

/// What comes after a line, so far as it can be shown in order.
///
/// Two batches that a daemon sends at once may be committed the later first. So where a place has been left out, what comes
/// behind it is kept back for two seconds.
pub async fn page(
    db: &impl ConnectionTrait,
    task_id: TaskId,
    after_seq: i32,
    rows: i32,
) -> Result<Page> {
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select *, bool_or(behind_young_gap) over (order by seq) as kept_back
           from (
               select *, seq - lag(seq, 1, {after_seq}) over (order by seq) > 1
                       and at > now() - interval '2 seconds' as behind_young_gap
               from task_message
               where task_id = {task_id} and seq > {after_seq}
               order by seq
               limit {rows}
           ) as line
           order by seq"#
    );
    let found = Row::find_by_statement(statement).all(db).await?;
    let more = i32::try_from(found.len()).is_ok_and(|count| count >= rows);
    let kept_back = found.last().is_some_and(|last| last.kept_back);
    let shown = found.into_iter().take_while(|row| !row.kept_back);
    Ok(Page {
        lines: shown.map(|row| row.line).collect(),
        more: more && !kept_back,
    })
}
