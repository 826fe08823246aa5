//! Reading the event log: what happened after a cursor, in the one order, without gaps.
//!
//! How the order comes about stands in the migration that makes the log. Reading takes two statements that must not
//! become one: first up to where the log is complete, then the rows up to there.

pub mod hub;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use entity::agent::Visibility;
use entity::id::{MemberId, TaskId};
use entity::{task, task_event};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, Statement, raw_sql,
};
use uuid::Uuid;

use crate::auth::Viewer;
use crate::error::{Error, Result};

/// How many events are read at once.
const PAGE_EVENTS: i64 = 1000;

/// A position in the event log: everything up to it, and nothing after it. Later is never smaller. The same on every
/// server, and good across restarts, for as long as the log reaches back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub i64);

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct NotACursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Fixed width, so that the order of the texts is the order of the cursors.
        write!(f, "c{:016x}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let digits = text
            .strip_prefix('c')
            .filter(|digits| digits.len() == 16)
            .ok_or(NotACursor)?;
        if !digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        {
            return Err(NotACursor);
        }
        i64::from_str_radix(digits, 16)
            .map(Self)
            .map_err(|_out_of_range| NotACursor)
    }
}

/// An event with what subscribers need of its surroundings, read once for all of them.
#[derive(Debug)]
pub struct Event {
    /// What happened.
    pub row: task_event::Model,
    /// The task as it is; absent where the event is not about one, or the task is gone.
    pub task: Option<Arc<task::Model>>,
    /// Who may see it.
    pub audience: Audience,
}

/// Who may see an event, besides being of its workspace.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Audience {
    /// The agent's visibility; absent where the event is a runtime's.
    pub visibility: Option<Visibility>,
    /// The agent's owner.
    pub owner_id: Option<MemberId>,
    /// The runtime's daemon.
    pub daemon_id: Option<String>,
}

impl Event {
    /// Its cursor: everything up to it, itself included.
    pub const fn cursor(&self) -> Cursor {
        Cursor(self.row.position)
    }

    /// Whether the viewer may see it.
    pub fn is_visible_to(&self, viewer: &Viewer) -> bool {
        // Without an agent it is a runtime's, and those are hidden from other daemons only.
        let visibility = self.audience.visibility.unwrap_or(Visibility::Workspace);
        let daemon_id = self.audience.daemon_id.as_deref().unwrap_or_default();
        viewer.sees_workspace(self.row.workspace_id)
            && viewer.sees_agent(visibility, self.audience.owner_id, daemon_id)
    }
}

/// A stretch of the log: all events after one cursor, up to another.
#[derive(Debug)]
pub struct Batch {
    /// Where it begins, exclusive.
    pub after: Cursor,
    /// Where it ends, inclusive: its last event, or where it begins.
    pub through: Cursor,
    /// Up to where the log was complete when this was read.
    pub horizon: Cursor,
    /// What happened between.
    pub events: Vec<Arc<Event>>,
    /// Whether the log went on when this was read.
    pub more: bool,
}

/// Up to where the log is complete. Whatever reads rows up to there has to be a later statement.
pub async fn horizon(db: &impl ConnectionTrait) -> Result<Cursor> {
    let statement: Statement = raw_sql!(Postgres, "select task_event_horizon()");
    let row = db
        .query_one_raw(statement)
        .await?
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("a function returned no row")))?;
    Ok(Cursor(row.try_get_by_index(0)?))
}

/// The last event up to where the log is complete: the cursor that nothing has happened after.
///
/// The horizon itself is nobody's cursor. The numbers between the last event and it belong to transactions that were
/// rolled back, and a crash of Postgres may give those away anew: it takes back what no commit has flushed.
pub async fn tip(db: &impl ConnectionTrait) -> Result<Cursor> {
    let horizon = horizon(db).await?.0;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select greatest((select max(position) from task_event where position <= {horizon}), through)
           from task_event_pruned"#
    );
    let row = db
        .query_one_raw(statement)
        .await?
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("task_event_pruned has no row")))?;
    Ok(Cursor(row.try_get_by_index(0)?))
}

