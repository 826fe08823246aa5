//! How far tasks are, as their daemons say.

use entity::task;
use sea_orm::{Statement, raw_sql};
use serde::Serialize;

use super::shown::{self, Answer, Shown};
use crate::auth::asked_by::AskedBy;
use crate::db::Writer;
use crate::error::{Error, Result};
use crate::group::{Turn, places};
use crate::limits;

/// How far a task is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// In words.
    pub summary: String,
    /// At which step.
    pub step: Option<i32>,
    /// Of how many.
    pub total: Option<i32>,
}

impl Progress {
    /// Refuses what can never be right.
    pub(super) fn check(&self) -> Result<()> {
        limits::name("input.summary", &self.summary)?;
        limits::range("input.step", self.step.unwrap_or(0), 0..=i32::MAX)?;
        limits::range("input.total", self.total.unwrap_or(0), 0..=i32::MAX)
    }
}

/// How far a task is, and the claim by which it is said.
#[derive(Clone, Debug)]
pub(super) struct Progressing {
    pub shown: Shown,
    pub progress: Progress,
}

/// The same as the function of the database reads it.
#[derive(Debug, Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    shown: shown::Record<'a>,
    summary: &'a str,
    step: Option<i32>,
    total: Option<i32>,
}

impl Progressing {
    fn record(&self, place: usize) -> Record<'_> {
        Record {
            shown: self.shown.record(place),
            summary: &self.progress.summary,
            step: self.progress.step,
            total: self.progress.total,
        }
    }
}

/// Notes how far claimed or running tasks are.
pub(super) async fn report_together(
    writer: &Writer,
    asked: Vec<AskedBy<Progressing>>,
    turn: Turn,
) -> Result<Vec<Result<task::Model>>> {
    let (asked, tokens) = AskedBy::part(asked)?;
    let records = places::numbered(&asked, Progressing::record)?;
    let lock_timeout = turn.patience().lock_timeout();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select place, changed, (task).*
           from task_progress_together(asked_by({records}, {tokens}), {lock_timeout})"#
    );
    let answers = shown::run::<Answer>(writer, asked.len(), statement, turn).await?;
    let noted = answers.into_iter().map(|answer| {
        let answer = answer?;
        if answer.changed {
            Ok(answer.task)
        } else {
            Err(Error::ClaimConflict)
        }
    });
    Ok(noted.collect())
}
