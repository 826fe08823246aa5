//! Reading the event log: what happened after a cursor, in the one order, without gaps.
//!
//! How the order comes about stands in the migration that makes the log. Reading takes two statements that must not
//! become one: first up to where the log is complete, then the rows up to there. A third tells whether what was asked for
//! was still there. A function of the database runs the three.

mod catch_up;
mod cursor;
mod follower;
pub mod hub;
mod page;
mod parcel;
mod reach;
pub mod shared;
mod sight;
mod weight;

use std::sync::Arc;

use entity::agent::Visibility;
use entity::id::{MemberId, TaskId, WorkspaceId};
use entity::{task, task_event};
use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult, Statement, raw_sql};
use uuid::Uuid;

use self::page::Page;
use crate::error::Result;

pub use cursor::{Cursor, NotACursor};
pub use follower::{Change, Follower, Watcher};
pub use reach::{horizon, mend, tip};
pub use sight::Sight;

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

/// Who may see something, besides being of its workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromQueryResult)]
pub struct Audience {
    /// The agent's visibility; absent where it is a runtime's.
    pub visibility: Option<Visibility>,
    /// The agent's owner.
    pub owner_id: Option<MemberId>,
    /// The runtime's daemon.
    pub daemon_id: Option<String>,
}

impl Audience {
    /// Whether a member may see it who is not an owner or admin of the workspace.
    fn is_open_to(&self, member_id: MemberId) -> bool {
        // Without an agent it is a runtime's, and those are hidden from other daemons only.
        self.visibility != Some(Visibility::Private) || self.owner_id == Some(member_id)
    }
}

impl Event {
    /// Its cursor: everything up to it, itself included.
    pub const fn cursor(&self) -> Cursor {
        Cursor(self.row.position)
    }

    /// Whether it is to be seen.
    pub fn is_in(&self, sight: &Sight) -> bool {
        sight.has(self.row.workspace_id, &self.audience)
    }
}

/// A stretch of the log: all events after one cursor, up to another.
#[derive(Debug)]
pub struct Batch {
    /// Where it begins, exclusive.
    pub after: Cursor,
    /// Where it ends, inclusive: its last event, or where it begins.
    pub through: Cursor,
    /// What happened between.
    pub events: Vec<Arc<Event>>,
    /// Whether the log went on when this was read.
    pub more: bool,
    /// Whether a writer that was still under way held back events behind it.
    pub held_back: bool,
    /// How long before it was read its first event was written, by the database's clock; none where nothing was read.
    pub age_secs: Option<f64>,
}

impl Batch {
    /// Nothing, at a cursor.
    const fn none_at(cursor: Cursor) -> Self {
        Self {
            after: cursor,
            through: cursor,
            events: Vec::new(),
            more: false,
            held_back: false,
            age_secs: None,
        }
    }

    /// What of it happened after a cursor.
    fn behind(&self, after: Cursor) -> Self {
        let events = self.events.iter().filter(|event| event.cursor() > after);
        Self {
            after,
            through: self.through.max(after),
            events: events.map(Arc::clone).collect(),
            ..*self
        }
    }

    /// What happened in a workspace.
    pub fn of(&self, workspace_id: WorkspaceId) -> impl Iterator<Item = &Arc<Event>> {
        self.events
            .iter()
            .filter(move |event| event.row.workspace_id == workspace_id)
    }
}

/// Reads the log after a cursor: a page of it, as far as it is complete. Refuses, and does not skip, what the log does not
/// have any more.
pub async fn read(db: &impl ConnectionTrait, after: Cursor) -> Result<Arc<Batch>> {
    Page::read(db, after).await?.batch()
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
