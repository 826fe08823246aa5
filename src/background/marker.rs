//! Keeping the low-water marks of the queue: from where claims have to look, so that they need not step over everything
//! that was claimed while somebody held a snapshot. What a mark is, and why it passes over nothing, stands in the migration
//! that makes them.

use std::collections::HashMap;
use std::time::Duration;

use entity::id::RuntimeId;
use entity::task_event::Kind;
use sea_orm::{ConnectionTrait, Statement, raw_sql};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::db::Pool;
use crate::error::Result;
use crate::event::hub::Hub;
use crate::event::{Batch, Change};

/// How often to look whether marks are to be taken anew.
const INTERVAL: Duration = Duration::from_millis(500);

/// How many tasks are claimed for a runtime before its mark is taken anew. Every claim steps over as many, each on a page of
/// its own; and a mark leaves a dead row behind while a snapshot is held, of which a page has some fifty.
const CLAIMS: usize = 50;

/// Takes the marks of the runtimes for which tasks are claimed, until told to stop.
pub(crate) async fn run(db: Pool, hub: Hub, stop: CancellationToken) {
    stop.run_until_cancelled(async {
        if let Err(error) = follow(&db, &hub).await {
            tracing::warn!(error = %error, "low-water marks are not kept; claims slow down while a snapshot is held");
        }
    })
    .await;
}

async fn follow(db: &Pool, hub: &Hub) -> Result<()> {
    let mut watcher = hub.watch().await?;
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut claims: HashMap<RuntimeId, usize> = HashMap::new();
    loop {
        tokio::select! {
            change = watcher.next() => match change {
                Some(Change::Batch(batch)) => {
                    for runtime_id in runtimes_claiming(&batch) {
                        *claims.entry(runtime_id).or_default() += 1;
                    }
                }
                // What was claimed meanwhile is not counted; the next claims are.
                Some(Change::Anything(_)) => {}
                None => return Ok(()),
            },
            _ = ticks.tick() => {
                let due: Vec<RuntimeId> = claims
                    .extract_if(|_, count| *count >= CLAIMS)
                    .map(|(runtime_id, _)| runtime_id)
                    .collect();
                if due.is_empty() {
                    continue;
                }
                if let Err(error) = run_once(db, &due).await {
                    tracing::debug!(error = %error, "cannot take low-water marks; trying again after more claims");
                }
            }
        }
    }
}

/// The runtimes for which tasks were claimed.
fn runtimes_claiming(batch: &Batch) -> impl Iterator<Item = RuntimeId> {
    batch
        .events
        .iter()
        .filter(|event| event.row.kind == Kind::Dispatched)
        .filter_map(|event| event.row.runtime_id)
}

/// Takes the marks of these runtimes. The first time they are only prepared; harmless on several servers at once.
pub async fn run_once(db: &impl ConnectionTrait, runtimes: &[RuntimeId]) -> Result<()> {
    let runtimes: Vec<Uuid> = runtimes.iter().map(|id| id.0).collect();
    // Each in a transaction of its own: a mark must be seen to be prepared before it is taken.
    let statement: Statement = raw_sql!(Postgres, "select task_low_water_mark_take({runtimes})");
    db.query_one_raw(statement).await?;
    let statement: Statement = raw_sql!(Postgres, "select task_low_water_mark_prepare({runtimes})");
    db.query_one_raw(statement).await?;
    Ok(())
}
