//! From where to where the log reaches.

use sea_orm::{ConnectionTrait, QueryResult, Statement, raw_sql};

use super::Cursor;
use crate::error::{Error, Result};

/// Up to where the log is complete. Whatever reads rows up to there has to be a later statement.
pub async fn horizon(db: &impl ConnectionTrait) -> Result<Cursor> {
    let statement: Statement = raw_sql!(Postgres, "select task_event_horizon()");
    Ok(Cursor(one(db, statement).await?.try_get_by_index(0)?))
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
    Ok(Cursor(one(db, statement).await?.try_get_by_index(0)?))
}

/// Where the log begins and where its numbers end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// What has been dropped: everything up to here.
    pub(super) pruned_through: Cursor,
    /// The last position that was given away, to a commit or to a transaction that is still under way.
    pub(super) drawn: Cursor,
}

impl Ends {
    /// Whether everything after the cursor is still there.
    pub(super) fn has_all_after(self, cursor: Cursor) -> bool {
        cursor >= self.pruned_through
    }

    /// Whether the cursor can be one of this log. One that lies ahead is of another log, or of this one before it was
    /// taken back to a backup.
    pub(super) fn has_reached(self, cursor: Cursor) -> bool {
        cursor.0 >= 0 && cursor <= self.drawn
    }

    /// Refuses a cursor that this log cannot resume from.
    pub(super) fn check(self, cursor: Cursor) -> Result<()> {
        if !self.has_all_after(cursor) {
            return Err(Error::CursorExpired);
        }
        if !self.has_reached(cursor) {
            return Err(Error::bad_input("after", "is not a cursor of this log"));
        }
        Ok(())
    }
}

/// From where to where the log is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// What has been dropped: everything up to here.
    pub(super) pruned_through: Cursor,
    /// Up to where it is complete.
    pub(super) horizon: Cursor,
}

impl Extent {
    /// Looks.
    pub(super) async fn find(db: &impl ConnectionTrait) -> Result<Self> {
        let statement: Statement = raw_sql!(
            Postgres,
            "select through, task_event_horizon() as horizon from task_event_pruned"
        );
        let row = one(db, statement).await?;
        Ok(Self {
            pruned_through: Cursor(row.try_get("", "through")?),
            horizon: Cursor(row.try_get("", "horizon")?),
        })
    }
}

/// Moves the numbers past the log where they lie behind it, as in a database that was put together from parts of different
/// age; says by how many. What was given such a number would be told to nobody.
///
/// The numbers are drawn, not set: drawing never takes back what another has drawn meanwhile.
pub async fn mend(db: &impl ConnectionTrait) -> Result<i64> {
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select count(nextval('task_event_position'))
           from (
               select greatest(through, (select max(position) from task_event)) as last from task_event_pruned
           ) as log, task_event_position, generate_series(last_value + 1, log.last)"#
    );
    Ok(one(db, statement).await?.try_get_by_index(0)?)
}

/// The one row of a statement that always has one.
async fn one(db: &impl ConnectionTrait, statement: Statement) -> Result<QueryResult> {
    db.query_one_raw(statement).await?.ok_or_else(|| {
        Error::Internal(anyhow::anyhow!(
            "the event log does not say how far it reaches"
        ))
    })
}
