//! A daemon's sign of life: the hot write, and the answer that tells it what it has lost.

use entity::id::{ClaimToken, RuntimeId, TaskId};
use entity::{runtime, task};
use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult, Statement, raw_sql};
use serde::Serialize;
use uuid::Uuid;

use crate::auth::asked_by::AskedBy;
use crate::auth::{Daemon, Viewer, require_all_found};
use crate::db::Writer;
use crate::error::Result;
use crate::group::{Desk, Group, Turn, places};
use crate::limits;

/// A task that a daemon believes it holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Which task.
    pub task_id: TaskId,
    /// By which claim.
    pub claim_token: ClaimToken,
}

/// What a heartbeat is answered with.
#[derive(Debug)]
pub struct Answer {
    /// The runtimes, as they are.
    pub runtimes: Vec<runtime::Model>,
    /// Of the tasks that the daemon holds, those that it no longer does.
    pub lost: Vec<task::Model>,
}

/// Where heartbeats are taken; those that arrive at the same moment, together.
#[derive(Clone, Debug)]
pub struct Heartbeats {
    writer: Writer,
    beats: Group<AskedBy<Beat>, Vec<runtime::Model>>,
}

/// A daemon that says which of its runtimes live.
#[derive(Clone, Debug)]
struct Beat {
    daemon: Daemon,
    runtimes: Vec<RuntimeId>,
}

impl Heartbeats {
    /// Writes through a writer, at a desk of their own.
    pub fn new(writer: &Writer, desk: Desk) -> Self {
        let beating = writer.clone();
        Self {
            writer: writer.clone(),
            beats: Group::new("heartbeat", desk, move |asked, turn| {
                let writer = beating.clone();
                async move { beat_together(&writer, asked, turn).await }
            }),
        }
    }

    /// Records that the daemon lives and that its runtimes are on line, and says which of the tasks that it holds it
    /// has lost: cancelled, failed from outside, or claimed anew.
    pub async fn beat(
        &self,
        viewer: &Viewer,
        runtimes: Vec<RuntimeId>,
        holding: &[Held],
    ) -> Result<Answer> {
        let daemon = viewer.require_daemon()?.clone();
        limits::list("input.runtimeIds", &runtimes)?;
        limits::list("input.holding", holding)?;
        let beat = AskedBy::new(viewer, Beat { daemon, runtimes });
        Ok(Answer {
            runtimes: self.beats.ask(beat).await?,
            lost: lost(self.writer.db(), viewer, holding).await?,
        })
    }
}

/// A heartbeat as the function of the database reads it.
#[derive(Debug, Serialize)]
struct Record<'a> {
    place: usize,
    workspace_id: Uuid,
    daemon_id: &'a str,
    runtime_ids: Vec<Uuid>,
}

impl Beat {
    fn record(&self, place: usize) -> Record<'_> {
        Record {
            place,
            workspace_id: self.daemon.workspace_id.0,
            daemon_id: &self.daemon.daemon_id,
            runtime_ids: self.runtimes.iter().map(|id| id.0).collect(),
        }
    }
}

/// A runtime that lives.
#[derive(Debug, FromQueryResult)]
struct Beaten {
    came_on_line: bool,
    #[sea_orm(nested)]
    runtime: runtime::Model,
}

/// Records that daemons live. None of the runtimes of one that names a runtime which is not its own.
async fn beat_together(
    writer: &Writer,
    asked: Vec<AskedBy<Beat>>,
    turn: Turn,
) -> Result<Vec<Result<Vec<runtime::Model>>>> {
    let (asked, tokens) = AskedBy::part(asked)?;
    let records = places::numbered(&asked, Beat::record)?;
    let lock_timeout = turn.patience().lock_timeout();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select place, came_on_line, (runtime).*
           from runtime_beat_together(asked_by({records}, {tokens}), {lock_timeout})"#
    );
    let beaten = writer
        .in_turn_ringing(statement, turn, |beaten: &Beaten| beaten.came_on_line)
        .await?;
    let mut runtimes: Vec<Result<Vec<runtime::Model>>> =
        asked.iter().map(|_| Ok(Vec::new())).collect();
    for (place, beaten) in beaten {
        let Some(own) = places::at(&mut runtimes, place) else {
            continue;
        };
        match (&mut *own, beaten) {
            (Ok(runtimes), Ok(beaten)) => runtimes.push(beaten.runtime),
            (Ok(_), Err(error)) => *own = Err(error),
            (Err(_), _) => {}
        }
    }
    let checked = asked.iter().zip(runtimes).map(|(beat, found)| {
        let found = found?;
        let ids: Vec<RuntimeId> = found.iter().map(|runtime| runtime.id).collect();
        require_all_found(&beat.runtimes, &ids)?;
        Ok(found)
    });
    Ok(checked.collect())
}

/// Of the tasks that the daemon holds, those that it no longer does.
async fn lost(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    holding: &[Held],
) -> Result<Vec<task::Model>> {
    if holding.is_empty() {
        return Ok(Vec::new());
    }
    let daemon = viewer.require_daemon()?;
    let (workspace_id, daemon_id) = (daemon.workspace_id, daemon.daemon_id.clone());
    let tasks: Vec<Uuid> = holding.iter().map(|held| held.task_id.0).collect();
    let tokens: Vec<Uuid> = holding.iter().map(|held| held.claim_token.0).collect();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select task.*
           from unnest({tasks}::uuid[], {tokens}::uuid[]) as held (task_id, claim_token)
           join agent_task_queue as task on task.id = held.task_id
           join agent_runtime as runtime on runtime.id = task.runtime_id
           where task.workspace_id = {workspace_id}
               and runtime.daemon_id = {daemon_id}
               and (task.status not in ('dispatched', 'running') or task.claim_token is distinct from held.claim_token)"#
    );
    Ok(task::Entity::find().from_raw_sql(statement).all(db).await?)
}
