//! Handing out tasks to several who ask at the same moment, in one transaction.

use entity::id::{AgentId, ClaimRequestId, RuntimeId};
use sea_orm::{DbBackend, FromQueryResult, Statement};
use serde::Serialize;
use uuid::Uuid;

use super::{Claimed, HandedOut};
use crate::auth::Daemon;
use crate::auth::asked_by::AskedBy;
use crate::db::Writer;
use crate::error::{Error, Result};
use crate::group::{Turn, places};
use crate::settings::Settings;

/// A task of one runtime that a daemon asks for.
#[derive(Clone, Debug)]
pub(in super::super) struct Claiming {
    /// Who asks.
    pub daemon: Daemon,
    /// For which of its runtimes.
    pub runtime_id: RuntimeId,
    /// Of which agent; any where it is absent.
    pub agent_id: Option<AgentId>,
    /// Makes the claim repeatable.
    pub request_id: Option<ClaimRequestId>,
}

impl Claiming {
    /// What is asked for, as the database is told.
    fn record(&self, place: usize) -> impl Serialize + use<'_> {
        #[derive(Serialize)]
        struct Record<'a> {
            place: usize,
            workspace_id: Uuid,
            daemon_id: &'a str,
            runtime_id: Uuid,
            agent_id: Option<Uuid>,
            request_id: Option<Uuid>,
        }
        Record {
            place,
            workspace_id: self.daemon.workspace_id.0,
            daemon_id: &self.daemon.daemon_id,
            runtime_id: self.runtime_id.0,
            agent_id: self.agent_id.map(|id| id.0),
            request_id: self.request_id.map(|id| id.0),
        }
    }
}

/// What somebody who asks together with others is told.
#[derive(Debug)]
pub(in super::super) enum Told {
    /// This is yours.
    Take(Box<Claimed>),
    /// There is nothing to do.
    Nothing,
    /// Ask again, alone: something has to be taken back first, or somebody else was faster.
    Ask,
}

/// What the database answers somebody who asked together with others.
#[derive(Debug, FromQueryResult)]
struct Answered {
    place: i32,
    answer: String,
    #[sea_orm(nested)]
    handed: Option<HandedOut>,
}

/// Hands one task to each, as [`claim`](super::claim) does.
pub(in super::super) async fn claim_together(
    writer: &Writer,
    settings: &Settings,
    asked: Vec<AskedBy<Claiming>>,
    turn: Turn,
) -> Result<Vec<Result<Told>>> {
    let (asked, tokens) = AskedBy::part(asked)?;
    let records = places::numbered(&asked, Claiming::record)?;
    let (lock_timeout, lease_secs) = (
        turn.patience().lock_timeout(),
        settings.claim_lease.as_secs_f64(),
    );
    let handed_out = HandedOut::columns("claim.task", "claim.agent");
    let sql = format!(
        "select place, answer, {handed_out}
         from task_claim_together(asked_by($1, $2), make_interval(secs => $3), $4) as claim
         left join lateral task_session_to_resume(claim.task) as resume on (claim.task).id is not null"
    );
    let values = [
        records.into(),
        tokens.into(),
        lease_secs.into(),
        lock_timeout.into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let mut told: Vec<Result<Told>> = asked.iter().map(|_| Ok(Told::Nothing)).collect();
    for answer in writer.in_turn::<Answered>(statement, turn).await? {
        let told_now = match (&*answer.answer, answer.handed) {
            ("take", Some(handed)) => {
                let claimed = handed.claimed();
                claimed.map(|claimed| Told::Take(Box::new(claimed)))
            }
            ("unknown", _) => Err(Error::NotFound("runtime")),
            _ => Ok(Told::Ask),
        };
        places::put(&mut told, answer.place, told_now);
    }
    Ok(told)
}
