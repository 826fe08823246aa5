//! A page of the log: what happened after a cursor, as far as the log is complete, and no more than there is room for.

use std::collections::HashMap;
use std::sync::Arc;

use entity::id::TaskId;
use entity::{task, task_event};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryResult, Statement};

use super::reach::{Ends, Extent};
use super::{Audience, Batch, Cursor, Event};
use crate::db::{columns_of, read_row};
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
    /// Reads one; whether the log has what was asked for is told by it.
    pub(super) async fn read(db: &impl ConnectionTrait, after: Cursor) -> Result<Self> {
        let mut rows = rows(db, after).await?;
        // The last goes for all of them.
        let extent = rows.pop().ok_or_else(|| {
            Error::Internal(anyhow::anyhow!("a page of the event log has no end"))
        })?;
        let cursor = |name| extent.try_get("", name).map(Cursor);
        let horizon = cursor("horizon")?;
        let ends = Ends {
            pruned_through: cursor("pruned_through")?,
            drawn: cursor("drawn")?,
        };
        let oldest = rows.first();
        let age_secs = oldest.map(|oldest| oldest.try_get("", "age_secs"));
        let happened = rows.iter().map(Happened::from_row);
        let (events, more) = events(happened.collect::<Result<_, _>>()?);
        let batch = Batch {
            after,
            through: events.last().map_or(after, |last| last.cursor()),
            more,
            held_back: ends.drawn > horizon,
            age_secs: age_secs.transpose()?,
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

/// An event as it was read.
#[derive(Debug)]
struct Happened {
    event: task_event::Model,
    audience: Audience,
    /// Its task, if this is the first event about it.
    task: Option<task::Model>,
    /// How many events there were room for, but for their size.
    found: i64,
}

impl Happened {
    fn from_row(row: &QueryResult) -> Result<Self, DbErr> {
        let task_id = row.try_get::<Option<TaskId>>("", "id")?;
        Ok(Self {
            event: task_event::Model::from_query_result(row, "event_")?,
            audience: Audience::from_query_result(row, "")?,
            task: task_id.and_then(|id| task_in(row, id)),
            found: row.try_get("", "found")?,
        })
    }
}

/// The task in a row. One that cannot be read is to those who follow the log as one that is gone: it must not keep all of them
/// from what comes after it.
fn task_in(row: &QueryResult, id: TaskId) -> Option<task::Model> {
    match read_row(row) {
        Ok(task) => Some(task),
        Err(error) => {
            tracing::warn!(task.id = %id, error = %error, "cannot read a task; its events are told without it");
            None
        }
    }
}

/// The rows of a page, in one round trip.
async fn rows(db: &impl ConnectionTrait, after: Cursor) -> Result<Vec<QueryResult>, DbErr> {
    let event = columns_of::<task_event::Entity>("event", "event_");
    let sql = format!(
        "select {event}, visibility, owner_id, daemon_id, (task).*, found, horizon, pruned_through, drawn,
             extract(epoch from clock_timestamp() - (event).at)::double precision as age_secs
         from task_event_page($1, $2, $3)"
    );
    let values = [after.0.into(), EVENTS.into(), BYTES.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    db.query_all_raw(statement).await
}

/// The events of a page, each with its task, and whether there may be more.
fn events(happened: Vec<Happened>) -> (Vec<Arc<Event>>, bool) {
    let taken = i64::try_from(happened.len());
    let found = happened.first().map(|first| first.found);
    let more = found.is_some_and(|found| found >= EVENTS || taken.is_ok_and(|taken| taken < found));
    let mut tasks = HashMap::new();
    let event = |happened: Happened| {
        if let Some(task) = happened.task {
            tasks.insert(task.id, Arc::new(task));
        }
        let task = happened.event.task_id.and_then(|id| tasks.get(&id));
        Arc::new(Event {
            task: task.map(Arc::clone),
            row: happened.event,
            audience: happened.audience,
        })
    };
    (happened.into_iter().map(event).collect(), more)
}