/// The last position that was given away, to a commit or to a transaction that is still under way.
pub(crate) async fn drawn(db: &impl ConnectionTrait) -> Result<Cursor> {
    let statement: Statement = raw_sql!(Postgres, "select last_value from task_event_position");
    let row = db
        .query_one_raw(statement)
        .await?
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("a sequence returned no row")))?;
    Ok(Cursor(row.try_get_by_index(0)?))
}

/// Refuses a cursor that this log cannot resume from.
pub async fn check_cursor(db: &impl ConnectionTrait, cursor: Cursor) -> Result<()> {
    let statement: Statement = raw_sql!(
        Postgres,
        "select through, (select last_value from task_event_position) as drawn from task_event_pruned"
    );
    let row = db
        .query_one_raw(statement)
        .await?
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("task_event_pruned has no row")))?;
    let (pruned_through, drawn): (i64, i64) =
        (row.try_get("", "through")?, row.try_get("", "drawn")?);
    if cursor.0 < pruned_through {
        return Err(Error::CursorExpired);
    }
    if cursor.0 < 0 || cursor.0 > drawn {
        return Err(Error::bad_input("after", "is not a cursor of this log"));
    }
    Ok(())
}

#[derive(Debug, FromQueryResult)]
struct Row {
    #[sea_orm(nested)]
    event: task_event::Model,
    #[sea_orm(nested)]
    audience: Audience,
}

/// Reads the log after a cursor: a page of it, as far as it is complete.
pub async fn read(db: &impl ConnectionTrait, after: Cursor) -> Result<Batch> {
    let horizon = horizon(db).await?;
    if horizon <= after {
        return Ok(Batch {
            after,
            through: after,
            horizon,
            events: Vec::new(),
            more: false,
        });
    }
    let (from, to) = (after.0, horizon.0);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select event.*, agent.visibility, agent.owner_id, runtime.daemon_id
           from (
               select * from task_event
               where position > {from} and position <= {to}
               order by position
               limit {PAGE_EVENTS}
           ) as event
           left join agent on agent.id = event.agent_id
           left join agent_runtime as runtime on runtime.id = event.runtime_id
           order by event.position"#
    );
    let rows = Row::find_by_statement(statement).all(db).await?;
    let more = i64::try_from(rows.len()).is_ok_and(|count| count >= PAGE_EVENTS);
    let through = rows
        .last()
        .map_or(after, |last| Cursor(last.event.position));
    let tasks = tasks(db, &rows).await?;
    let events = rows
        .into_iter()
        .map(|row| {
            let task = row
                .event
                .task_id
                .and_then(|id| tasks.get(&id))
                .map(Arc::clone);
            Arc::new(Event {
                row: row.event,
                task,
                audience: row.audience,
            })
        })
        .collect();
    Ok(Batch {
        after,
        through,
        horizon,
        events,
        more,
    })
}

/// The tasks that events are about, as they are.
async fn tasks(
    db: &impl ConnectionTrait,
    rows: &[Row],
) -> Result<HashMap<TaskId, Arc<task::Model>>> {
    let mut ids: Vec<TaskId> = rows.iter().filter_map(|row| row.event.task_id).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let tasks = task::Entity::find()
        .filter(task::Column::Id.is_in(ids))
        .all(db)
        .await?;
    Ok(tasks
        .into_iter()
        .map(|task| (task.id, Arc::new(task)))
        .collect())
}

/// The lives of tasks, oldest first, while the log keeps them.
pub async fn of_tasks(
    db: &impl ConnectionTrait,
    tasks: &[TaskId],
) -> Result<Vec<task_event::Model>> {
    let ids: Vec<Uuid> = tasks.iter().map(|id| id.0).collect();
    let statement: Statement = raw_sql!(
        Postgres,
        "select * from task_event where task_id = any({ids}) order by position"
    );
    Ok(task_event::Entity::find()
        .from_raw_sql(statement)
        .all(db)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_the_way_through_text_in_their_order() {
        let cursors = [0, 1, 9, 10, 255, 256, i64::MAX].map(Cursor);
        for pair in cursors.windows(2) {
            assert!(pair[0].to_string() < pair[1].to_string());
        }
        for cursor in cursors {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn what_is_not_a_cursor_is_refused() {
        for text in [
            "",
            "c",
            "c0",
            "c00000000000000000",
            "cffffffffffffffff",
            "c000000000000000G",
            "d0000000000000001",
            "c+00000000000000f",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(NotACursor), "{text}");
        }
    }
}
