//! Handing out tasks to several who ask at the same moment, in one transaction.

use entity::id::{AgentId, ClaimRequestId, RuntimeId};
use sea_orm::{FromQueryResult, Statement, raw_sql};
use serde_json::{Value, json};

use super::super::places;
use super::{Claimed, HandedOut, claimed, find_runtimes};
use crate::auth::Daemon;
use crate::db::Writer;
use crate::error::{Error, Result};
use crate::group::Patience;
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

/// What was found for somebody who asked together with others.
#[derive(Debug, FromQueryResult)]
struct Found {
    place: i32,
    #[sea_orm(nested)]
    handed: Option<HandedOut>,
}

/// Hands one task to each, as [`claim`](super::claim) does.
pub(in super::super) async fn claim_together(
    writer: &Writer,
    settings: &Settings,
    asked: Vec<Claiming>,
    patience: Patience,
) -> Result<Vec<Result<Told>>> {
    let mut told: Vec<Result<Told>> = Vec::with_capacity(asked.len());
    let runtimes: Vec<_> = asked
        .iter()
        .map(|asked| (&asked.daemon, asked.runtime_id))
        .collect();
    for own in find_runtimes(writer.db(), &runtimes).await? {
        told.push(match own {
            None => Err(Error::NotFound("runtime")),
            Some(runtime) if runtime.has_expired => Ok(Told::Ask),
            Some(_) => Ok(Told::Nothing),
        });
    }
    let may = asked.iter().zip(&told).enumerate();
    let records: Vec<Value> = may
        .filter(|(_, (_, told))| matches!(told, Ok(Told::Nothing)))
        .map(|(place, (asked, _))| {
            json!({
                "place": place,
                "runtime_id": asked.runtime_id.0,
                "agent_id": asked.agent_id.map(|id| id.0),
                "request_id": asked.request_id.map(|id| id.0),
            })
        })
        .collect();
    if records.is_empty() {
        return Ok(told);
    }
    let lock_timeout = patience.lock_timeout();
    let (records, lease_secs) = (Value::from(records), settings.claim_lease.as_secs_f64());
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select place, (task).*, resume.session_id as resume_session_id, resume.work_dir as resume_work_dir,
               resume.runtime_id as resume_runtime_id
           from task_claim_together({records}, make_interval(secs => {lease_secs}), {lock_timeout}) as claim
           left join lateral task_session_to_resume(claim.task) as resume on (claim.task).id is not null"#
    );
    let found: Vec<Found> = writer.at_once(statement).await?;
    let mut places = Vec::with_capacity(found.len());
    let mut handed_out = Vec::with_capacity(found.len());
    for Found { place, handed } in found {
        match handed {
            None => places::put(&mut told, place, Ok(Told::Ask)),
            Some(handed) => {
                places.push(place);
                handed_out.push(handed);
            }
        }
    }
    let claimed = claimed(writer.db(), handed_out).await?;
    for (place, claimed) in places.into_iter().zip(claimed) {
        places::put(&mut told, place, Ok(Told::Take(Box::new(claimed))));
    }
    Ok(told)
}
