//! Claims that daemons show at the same moment, and what the database says to them.

use entity::task;
use sea_orm::{FromQueryResult, Statement};
use serde::Serialize;
use uuid::Uuid;

use super::Claim;
use crate::auth::Daemon;
use crate::db::Writer;
use crate::error::{Error, Result};
use crate::group::{Turn, places};

/// A claim, and the daemon that shows it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub daemon: Daemon,
    pub claim: Claim,
}

/// A claim as the functions of the database read it.
#[derive(Debug, Serialize)]
pub(super) struct Record<'a> {
    place: usize,
    workspace_id: Uuid,
    daemon_id: &'a str,
    task_id: Uuid,
    claim_token: Option<Uuid>,
}

impl Shown {
    /// As the functions of the database read it, the one at this place.
    pub(super) fn record(&self, place: usize) -> Record<'_> {
        Record {
            place,
            workspace_id: self.daemon.workspace_id.0,
            daemon_id: &self.daemon.daemon_id,
            task_id: self.claim.task_id.0,
            claim_token: self.claim.token.map(|token| token.0),
        }
    }
}

/// A task that a claim was shown for, as it is after that.
#[derive(Debug, FromQueryResult)]
pub(super) struct Answer {
    /// Whether this claim has just changed it.
    pub changed: bool,
    #[sea_orm(nested)]
    pub task: task::Model,
}

/// Runs one of these functions. The answers are in the order of the claims; those that are of no task of their daemon's
/// are told so.
pub(super) async fn run<T: FromQueryResult>(
    writer: &Writer,
    shown: usize,
    statement: Statement,
    turn: Turn,
) -> Result<Vec<Result<T>>> {
    let found = writer.in_turn(statement, turn).await?;
    let mut answers: Vec<_> = (0..shown).map(|_| Err(Error::NotFound("task"))).collect();
    for (place, answer) in found {
        places::put(&mut answers, place, answer);
    }
    Ok(answers)
}
