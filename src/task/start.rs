//! Starting claimed tasks: locks first, decides after, so that starts that race are answered alike.

use entity::task;
use sea_orm::{Statement, raw_sql};

use super::shown::{self, Answer, Shown};
use crate::auth::asked_by::AskedBy;
use crate::db::Writer;
use crate::error::{Error, Result};
use crate::group::{Turn, places};

/// Takes up claimed tasks; the lease has served its purpose then. Repeated with the same token it returns the running
/// task with its first `started_at`.
pub(super) async fn start_together(
    writer: &Writer,
    asked: Vec<AskedBy<Shown>>,
    turn: Turn,
) -> Result<Vec<Result<task::Model>>> {
    let (asked, tokens) = AskedBy::part(asked)?;
    let records = places::numbered(&asked, Shown::record)?;
    let lock_timeout = turn.patience().lock_timeout();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select place, changed, (task).*
           from task_start_together(asked_by({records}, {tokens}), {lock_timeout})"#
    );
    let answers = shown::run::<Answer>(writer, asked.len(), statement, turn).await?;
    let answers = answers.into_iter().zip(asked);
    Ok(answers
        .map(|(answer, shown)| decide(answer?, &shown))
        .collect())
}

/// The running task, or why it is not this claim's.
fn decide(answer: Answer, shown: &Shown) -> Result<task::Model> {
    let Answer { changed, task, .. } = answer;
    let token = shown.claim.token;
    let runs = task.status == task::Status::Running;
    if changed || (runs && token.is_some() && task.claim_token == token) {
        Ok(task)
    } else {
        Err(Error::ClaimConflict)
    }
}
