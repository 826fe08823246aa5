//! The pool, but that the connection which was used last is used next.
//!
//! What a session of Postgres needs for a statement, its catalogue and its plans, it keeps to itself. A pool that lends its
//! connections in turn uses the coldest next: among twenty, a statement took half as long again as among three. And it tries
//! each that comes back, which is a round trip for every statement. So a few do not go back between statements.
//!
//! Only statements that are transactions by themselves are run here. A transaction of several has a connection from the pool,
//! which sees to it that what is given up is rolled back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    ExecResult, IsolationLevel, QueryResult, RuntimeErr, Statement, TransactionTrait, Values,
};
use sea_query_sqlx::SqlxValues;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor, PgPool, Postgres};

use super::TRUSTED_IDLE;
use crate::metrics::Connections;

/// The most connections that are kept, if that is no more than a quarter of the pool: the others are for transactions.
const MOST_KEPT: u32 = 8;

/// For how long a connection is kept. Then it is the pool's again, which ends those that are old.
const KEPT_FOR: Duration = Duration::from_mins(1);

/// A pool of connections; clones share it.
#[derive(Clone, Debug)]
pub struct Pool {
    connections: DatabaseConnection,
    kept: Arc<Mutex<Kept>>,
    /// How many wait for a connection.
    waiting: Arc<AtomicUsize>,
}

/// Those that do not go back, the one that was used last at the end.
#[derive(Debug)]
struct Kept {
    most: usize,
    connections: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    /// When it was taken from the pool.
    taken: Instant,
    /// When it was used last.
    used: Instant,
    session: PoolConnection<Postgres>,
}

impl Pool {
    /// The connections as SeaORM knows them.
    pub const fn connections(&self) -> &DatabaseConnection {
        &self.connections
    }

    /// How many connections there are, and how many wait for one.
    pub fn count(&self) -> Connections {
        let (pool, kept) = (self.sqlx(), self.kept().connections.len());
        let whole = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        Connections {
            most: whole(pool.options().get_max_connections()),
            open: whole(pool.size()),
            idle: pool.num_idle() + kept,
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.spare_one();
        let _waiting = Waiting::among(&self.waiting);
        self.connections.begin().await
    }

    /// Begins a transaction that sees one moment and changes nothing.
    pub async fn begin_snapshot(&self) -> Result<DatabaseTransaction, DbErr> {
        self.spare_one();
        let _waiting = Waiting::among(&self.waiting);
        let (isolation, access) = (IsolationLevel::RepeatableRead, AccessMode::ReadOnly);
        self.connections
            .begin_with_config(Some(isolation), Some(access))
            .await
    }

    /// Closes all connections; waits for those that are in use.
    pub async fn close(self) {
        let forgotten = {
            let mut kept = self.kept();
            kept.most = 0;
            std::mem::take(&mut kept.connections)
        };
        drop(forgotten);
        self.sqlx().close().await;
    }

    fn sqlx(&self) -> &PgPool {
        self.connections.get_postgres_connection_pool()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the pool have one that is kept, where it has no other to lend.
    fn spare_one(&self) {
        let pool = self.sqlx();
        if pool.num_idle() == 0 && pool.size() >= pool.options().get_max_connections() {
            let oldest = {
                let mut kept = self.kept();
                (!kept.connections.is_empty()).then(|| kept.connections.remove(0))
            };
            drop(oldest);
        }
    }

    /// The connection that was used last, or else one from the pool.
    async fn take(&self) -> Result<Connection, DbErr> {
        let last = self.kept().connections.pop();
        if let Some(connection) = last {
            if connection.used.elapsed() < TRUSTED_IDLE {
                return Ok(connection);
            }
            // Nor are those to be trusted that were used before it. The pool tries them.
            let idle = std::mem::take(&mut self.kept().connections);
            drop((connection, idle));
        }
        let waiting = Waiting::among(&self.waiting);
        let session = self.sqlx().acquire().await;
        drop(waiting);
        let session =
            session.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))?;
        let taken = Instant::now();
        Ok(Connection {
            taken,
            used: taken,
            session,
        })
    }

    /// Keeps a connection that did what it was asked. One that did not goes back to the pool, which tries it.
    fn keep(&self, mut connection: Connection) {
        connection.used = Instant::now();
        let mut kept = self.kept();
        if kept.connections.len() < kept.most && connection.taken.elapsed() < KEPT_FOR {
            kept.connections.push(connection);
        }
    }
}

impl From<DatabaseConnection> for Pool {
    fn from(connections: DatabaseConnection) -> Self {
        let pool = connections.get_postgres_connection_pool();
        let most = (pool.options().get_max_connections() / 4).min(MOST_KEPT);
        let kept = Kept {
            most: usize::try_from(most).unwrap_or(0),
            connections: Vec::new(),
        };
        Self {
            connections,
            kept: Arc::new(Mutex::new(kept)),
            waiting: Arc::default(),
        }
    }
}

/// One that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(others: &'a AtomicUsize) -> Self {
        others.fetch_add(1, Ordering::Relaxed);
        Self(others)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut connection = self.take().await?;
        let done = query(&statement).execute(&mut *connection.session).await;
        let done = done.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error))))?;
        self.keep(connection);
        Ok(done.into())
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut connection = self.take().await?;
        let sql = AssertSqlSafe(sql.to_owned());
        let done = connection.session.execute(sql).await;
        let done = done.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error))))?;
        self.keep(connection);
        Ok(done.into())
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let rows = self.query_all_raw(statement).await?;
        Ok(rows.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut connection = self.take().await?;
        let rows = query(&statement).fetch_all(&mut *connection.session).await;
        let rows = rows.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))))?;
        self.keep(connection);
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }
}

/// A statement as the driver takes it.
fn query(statement: &Statement) -> Query<'_, Postgres, SqlxValues> {
    let values = statement.values.clone().unwrap_or(Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}
