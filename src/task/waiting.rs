//! Why a queued task waits, and where it stands: told by the same functions of the database as the claim goes by.

use std::collections::HashMap;

use entity::id::TaskId;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, raw_sql};
use uuid::Uuid;

use crate::error::Result;

/// What holds back a queued task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// In what way.
    pub reason: entity::waiting::BlockReason,
    /// Behind which task, where it is one.
    pub task_id: Option<TaskId>,
}

/// Where a queued task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in the line of its runtime, from 1, those that are held back counted.
    pub position: i32,
    /// What holds it back; nothing where it is only its turn.
    pub blocked_by: Vec<Blocker>,
}

#[derive(Debug, FromQueryResult)]
struct Place {
    id: TaskId,
    position: i64,
}

#[derive(Debug, FromQueryResult)]
struct Held {
    id: TaskId,
    reason: entity::waiting::BlockReason,
    blocking_task_id: Option<TaskId>,
}

/// Where these tasks stand, as far as they are queued.
pub async fn of_tasks(
    db: &impl ConnectionTrait,
    tasks: &[TaskId],
) -> Result<HashMap<TaskId, Waiting>> {
    let ids: Vec<Uuid> = tasks.iter().map(|id| id.0).collect();
    let statement: Statement = raw_sql!(Postgres, "select * from task_positions({ids})");
    let places = Place::find_by_statement(statement).all(db).await?;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select task.id, held.reason, held.task_id as blocking_task_id
           from agent_task_queue as task
           cross join lateral task_held_back_by(task) as held
           where task.id = any({ids}) and by_index('none', task.status = 'queued')"#
    );
    let mut blockers: HashMap<TaskId, Vec<Blocker>> = HashMap::new();
    for held in Held::find_by_statement(statement).all(db).await? {
        let blocker = Blocker {
            reason: held.reason,
            task_id: held.blocking_task_id,
        };
        blockers.entry(held.id).or_default().push(blocker);
    }
    let waiting = places.into_iter().map(|place| {
        let position = i32::try_from(place.position).unwrap_or(i32::MAX);
        (
            place.id,
            Waiting {
                position,
                blocked_by: blockers.remove(&place.id).unwrap_or_default(),
            },
        )
    });
    Ok(waiting.collect())
}
