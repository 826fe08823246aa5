//! Keeping the event log's partitions: those of the days to come are made, those that are old are dropped.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement, raw_sql};
use tokio_util::sync::CancellationToken;

use crate::db::Pool;
use crate::error::Result;

/// How often to look. Partitions are made days ahead, so that a failure has many tries.
const INTERVAL: Duration = Duration::from_hours(1);

/// Looks now and then until told to stop.
pub(crate) async fn run(db: Pool, retention: Duration, stop: CancellationToken) {
    loop {
        if let Err(error) = run_once(&db, retention).await {
            tracing::warn!(error = %error, "cannot maintain the event log's partitions; trying again later");
        }
        if stop
            .run_until_cancelled(tokio::time::sleep(INTERVAL))
            .await
            .is_none()
        {
            return;
        }
    }
}

/// Makes the partitions ahead and drops those older than `retention`; harmless on several servers at once.
pub async fn run_once(db: &impl ConnectionTrait, retention: Duration) -> Result<()> {
    let retention_secs = retention.as_secs_f64();
    let statement: Statement = raw_sql!(
        Postgres,
        "select task_event_maintain(make_interval(secs => {retention_secs}))"
    );
    db.execute_raw(statement).await?;
    Ok(())
}
