//! Handing out tasks to several who ask at the same moment, in one transaction.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use entity::id::{AgentId, RuntimeId};
use entity::{agent, task};
use sea_orm::{DbBackend, FromQueryResult, Statement};
use serde::Serialize;
use uuid::Uuid;

use super::requeue::requeue_expired;
use super::{Claimed, Request};
use crate::auth::asked_by::AskedBy;
use crate::auth::{Daemon, Viewer};
use crate::db::{Writer, columns_of};
use crate::error::{Error, Result};
use crate::group::{Turn, places};
use crate::settings::Settings;
use crate::task::session;

/// What a daemon asks for together with others.
#[derive(Clone, Debug)]
pub(in super::super) struct Claiming {
    daemon: Daemon,
    request: Request,
    /// Whether what was not started in time has been taken back, as far as that could be done.
    as_it_is: bool,
    /// Agents whose tasks others were faster with.
    passed_over: Vec<AgentId>,
}

impl Claiming {
    /// A daemon's request. Refuses what can never be right.
    pub(in super::super) fn check(viewer: &Viewer, request: Request) -> Result<Self> {
        let daemon = viewer.require_daemon()?.clone();
        request.check()?;
        Ok(Self {
            daemon,
            request,
            as_it_is: false,
            passed_over: Vec::new(),
        })
    }

    /// How much work it may be: for each task that is handed out, each of the runtimes may have to be looked at.
    pub(in super::super) fn weight(&self) -> usize {
        let most = usize::try_from(self.request.max).unwrap_or(1);
        most * self.request.runtime_ids.len().max(1)
    }

    /// Takes back what was not started in time, before it is asked for again.
    pub(in super::super) async fn take_back(
        &mut self,
        writer: &Writer,
        settings: &Settings,
    ) -> Result<()> {
        self.as_it_is = true;
        requeue_expired(writer, &self.daemon, settings, &self.request.runtime_ids).await
    }

    /// Leaves out these agents too when it is asked for again.
    pub(in super::super) fn pass_over(&mut self, agents: Vec<AgentId>) {
        self.passed_over.extend(agents);
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
            passed_over: BTreeSet<Uuid>,
            as_it_is: bool,
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
            passed_over: self.passed_over.iter().map(|id| id.0).collect(),
            as_it_is: self.as_it_is,
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
    /// Something was not started in time and has to be taken back first.
    Expired,
    /// Somebody else was faster, or asks for the same at this moment: ask again, for the tasks of others than these.
    Again(Vec<AgentId>),
}

/// What the database answers somebody who asked together with others.
#[derive(Debug, FromQueryResult)]
struct Answered {
    answer: String,
    passed_over: Option<Vec<Uuid>>,
    #[sea_orm(nested)]
    handed: Option<HandedOut>,
}

/// A task that was handed out, who is to work on it, and the session to go on with.
#[derive(Debug, FromQueryResult)]
struct HandedOut {
    #[sea_orm(nested)]
    task: task::Model,
    #[sea_orm(nested(prefix = "worker_"))]
    worker: agent::Model,
    resume_session_id: Option<String>,
    resume_work_dir: Option<String>,
    resume_runtime_id: Option<RuntimeId>,
}

impl HandedOut {
    /// What to select of a claim, and of the session to resume.
    fn columns() -> String {
        let worker = columns_of::<agent::Entity>("claim.agent", "worker_");
        format!(
            "(claim.task).*, {worker}, resume.session_id as resume_session_id, resume.work_dir as resume_work_dir, \
             resume.runtime_id as resume_runtime_id"
        )
    }

    /// The task as its daemon is given it.
    fn claimed(self) -> Result<Claimed> {
        let Self {
            task,
            worker,
            resume_session_id,
            resume_work_dir,
            resume_runtime_id,
        } = self;
        let claim_token = task.claim_token.ok_or_else(|| {
            Error::Internal(anyhow::anyhow!("a claim of task {} has no token", task.id))
        })?;
        let resume = resume_session_id.zip(resume_runtime_id);
        let resume = resume.map(|(session_id, runtime_id)| session::Session {
            session_id,
            work_dir: resume_work_dir,
            runtime_id,
        });
        Ok(Claimed {
            task,
            claim_token,
            resume,
            agent: worker,
        })
    }
}

/// Hands tasks to each.
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
    let handed_out = HandedOut::columns();
    let sql = format!(
        "select place, answer, passed_over, {handed_out}
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
    for (place, answer) in writer.in_turn::<Answered>(statement, turn).await? {
        let Some(told) = places::at(&mut told, place) else {
            continue;
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                hand(told, Err(error));
                continue;
            }
        };
        match (&*answer.answer, answer.handed) {
            ("take", Some(handed)) => hand(told, handed.claimed()),
            ("unknown", _) => *told = Err(Error::NotFound("runtime")),
            ("expired", _) => *told = Ok(Told::Expired),
            _ => {
                let agents = answer.passed_over.unwrap_or_default();
                *told = Ok(Told::Again(agents.into_iter().map(AgentId).collect()));
            }
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

/// Adds a task to what somebody is given. One that cannot be read keeps the others from nobody: they would come back unstarted,
/// and with it, until they had been handed out too often.
fn hand(told: &mut Result<Told>, claimed: Result<Claimed>) {
    let leave_out = |error: &Error| {
        tracing::error!(error = ?error, "cannot read a task that was handed out with others");
    };
    match (told, claimed) {
        (Ok(Told::Take(all)), Ok(claimed)) => all.push(claimed),
        (Ok(Told::Take(all)), Err(error)) if !all.is_empty() => leave_out(&error),
        (told @ Err(_), Ok(claimed)) => {
            if let Err(error) = std::mem::replace(told, Ok(Told::Take(vec![claimed]))) {
                leave_out(&error);
            }
        }
        (told, Err(error)) => *told = Err(error),
        (Ok(Told::Expired | Told::Again(_)), Ok(_)) => {}
    }
}
