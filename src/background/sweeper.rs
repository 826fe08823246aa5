//! The sweeper: what has to happen because nobody does anything. Every server sweeps, at any time and all at once; what
//! one is at, another skips or finds done.
//!
//! That nobody says anything means something only where somebody would have been heard. While a server or the database was
//! away no daemon could send a heartbeat: whatever was seen last lies too far back then, for all of them. So a server that has
//! begun, or that has missed the database, listens for as long as a runtime may be silent before it concludes anything from
//! silence; another one, which has heard all along, sweeps as ever.

use sea_orm::{ConnectionTrait, Statement, raw_sql};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::db::Writer;
use crate::error::{self, Error, Result};
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
    let mut hearing = Hearing::Since(Instant::now());
    loop {
        let mut swept = Swept::default();
        let done = sweep(&writer, &settings, &mut hearing, &mut swept).await;
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

/// Sweeps once, for somebody who knows that daemons have been heard.
pub async fn run_once(writer: &Writer, settings: &Settings) -> Result<Swept> {
    let mut swept = Swept::default();
    sweep(writer, settings, &mut Hearing::AllAlong, &mut swept).await?;
    Ok(swept)
}

/// For how long a daemon that speaks has been heard.
#[derive(Clone, Copy, Debug)]
enum Hearing {
    /// For as long as anybody was silent.
    AllAlong,
    /// Since then, by this server's own clock. It is a pause that is measured: no stored time is compared with it.
    Since(Instant),
}

impl Hearing {
    /// Whether who was not heard was silent.
    fn tells_silence(self, settings: &Settings) -> bool {
        match self {
            Self::AllAlong => true,
            Self::Since(since) => since.elapsed() >= settings.runtime_silent_after,
        }
    }
}

/// Sweeps, and notes what each step did: it is done though others fail. The runtimes first, because the tasks go by what
/// they are. The first error, if there was any.
async fn sweep(
    writer: &Writer,
    settings: &Settings,
    hearing: &mut Hearing,
    swept: &mut Swept,
) -> Result<()> {
    let mut steps = Steps {
        settings,
        hearing,
        outcome: Ok(()),
    };
    let silenced = silence_runtimes(writer, settings);
    swept.silenced = steps.conclude(silenced).await;
    swept.lost = steps.conclude(lapse::lost(writer, settings)).await;
    // What was dispatched could not be started either, and what waits could not be claimed.
    let timed_out = lapse::timed_out(writer, settings);
    swept.timed_out = steps.conclude(timed_out).await;
    swept.expired = steps.conclude(lapse::expired(writer, settings)).await;
    swept.removed = steps.take(remove_runtimes(writer, settings)).await;
    steps.outcome
}

/// The steps of a sweep.
struct Steps<'a> {
    settings: &'a Settings,
    hearing: &'a mut Hearing,
    /// The first error.
    outcome: Result<()>,
}

impl Steps<'_> {
    /// Takes a step that concludes something from silence, if there was any to be heard; how much it did.
    async fn conclude(&mut self, step: impl Future<Output = Result<usize>>) -> usize {
        if self.hearing.tells_silence(self.settings) {
            self.take(step).await
        } else {
            0
        }
    }

    /// Takes a step; how much it did.
    async fn take(&mut self, step: impl Future<Output = Result<usize>>) -> usize {
        match step.await {
            Ok(done) => done,
            Err(error) => {
                if is_away(&error) {
                    *self.hearing = Hearing::Since(Instant::now());
                }
                if self.outcome.is_ok() {
                    self.outcome = Err(error);
                }
                0
            }
        }
    }
}

/// Whether the database was not there, so that heartbeats were lost too. What is wrong with a step alone does not keep the
/// others from what they do for ever.
fn is_away(error: &Error) -> bool {
    matches!(error, Error::Unavailable(error) if !error::lost_to_another(error))
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
           where runtime.id = silent.id"#
    );
    let silenced = txn.execute_raw(statement).await?.rows_affected();
    txn.commit().await?;
    Ok(usize::try_from(silenced).unwrap_or(usize::MAX))
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
