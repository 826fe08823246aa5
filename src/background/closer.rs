//! Closing time: what agents did up to a minute ago is counted by day, so that nobody counts it again.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement, raw_sql};
use tokio_util::sync::CancellationToken;

use crate::db::Pool;
use crate::error::{Error, Result};

/// How often to close. Everything since the last time is counted from the tasks by whoever asks.
const INTERVAL: Duration = Duration::from_mins(5);

/// How soon to try again where a writer that was under way did not end in time.
const RETRY_INTERVAL: Duration = Duration::from_secs(20);

/// Closes time now and then until told to stop.
pub(crate) async fn run(db: Pool, stop: CancellationToken) {
    stop.run_until_cancelled(async {
        loop {
            let pause = match run_once(&db).await {
                Ok(Left::Nothing) => INTERVAL,
                Ok(Left::Some) => Duration::ZERO,
                Err(error) => {
                    tracing::debug!(error = %error, "cannot close what is past; trying again");
                    RETRY_INTERVAL
                }
            };
            tokio::time::sleep(pause).await;
        }
    })
    .await;
}

/// Whether there is more to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// No: all that is past is closed.
    Nothing,
    /// Yes: it is closed in steps, none of which keeps the writers waiting for long.
    Some,
}

/// Closes an hour at most of the time up to a minute ago; harmless on several servers at once.
pub async fn run_once(db: &impl ConnectionTrait) -> Result<Left> {
    let statement: Statement = raw_sql!(Postgres, "select agent_day_close('1 hour')");
    let row = db
        .query_one_raw(statement)
        .await?
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("a function returned no row")))?;
    let is_some_left: bool = row.try_get_by_index(0)?;
    Ok(if is_some_left {
        Left::Some
    } else {
        Left::Nothing
    })
}
