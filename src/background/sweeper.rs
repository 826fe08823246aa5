//! The sweeper: what has to happen because nobody does anything. Every server sweeps, at any time and all at once; what
//! one is at, another skips or finds done.

use sea_orm::{ConnectionTrait, EntityTrait, Statement, raw_sql};
use tokio_util::sync::CancellationToken;

use crate::db::Writer;
use crate::error::Result;
use crate::metrics::Sweeps;
use crate::settings::Settings;
use crate::task::lapse;

/// How much one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Runtimes that went off line.
    pub silenced: usize,
    /// Tasks of lost runtimes that failed.
    pub lost: usize,
    /// Tasks that timed out.
    pub timed_out: usize,
    /// Tasks that expired in the queue.
    pub expired: usize,
    /// Runtimes that were removed.
    pub removed: usize,
}

/// Sweeps now and then until told to stop.
pub(crate) async fn run(
    writer: Writer,
    settings: Settings,
    metrics: Sweeps,
    stop: CancellationToken,
) {
    loop {
        let mut swept = Swept::default();
        let done = sweep(&writer, &settings, &mut swept).await;
        count(&metrics, swept);
        if swept != Swept::default() {
            tracing::info!(?swept, "swept");
        }
        if let Err(error) = done {
            tracing::warn!(error = %error, "could not sweep; trying again later");
        }
        if stop
            .run_until_cancelled(tokio::time::sleep(settings.sweep_interval))
            .await
            .is_none()
        {
            return;
        }
    }
}

/// Counts what a sweep did.
fn count(metrics: &Sweeps, swept: Swept) {
    let Swept {
        silenced,
        lost,
        timed_out,
        expired,
        removed,
    } = swept;
    metrics.silenced.add(silenced);
    metrics.lost.add(lost);
    metrics.timed_out.add(timed_out);
    metrics.expired.add(expired);
    metrics.removed.add(removed);
}

/// Sweeps once.
pub async fn run_once(writer: &Writer, settings: &Settings) -> Result<Swept> {
    let mut swept = Swept::default();
    sweep(writer, settings, &mut swept).await?;
    Ok(swept)
}

/// Sweeps, and notes what each step did: it is done though the next one fails. The runtimes first, because the tasks go by what
/// they are.
async fn sweep(writer: &Writer, settings: &Settings, swept: &mut Swept) -> Result<()> {
    swept.silenced = silence_runtimes(writer, settings).await?;
    swept.lost = lapse::lost(writer, settings).await?;
    swept.timed_out = lapse::timed_out(writer, settings).await?;
    swept.expired = lapse::expired(writer, settings).await?;
    swept.removed = remove_runtimes(writer, settings).await?;
    Ok(())
}

/// Takes runtimes off line that have not been heard of.
async fn silence_runtimes(writer: &Writer, settings: &Settings) -> Result<usize> {
    let (silent_secs, batch) = (
        settings.runtime_silent_after.as_secs_f64(),
        settings.sweep_batch,
    );
    let txn = writer.begin().await?;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"with silent as materialized (
               select id from agent_runtime
               where status = 'online'
                   and (last_seen_at is null or last_seen_at < now() - make_interval(secs => {silent_secs}))
               order by id
               limit {batch}
               for no key update skip locked
           )
           update agent_runtime as runtime
           set status = 'offline', updated_at = now()
           from silent
           where runtime.id = silent.id
           returning runtime.*"#
    );
    let silenced = entity::runtime::Entity::find()
        .from_raw_sql(statement)
        .all(&*txn)
        .await?;
    txn.commit().await?;
    Ok(silenced.len())
}

/// Removes runtimes that have been gone for long and have no agents. Their tasks' history stays.
async fn remove_runtimes(writer: &Writer, settings: &Settings) -> Result<usize> {
    let (retention_secs, batch) = (
        settings.runtime_retention.as_secs_f64(),
        settings.sweep_batch,
    );
    let statement: Statement = raw_sql!(
        Postgres,
        r#"with old as materialized (
               select id from agent_runtime as runtime
               where status = 'offline'
                   and coalesce(last_seen_at, created_at) < now() - make_interval(secs => {retention_secs})
                   and not exists (select from agent where agent.runtime_id = runtime.id)
               order by id
               limit {batch}
               for update skip locked
           )
           delete from agent_runtime as runtime using old where runtime.id = old.id"#
    );
    let removed = writer.db().execute_raw(statement).await?.rows_affected();
    Ok(usize::try_from(removed).unwrap_or(usize::MAX))
}
