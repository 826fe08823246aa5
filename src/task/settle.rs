//! The end of tasks as their daemons tell it: complete, fail. Both are idempotent, because an answer can be lost.

use entity::task;
use sea_orm::{DatabaseTransaction, EntityTrait, Statement, raw_sql};
use serde::Serialize;
use serde_json::Value;

use super::shown::{self, Shown};
use super::{Claim, find_of_daemon, lock, retry};
use crate::auth::Viewer;
use crate::db::Writer;
use crate::error::{Error, Result};
use crate::group::{Patience, places};
use crate::limits;

/// How a task ended well.
#[derive(Clone, Debug)]
pub struct Completion {
    /// What came of it.
    pub result: Option<Value>,
    /// The agent's own session; absent keeps.
    pub session_id: Option<String>,
    /// Where the agent worked; absent keeps.
    pub work_dir: Option<String>,
}

/// How a task ended badly.
#[derive(Clone, Debug)]
pub struct Failure {
    /// In words.
    pub error: String,
    /// As a word that the retry rule reads; `agent_error` where it is absent.
    pub failure_reason: Option<String>,
    /// The agent's own session; absent keeps.
    pub session_id: Option<String>,
    /// Where the agent worked; absent keeps.
    pub work_dir: Option<String>,
}

/// A running task to be ended well.
#[derive(Clone, Debug)]
pub(super) struct Completing {
    /// By which claim.
    pub shown: Shown,
    /// How it ended.
    pub completion: Completion,
}

/// Such a task as the function of the database reads it.
#[derive(Debug, Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    shown: shown::Record<'a>,
    session_id: Option<&'a str>,
    work_dir: Option<&'a str>,
    // A null would be a result too.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
}

impl Completing {
    fn record(&self, place: usize) -> Record<'_> {
        let Completion {
            result,
            session_id,
            work_dir,
        } = &self.completion;
        Record {
            shown: self.shown.record(place),
            session_id: session_id.as_deref(),
            work_dir: work_dir.as_deref(),
            result: result.as_ref(),
        }
    }
}

impl Completion {
    /// Refuses what can never be right.
    pub(super) fn check(&self) -> Result<()> {
        limits::json("input.result", self.result.as_ref())?;
        limits::line("input.sessionId", self.session_id.as_deref())?;
        limits::line("input.workDir", self.work_dir.as_deref())
    }
}

/// Ends running tasks well. On a task that has ended already it changes nothing and returns it as it is.
pub(super) async fn complete_together(
    writer: &Writer,
    asked: Vec<Completing>,
    patience: Patience,
) -> Result<Vec<Result<task::Model>>> {
    let records = places::numbered(&asked, Completing::record)?;
    let lock_timeout = patience.lock_timeout();
    let statement: Statement = raw_sql!(
        Postgres,
        "select place, changed, (task).* from task_complete_together({records}, {lock_timeout})"
    );
    let answers = shown::run(writer, asked.len(), statement).await?;
    let answers = answers.into_iter().zip(asked);
    let decided = answers.map(|(answer, asked)| {
        let answer = answer?;
        if answer.changed {
            Ok(answer.task)
        } else {
            unsettled(answer.task, asked.shown.claim)
        }
    });
    Ok(decided.collect())
}

/// A task that failed, and its successor if it earned one.
#[derive(Debug)]
pub struct Failed {
    /// The task.
    pub task: task::Model,
    /// The next try.
    pub retry: Option<task::Model>,
}

/// Ends a dispatched or running task badly, and retries it where the rule allows, in the same transaction. On a task
/// that has ended already it changes nothing and returns it as it is.
pub async fn fail(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    claim: Claim,
    failure: Failure,
) -> Result<Failed> {
    limits::text("input.error", Some(&failure.error))?;
    limits::line("input.failureReason", failure.failure_reason.as_deref())?;
    limits::line("input.sessionId", failure.session_id.as_deref())?;
    limits::line("input.workDir", failure.work_dir.as_deref())?;
    let task = lock_for_settlement(txn, viewer, claim).await?;

    let Claim { task_id, token } = claim;
    let workspace_id = task.workspace_id;
    let Failure {
        error,
        failure_reason,
        session_id,
        work_dir,
    } = failure;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent_task_queue
           set status = 'failed',
               completed_at = now(),
               error = {error},
               failure_reason = coalesce({failure_reason}, 'agent_error'),
               session_id = coalesce({session_id}, session_id),
               work_dir = coalesce({work_dir}, work_dir)
           where id = {task_id} and workspace_id = {workspace_id}
               and by_index('none', status in ('dispatched', 'running'))
               and claim_token is not distinct from {token}
           returning *"#
    );
    if let Some(failed) = task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?
    {
        let retry = retry::after_failure(txn, &failed).await?;
        return Ok(Failed {
            task: failed,
            retry,
        });
    }
    let task = find_of_daemon(txn, viewer.require_daemon()?, task_id).await?;
    Ok(Failed {
        task: unsettled(task, claim)?,
        retry: None,
    })
}

/// Finds the daemon's task and locks its agent, whose status the end of the task may change.
async fn lock_for_settlement(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    claim: Claim,
) -> Result<task::Model> {
    let task = find_of_daemon(txn, viewer.require_daemon()?, claim.task_id).await?;
    lock::agent(txn, task.agent_id).await?;
    Ok(task)
}

/// Why nothing was written: a repetition, a lost claim, or a task that was never started.
fn unsettled(task: task::Model, claim: Claim) -> Result<task::Model> {
    if task.status.is_terminal() {
        return Ok(task);
    }
    if task.claim_token == claim.token && task.status == task::Status::Dispatched {
        return Err(Error::precondition("the task has not been started"));
    }
    Err(Error::ClaimConflict)
}
