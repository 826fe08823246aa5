//! The end of tasks as their daemons tell it: complete, fail. Both are idempotent, because an answer can be lost.

use entity::id::TaskId;
use entity::task;
use sea_orm::{DbBackend, FromQueryResult, Statement, raw_sql};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::Claim;
use super::shown::{self, Answer, Shown};
use crate::auth::asked_by::AskedBy;
use crate::db::{Writer, columns_of};
use crate::error::{Error, Result};
use crate::group::{Turn, places};
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
struct CompletingRecord<'a> {
    #[serde(flatten)]
    shown: shown::Record<'a>,
    session_id: Option<&'a str>,
    work_dir: Option<&'a str>,
    // A null would be a result too.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
}

impl Completing {
    fn record(&self, place: usize) -> CompletingRecord<'_> {
        let Completion {
            result,
            session_id,
            work_dir,
        } = &self.completion;
        CompletingRecord {
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
    asked: Vec<AskedBy<Completing>>,
    turn: Turn,
) -> Result<Vec<Result<task::Model>>> {
    let (asked, tokens) = AskedBy::part(asked)?;
    let records = places::numbered(&asked, Completing::record)?;
    let lock_timeout = turn.patience().lock_timeout();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select place, changed, (task).*
           from task_complete_together(asked_by({records}, {tokens}), {lock_timeout})"#
    );
    let answers = shown::run::<Answer>(writer, asked.len(), statement, turn).await?;
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

/// A task to be ended badly.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    /// By which claim.
    pub shown: Shown,
    /// How it ended.
    pub failure: Failure,
}

/// Such a task as the function of the database reads it.
#[derive(Debug, Serialize)]
struct FailingRecord<'a> {
    #[serde(flatten)]
    shown: shown::Record<'a>,
    error: &'a str,
    failure_reason: Option<&'a str>,
    session_id: Option<&'a str>,
    work_dir: Option<&'a str>,
    /// What its next try is called, if it earns one.
    retry_id: Uuid,
}

impl Failing {
    fn record(&self, place: usize) -> FailingRecord<'_> {
        let Failure {
            error,
            failure_reason,
            session_id,
            work_dir,
        } = &self.failure;
        FailingRecord {
            shown: self.shown.record(place),
            error,
            failure_reason: failure_reason.as_deref(),
            session_id: session_id.as_deref(),
            work_dir: work_dir.as_deref(),
            retry_id: TaskId::generate().0,
        }
    }
}

impl Failure {
    /// Refuses what can never be right.
    pub(super) fn check(&self) -> Result<()> {
        limits::text("input.error", Some(&self.error))?;
        limits::line("input.failureReason", self.failure_reason.as_deref())?;
        limits::line("input.sessionId", self.session_id.as_deref())?;
        limits::line("input.workDir", self.work_dir.as_deref())
    }
}

/// A task that failed, and its successor if it earned one.
#[derive(Debug)]
pub struct Failed {
    /// The task.
    pub task: task::Model,
    /// The next try.
    pub retry: Option<task::Model>,
}

/// What came of a claim that was to fail.
#[derive(Debug, FromQueryResult)]
struct FailedAnswer {
    #[sea_orm(nested)]
    answer: Answer,
    #[sea_orm(nested(prefix = "retry_"))]
    retry: Option<task::Model>,
}

/// Ends dispatched or running tasks badly, and retries those that earn it. On a task that has ended already it changes
/// nothing and returns it as it is.
pub(super) async fn fail_together(
    writer: &Writer,
    asked: Vec<AskedBy<Failing>>,
    turn: Turn,
) -> Result<Vec<Result<Failed>>> {
    let (asked, tokens) = AskedBy::part(asked)?;
    let records = places::numbered(&asked, Failing::record)?;
    let retry = columns_of::<task::Entity>("retry", "retry_");
    let sql = format!(
        "select place, changed, (task).*, {retry} from task_fail_together(asked_by($1, $2), $3)"
    );
    let values = [
        records.into(),
        tokens.into(),
        turn.patience().lock_timeout().into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let answers = shown::run::<FailedAnswer>(writer, asked.len(), statement, turn).await?;
    let answers = answers.into_iter().zip(asked);
    let decided = answers.map(|(answer, asked)| {
        let FailedAnswer { answer, retry } = answer?;
        let task = if answer.changed {
            answer.task
        } else {
            unsettled(answer.task, asked.shown.claim)?
        };
        Ok(Failed { task, retry })
    });
    Ok(decided.collect())
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
