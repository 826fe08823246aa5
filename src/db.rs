//! The way to the database: connecting, migrating, writing.
//!
//! Every connection of ours says `callboard.rings_after_commit`, so that the triggers of the event log leave the
//! ringing to us: [`Write::commit`] does it.

pub mod embedded;
pub mod migrate;
mod pool;

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult,
    IdenStatic, Iterable, QueryResult, SqlxPostgresConnector, Statement,
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

pub use pool::Pool;

use crate::doorbell::Doorbell;
use crate::error::{Error, Result};
use crate::group::Turn;

/// How long a request waits for a connection before it is told that the database does not answer.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that rested longer than this is tried before it is used, so that a restart of Postgres is not
/// felt by requests; one in steady use is not, which would cost a round trip for each request.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The most connections at once.
    pub max_connections: u32,
    /// How long one statement may take.
    pub statement_timeout: Duration,
}

/// Reads a database URL.
pub fn parse_url(url: &SecretString) -> anyhow::Result<PgConnectOptions> {
    PgConnectOptions::from_str(url.expose_secret())
        .map(|options| options.application_name("callboard"))
        .map_err(|error| {
            anyhow::anyhow!("the database URL is not one that Postgres understands: {error}")
        })
}

/// Makes a pool of connections; none is opened before it is needed.
pub fn connect(url: &PgConnectOptions, options: &ConnectOptions) -> DatabaseConnection {
    // No statement of ours is long enough to be worth compiling or dividing among workers, though the planner, who cannot
    // know how little is active, may think so: either took 20 ms of 21 for a workspace's active tasks.
    let set_up = format!(
        "set callboard.rings_after_commit = 'yes'; set timezone = 'UTC'; set statement_timeout = {}; \
         set idle_in_transaction_session_timeout = '1min'; set jit = off; \
         set max_parallel_workers_per_gather = 0; \
         set default_transaction_isolation = 'read committed'",
        options.statement_timeout.as_millis()
    );
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(
                async move { Ok(meta.idle_for < TRUSTED_IDLE || connection.ping().await.is_ok()) },
            )
        })
        .after_connect(move |connection, _| {
            let set_up = set_up.clone();
            Box::pin(async move {
                sqlx::raw_sql(sqlx::AssertSqlSafe(set_up))
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .connect_lazy_with(url.clone());
    SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
}

/// How long to wait before a read is tried again that the database did not answer.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Reads for somebody who would rather wait than fail, as a subscription does while the database is away.
pub async fn until_answered<T, F>(mut read: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    loop {
        match read().await {
            Err(error) if error.is_unavailable() => {
                tracing::debug!(error = %error, "database unavailable; trying again");
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            other => return other,
        }
    }
}

/// What to select of a row that a statement has as one value, where there are others in it: its columns, each under its own
/// name with a prefix, as nested models are read.
pub(crate) fn columns_of<E: EntityTrait>(row: &str, prefix: &str) -> String {
    let columns = E::Column::iter().map(|column| {
        let column = column.as_str();
        format!("({row}).{column} as {prefix}{column}")
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// Reads a row that must not take anybody else's down with it. What is in it may have been written by plain SQL, and there is
/// no room here for all that Postgres has room for; over a time that is too far away the driver panics.
pub(crate) fn read_row<T: FromQueryResult>(row: &QueryResult) -> Result<T, DbErr> {
    catch_unwind(AssertUnwindSafe(|| T::from_query_result(row, "")))
        .unwrap_or_else(|_panic| Err(DbErr::Type("a time is too far away".to_owned())))
}

/// Begins transactions that ring the doorbell when they commit.
#[derive(Clone, Debug)]
pub struct Writer {
    db: Pool,
    doorbell: Doorbell,
}

impl Writer {
    /// Writes through a pool, and rings a bell.
    pub fn new(db: impl Into<Pool>, doorbell: Doorbell) -> Self {
        let db = db.into();
        Self { db, doorbell }
    }

    /// The pool, for reading.
    pub const fn db(&self) -> &Pool {
        &self.db
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> Result<Write> {
        Ok(Write {
            transaction: self.db.begin().await?,
            doorbell: self.doorbell.clone(),
        })
    }

    /// Runs one statement that is a transaction by itself and returns what it changed, with the `place` of who asked for it;
    /// rings where it changed something. The turn is over when the database has answered.
    ///
    /// All of it is done by then. So what cannot be read of it is an answer, and no reason to do it again.
    pub async fn in_turn<T: FromQueryResult>(
        &self,
        statement: Statement,
        turn: Turn,
    ) -> Result<Vec<(i32, Result<T>)>> {
        self.in_turn_ringing(statement, turn, |_| true).await
    }

    /// The same, but that only some of what it returns is worth ringing for.
    pub async fn in_turn_ringing<T: FromQueryResult>(
        &self,
        statement: Statement,
        turn: Turn,
        is_to_be_told: impl Fn(&T) -> bool,
    ) -> Result<Vec<(i32, Result<T>)>> {
        let rows = self.db.query_all_raw(statement).await;
        drop(turn);
        let rows = rows?;
        // Whose turn it is now would otherwise wait for this thread while it reads what is here already.
        tokio::task::yield_now().await;
        let rows = rows.iter().map(|row| {
            let place = row.try_get("", "place")?;
            Ok((place, read_row(row).map_err(Error::from)))
        });
        let rows = rows.collect::<Result<Vec<(i32, Result<T>)>, DbErr>>()?;
        let is_to_be_told = |row: &Result<T>| row.as_ref().map_or(true, &is_to_be_told);
        if rows.iter().any(|(_, row)| is_to_be_told(row)) {
            self.doorbell.ring();
        }
        Ok(rows)
    }
}

/// A transaction that rings the doorbell when it commits. Dropped without a commit, it changes nothing.
#[derive(Debug)]
pub struct Write {
    transaction: DatabaseTransaction,
    doorbell: Doorbell,
}

impl Write {
    /// Commits, and lets everyone know that there may be something to read.
    pub async fn commit(self) -> Result<()> {
        self.transaction.commit().await?;
        self.doorbell.ring();
        Ok(())
    }
}

impl Deref for Write {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}
