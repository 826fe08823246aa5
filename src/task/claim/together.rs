//! Handing out tasks to several who ask at the same moment, in one transaction.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use sea_orm::{DbBackend, FromQueryResult, Statement};
use serde::Serialize;
use uuid::Uuid;

use super::{Claimed, HandedOut, Request};
use crate::auth::asked_by::AskedBy;
use crate::auth::{Daemon, Viewer};
use crate::db::Writer;
use crate::error::{Error, Result};
use crate::group::{Turn, places};
use crate::settings::Settings;

/// What a daemon asks for together with others.
#[derive(Clone, Debug)]
pub(in super::super) struct Claiming {
    daemon: Daemon,
    request: Request,
}

impl Claiming {
    /// A daemon's request. Refuses what can never be right.
    pub(in super::super) fn check(viewer: &Viewer, request: Request) -> Result<Self> {
        let daemon = viewer.require_daemon()?.clone();
        request.check()?;
        Ok(Self { daemon, request })
    }

    /// How many tasks it is about, at most.
    pub(in super::super) fn weight(&self) -> usize {
        usize::try_from(self.request.max).unwrap_or(1)
    }

    /// What is asked for, as the database is told.
    fn record(&self, place: usize) -> impl Serialize + use<'_> {
        #[derive(Serialize)]
        struct Record<'a> {
            place: usize,
            workspace_id: Uuid,
            daemon_id: &'a str,
            runtime_ids: BTreeSet<Uuid>,
            agent_id: Option<Uuid>,
            most: i32,
            request_id: Option<Uuid>,
        }
        let Request {
            runtime_ids,
            agent_id,
            max,
            request_id,
        } = &self.request;
        Record {
            place,
            workspace_id: self.daemon.workspace_id.0,
            daemon_id: &self.daemon.daemon_id,
            runtime_ids: runtime_ids.iter().map(|id| id.0).collect(),
            agent_id: agent_id.map(|id| id.0),
            most: *max,
            request_id: request_id.map(|id| id.0),
        }
    }
}

/// What somebody who asks together with others is told.
#[derive(Debug)]
pub(in super::super) enum Told {
    /// These are yours, the best one first. None: there is nothing to do.
    Take(Vec<Claimed>),
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

/// Hands tasks to each, as [`claim`](super::claim) does.
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
    let mut told: Vec<Result<Told>> = asked.iter().map(|_| Ok(Told::Take(Vec::new()))).collect();
    for answer in writer.in_turn::<Answered>(statement, turn).await? {
        let Some(told) = places::at(&mut told, answer.place) else {
            continue;
        };
        match (&*answer.answer, answer.handed) {
            ("take", Some(handed)) => hand(told, handed.claimed()),
            ("unknown", _) => *told = Err(Error::NotFound("runtime")),
            _ => *told = Ok(Told::Ask),
        }
    }
    for told in &mut told {
        if let Ok(Told::Take(claimed)) = told {
            claimed.sort_by_key(|Claimed { task, .. }| {
                (Reverse(task.priority), task.created_at, task.id)
            });
        }
    }
    Ok(told)
}

/// Adds a task to what somebody is given.
fn hand(told: &mut Result<Told>, claimed: Result<Claimed>) {
    match (told, claimed) {
        (Ok(Told::Take(all)), Ok(claimed)) => all.push(claimed),
        (told, Err(error)) => *told = Err(error),
        (Ok(Told::Ask) | Err(_), Ok(_)) => {}
    }
}
