//! Closing time: what agents did up to a minute ago is counted by day, so that nobody counts it again.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, raw_sql};
use tokio_util::sync::CancellationToken;

use crate::error::Result;

/// How often to close. Everything since the last time is counted from the tasks by whoever asks.
const INTERVAL: Duration = Duration::from_mins(5);

/// How soon to try again where a writer that was under way did not end in time.
const RETRY_INTERVAL: Duration = Duration::from_secs(20);

/// Closes time now and then until told to stop.
pub(crate) async fn run(db: DatabaseConnection, stop: CancellationToken) {
    stop.run_until_cancelled(async {
        loop {
            let pause = match run_once(&db).await {
                Ok(()) => INTERVAL,
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

/// Closes the time up to a minute ago; harmless on several servers at once.
pub async fn run_once(db: &impl ConnectionTrait) -> Result<()> {
    let statement: Statement = raw_sql!(Postgres, "select agent_day_close()");
    db.query_one_raw(statement).await?;
    Ok(())
}
