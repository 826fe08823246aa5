//! A database for each test, cloned from a migrated template.

use std::path::PathBuf;
use std::sync::Mutex;

use callboard::db::embedded::{Embedded, Options};
use callboard::db::{self, ConnectOptions, migrate};
use entity::id::TaskId;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement, TransactionTrait,
};
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::postgres::Watchdog;

/// The Postgres that all tests share.
static SERVER: OnceCell<Server> = OnceCell::const_new();

/// Held open until this process ends, however it ends: then the shell behind it stops Postgres.
static WATCHDOG: Mutex<Option<Watchdog>> = Mutex::new(None);

/// A Postgres with a migrated template on it.
struct Server {
    url: String,
    template: String,
}

/// A test's own database.
pub(crate) struct TestDatabase {
    /// The way to it.
    pub(crate) options: PgConnectOptions,
    /// Connections that are nobody's of Callboard's: what they do is plain SQL to it.
    pub(crate) pool: DatabaseConnection,
    name: String,
    server_url: String,
}

impl TestDatabase {
    /// Makes one.
    pub(crate) async fn create() -> Self {
        SERVER.get_or_init(Server::start).await.database().await
    }

    /// Makes one on a Postgres of the test's own.
    pub(crate) async fn create_on(url: &str) -> Self {
        Server::at(url.to_owned()).await.database().await
    }

    /// Runs a statement as plain SQL.
    pub(crate) async fn execute(&self, sql: &str) {
        run(&self.pool, sql).await;
    }

    /// The rows of a query.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<QueryResult> {
        self.pool
            .query_all_raw(Statement::from_string(DbBackend::Postgres, sql))
            .await
            .unwrap()
    }

    /// The one number that a query gives.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        count(&self.pool, sql).await
    }

    /// The most buffers that a statement looks at in one session, with the plans for its first parameters as well as those
    /// for any: what it costs, whatever the machine is at. The first time is left out, for it reads the catalogue too.
    pub(crate) async fn buffers(&self, sql: &str) -> u64 {
        let session = self.pool.begin().await.unwrap();
        let explain = format!("explain (analyze, buffers, format json) {sql}");
        let mut looked_at = Vec::new();
        for _ in 0..8 {
            let statement = Statement::from_string(DbBackend::Postgres, &explain);
            let row = session.query_one_raw(statement).await.unwrap().unwrap();
            let plan: serde_json::Value = row.try_get_by_index(0).unwrap();
            let blocks = |name: &str| plan[0]["Plan"][name].as_u64().unwrap();
            looked_at.push(blocks("Shared Hit Blocks") + blocks("Shared Read Blocks"));
        }
        looked_at.into_iter().skip(1).max().unwrap()
    }

    /// Moves a dispatched task's lease into the past.
    pub(crate) async fn expire_lease(&self, task: TaskId) {
        self.execute(&format!(
            "update agent_task_queue set claim_expires_at = now() - interval '1 second' where id = '{task}'"
        ))
        .await;
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        // The test's runtime may be the one that is blocked here; this needs one that is not.
        let checked = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(async {
                        let pool = plain(&self.options);
                        if !failed {
                            check(&pool).await;
                        }
                        pool.close().await.unwrap();
                        let maintenance = connect(&self.server_url, "postgres");
                        run(
                            &maintenance,
                            &format!("drop database {} with (force)", self.name),
                        )
                        .await;
                        maintenance.close().await.unwrap();
                    });
                })
                .join()
        });
        if !failed {
            checked.expect("the database is as every test has to leave it");
        }
    }
}

impl Server {
    /// Takes the one that is given, or starts one.
    async fn start() -> Self {
        let url = match std::env::var("CALLBOARD_TEST_DATABASE_URL") {
            Ok(url) => url,
            Err(_) => start_own().await,
        };
        Self::at(url).await
    }

    /// Makes a template on it.
    async fn at(url: String) -> Self {
        let template = format!("callboard_template_{}", Uuid::new_v4().simple());
        let maintenance = connect(&url, "postgres");
        run(&maintenance, &format!("create database {template}")).await;
        let pool = connect(&url, &template);
        migrate::migrate(&pool).await.unwrap();
        pool.close().await.unwrap();
        maintenance.close().await.unwrap();
        Self { url, template }
    }

    /// Makes a database on it.
    async fn database(&self) -> TestDatabase {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let maintenance = connect(&self.url, "postgres");
        run(
            &maintenance,
            &format!("create database {name} template {}", self.template),
        )
        .await;
        maintenance.close().await.unwrap();
        let options = database_options(&self.url, &name);
        TestDatabase {
            pool: plain(&options),
            options,
            name,
            server_url: self.url.clone(),
        }
    }
}

/// Starts a Postgres that ends with this process.
async fn start_own() -> String {
    assert!(
        std::env::var_os("NEXTEST").is_none(),
        "a process for each test cannot share a Postgres that ends with the process: set CALLBOARD_TEST_DATABASE_URL"
    );
    let data_dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("postgres");
    let options = Options {
        data_dir: data_dir.clone(),
        durable: false,
        max_connections: 400,
    };
    let embedded = Embedded::start(options)
        .await
        .expect("an embedded Postgres");
    let url = embedded.database_url();
    // It stays in use for as long as this process lives.
    std::mem::forget(embedded);
    *WATCHDOG.lock().unwrap() = Some(Watchdog::over(&data_dir));
    url
}

fn database_options(url: &str, database: &str) -> PgConnectOptions {
    db::parse_url(&SecretString::from(url))
        .unwrap()
        .database(database)
}

/// A pool as Callboard makes them.
fn connect(url: &str, database: &str) -> DatabaseConnection {
    let options = ConnectOptions {
        max_connections: 2,
        statement_timeout: super::PATIENCE,
    };
    db::connect(&database_options(url, database), &options)
}

/// A pool as anybody makes them.
fn plain(options: &PgConnectOptions) -> DatabaseConnection {
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(8)
        .connect_lazy_with(options.clone());
    sea_orm::SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
}

async fn run(db: &impl ConnectionTrait, sql: &str) {
    db.execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// What must be true of every database after every test.
async fn check(pool: &DatabaseConnection) {
    let broken = count(
        pool,
        "select count(*) from agent where (status = 'working') <> exists (
             select from agent_task_queue as task
             where task.agent_id = agent.id and task.status in ('dispatched', 'running'))
         and status in ('idle', 'working')",
    )
    .await;
    assert_eq!(
        broken, 0,
        "agents whose status does not follow from their tasks"
    );
    let unheard = count(
        pool,
        "select count(*) from agent_task_queue as task where not exists (
             select from task_event as event where event.task_id = task.id and event.to_status = task.status)",
    )
    .await;
    assert_eq!(
        unheard, 0,
        "tasks that came to where they are without an event"
    );
}

async fn count(pool: &DatabaseConnection, sql: &str) -> i64 {
    let row = pool
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await
        .unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}
