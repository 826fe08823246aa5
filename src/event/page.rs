//! A page of the log: what happened after a cursor, as far as the log is complete, and no more than there is room for.

use std::collections::HashMap;
use std::sync::Arc;

use entity::id::TaskId;
use entity::{task, task_event};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, Statement, raw_sql,
};

use super::reach::{Ends, Extent};
use super::{Audience, Batch, Cursor, Event, horizon};
use crate::error::{Error, Result};

/// How many events are read at once.
const EVENTS: i64 = 1000;

/// How many bytes of tasks are read at once, as they are stored and not compressed; one task at least. The worst of JSON takes
/// about eleven times as much in memory.
const BYTES: i64 = 1024 * 1024;

/// A page of the log.
#[derive(Debug)]
pub(super) struct Page {
    /// What happened.
    pub(super) batch: Arc<Batch>,
    /// Up to where the log was complete when this was read.
    horizon: Cursor,
    ends: Ends,
}

impl Page {
    /// Reads one; whether the log has what was asked for is seen afterwards.
    pub(super) async fn read(db: &impl ConnectionTrait, after: Cursor) -> Result<Self> {
        let horizon = horizon(db).await?;
        let (events, more) = if horizon > after {
            events(db, after, horizon).await?
        } else {
            (Vec::new(), false)
        };
        // Looked at last: what was dropped before the rows were read is known here.
        let ends = Ends::find(db).await?;
        let batch = Batch {
            after,
            through: events.last().map_or(after, |last| last.cursor()),
            more,
            held_back: ends.drawn > horizon,
            events,
        };
        Ok(Self {
            batch: Arc::new(batch),
            horizon,
            ends,
        })
    }

    /// What happened, if the log has all of it.
    pub(super) fn batch(&self) -> Result<Arc<Batch>> {
        let after = self.batch.after;
        if self.ends.has_all_after(after) && self.ends.has_reached(after) {
            return Ok(Arc::clone(&self.batch));
        }
        Err(Error::CursorExpired)
    }

    /// Whether the same would be read again: nothing was added since, and what it begins with was not dropped.
    pub(super) fn is_good_at(&self, extent: Extent) -> bool {
        extent.horizon == self.horizon && extent.pruned_through <= self.batch.after
    }

    /// Refuses a cursor that this log cannot resume from.
    pub(super) fn check_cursor(&self) -> Result<()> {
        self.ends.check(self.batch.after)
    }
}

#[derive(Debug, FromQueryResult)]
struct Row {
    #[sea_orm(nested)]
    event: task_event::Model,
    #[sea_orm(nested)]
    audience: Audience,
    /// How many events there were room for, but for their size.
    found: i64,
}

/// A page of the events between two positions, and whether there may be more.
async fn events(
    db: &impl ConnectionTrait,
    after: Cursor,
    to: Cursor,
) -> Result<(Vec<Arc<Event>>, bool)> {
    let (after, to) = (after.0, to.0);
    // A task is read once, however many events are about it, and looked up by its id, whatever the statistics say. What is
    // stored compressed has to be written out to know how long it is.
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select event.*, agent.visibility, agent.owner_id, runtime.daemon_id
           from (
               select event.*, count(*) over () as found,
                      sum(bytes) filter (where nth = 1) over (order by position rows between unbounded preceding and 1 preceding)
                      as bytes_before
               from (
                   select event.*, row_number() over (partition by event.task_id order by position) as nth, task.bytes
                   from (
                       select * from task_event
                       where position > {after} and position <= {to}
                       order by position
                       limit {EVENTS}
                   ) as event
                   left join lateral (
                       select case when pg_column_compression(context) is null
                                   then coalesce(pg_column_size(context), 0)
                                   else octet_length(context::text) end
                              + case when pg_column_compression(result) is null
                                     then coalesce(pg_column_size(result), 0)
                                     else octet_length(result::text) end
                              + coalesce(octet_length(trigger_summary), 0) + coalesce(octet_length(error), 0)
                              + coalesce(octet_length(progress_summary), 0) as bytes
                       from agent_task_queue as task
                       where task.id = event.task_id
                       offset 0
                   ) as task on true
               ) as event
           ) as event
           left join agent on agent.id = event.agent_id
           left join agent_runtime as runtime on runtime.id = event.runtime_id
           where coalesce(bytes_before, 0) < {BYTES}
           order by event.position"#
    );
    let rows = Row::find_by_statement(statement).all(db).await?;
    let (taken, found) = (i64::try_from(rows.len()), rows.first().map(|row| row.found));
    let more = found.is_some_and(|found| found >= EVENTS || taken.is_ok_and(|taken| taken < found));
    let tasks = tasks(db, &rows).await?;
    let event = |row: Row| {
        let task = row.event.task_id.and_then(|id| tasks.get(&id));
        Arc::new(Event {
            task: task.map(Arc::clone),
            row: row.event,
            audience: row.audience,
        })
    };
    Ok((rows.into_iter().map(event).collect(), more))
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
