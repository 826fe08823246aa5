//! What nobody asks for: time passes, for one thing after another, and the sweeper and the keeper of the log come round.

use std::time::Duration;

use callboard::background::{pruner, sweeper};
use callboard::db::Writer;
use callboard::doorbell::Doorbell;
use callboard::settings::Settings;
use rand::rngs::StdRng;

use super::{Crowd, one};

/// What can come about.
pub(crate) const PASSING: [&str; 6] = [
    "a lease expires",
    "a start is overdue",
    "a queued task grows old",
    "a runtime falls silent",
    "the sweeper comes round",
    "the log is maintained",
];

impl Crowd<'_> {
    /// Brings it about. In words, what went wrong.
    pub(super) async fn pass(&self, what: &str, dice: &mut StdRng) -> Result<(), String> {
        let db = &self.app.database.pool;
        let failed = |error: &dyn std::fmt::Debug| format!("{what}: {error:?}");
        match what {
            "the sweeper comes round" => {
                let writer = Writer::new(db.clone(), Doorbell::default());
                let swept = sweeper::run_once(&writer, &Settings::default()).await;
                swept.map(|_| ()).map_err(|error| failed(&error))
            }
            "the log is maintained" => {
                let kept = pruner::run_once(db, Duration::from_hours(7 * 24)).await;
                kept.map_err(|error| failed(&error))
            }
            "a runtime falls silent" => {
                // For longer than its tasks are left to it.
                let id = one(&self.runtimes, dice).1;
                let silence = format!(
                    "update agent_runtime set last_seen_at = now() - interval '3 h' where id = '{id}'"
                );
                self.app.database.execute(&silence).await;
                Ok(())
            }
            _ => {
                let (status, column, seconds) = match what {
                    "a lease expires" => ("dispatched", "claim_expires_at", 1),
                    "a start is overdue" => ("dispatched", "dispatched_at", 301),
                    _ => ("queued", "created_at", 7201),
                };
                // One row, which changes nothing that anybody is told of.
                let age = format!(
                    "update agent_task_queue set {column} = now() - interval '{seconds} s'
                     where status = '{status}' and id = (
                         select id from agent_task_queue where status = '{status}' order by random() limit 1)"
                );
                self.app.database.execute(&age).await;
                Ok(())
            }
        }
    }
}
