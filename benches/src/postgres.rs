//! The Postgres that the measurements run on: one of our own, durable, with the settings that Postgres has by itself.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;

use anyhow::Context;
use callboard::db::embedded::{Embedded, Options};
use callboard::db::{self, ConnectOptions, migrate};
use sea_orm::DatabaseConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// The database that all others are copied from: migrated and empty.
pub(crate) const EMPTY: &str = "callboard";

/// How many connections it accepts: enough for every server of a run and for pgbench beside them.
const MAX_CONNECTIONS: u32 = 300;

/// A Postgres with databases in it.
#[derive(Debug)]
pub(crate) struct Postgres {
    embedded: Embedded,
    // In this order: it is stopped before its files are removed.
    watchdog: Watchdog,
    directory: TempDir,
}

impl Postgres {
    /// Starts one in a new directory below `under`; without it beside this program, which is on a disk, where a
    /// temporary directory may be in memory.
    pub(crate) async fn start(under: Option<PathBuf>) -> anyhow::Result<Self> {
        let under = match under {
            Some(under) => under,
            None => std::env::current_exe()?
                .parent()
                .context("this program is in no directory")?
                .to_owned(),
        };
        let directory = TempDir::with_prefix_in("bench-", under)?;
        let options = Options {
            data_dir: directory.path().to_owned(),
            durable: true,
            max_connections: MAX_CONNECTIONS,
        };
        let embedded = Embedded::start(options).await?;
        let watchdog = Watchdog::over(directory.path())?;
        let postgres = Self {
            embedded,
            watchdog,
            directory,
        };
        let pool = postgres.pool(EMPTY)?;
        migrate::migrate(&pool).await?;
        pool.close().await?;
        Ok(postgres)
    }

    /// What it says it is.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        let mut connection = self.connect(EMPTY).await?;
        let version = sqlx::query_scalar(
            "select current_setting('server_version') || ', fsync ' || current_setting('fsync')
                 || ', synchronous_commit ' || current_setting('synchronous_commit')
                 || ', shared_buffers ' || current_setting('shared_buffers')",
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(version)
    }

    /// Copies a database that nobody is connected to.
    pub(crate) async fn copy(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let mut connection = self.connect("postgres").await?;
        let sql = format!("create database {to} template {from} strategy file_copy");
        execute(&mut connection, sql).await
    }

    /// Removes a database, with whoever is still connected to it.
    pub(crate) async fn drop(&self, database: &str) -> anyhow::Result<()> {
        let mut connection = self.connect("postgres").await?;
        execute(
            &mut connection,
            format!("drop database {database} with (force)"),
        )
        .await
    }

    /// The way to a database.
    pub(crate) fn options(&self, database: &str) -> anyhow::Result<PgConnectOptions> {
        options(&self.url(), database)
    }

    /// The way to its first database, as text.
    pub(crate) fn url(&self) -> String {
        self.embedded.database_url()
    }

    /// A connection to a database.
    pub(crate) async fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect_with(&self.options(database)?).await?)
    }

    /// A pool such as Callboard makes, for calling into its library.
    pub(crate) fn pool(&self, database: &str) -> anyhow::Result<DatabaseConnection> {
        let connect = ConnectOptions {
            max_connections: 2,
            statement_timeout: std::time::Duration::ZERO,
        };
        Ok(db::connect(&self.options(database)?, &connect))
    }

    /// Its main process.
    pub(crate) fn process(&self) -> Option<u32> {
        let file = self.embedded.directory().join("cluster/postmaster.pid");
        std::fs::read_to_string(file)
            .ok()?
            .lines()
            .next()?
            .parse()
            .ok()
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        self.embedded.directory()
    }

    /// Where it writes its log.
    pub(crate) fn log(&self) -> PathBuf {
        self.embedded.directory().join("postgres.log")
    }

    /// Stops it and removes its files.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.embedded.stop().await?;
        self.watchdog.end();
        self.directory.close()?;
        Ok(())
    }
}

/// The way to a database of the server that a URL leads to.
pub(crate) fn options(url: &str, database: &str) -> anyhow::Result<PgConnectOptions> {
    Ok(PgConnectOptions::from_str(url)?.database(database))
}

/// Executes statements that have no parameters.
pub(crate) async fn execute(connection: &mut PgConnection, sql: String) -> anyhow::Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(connection)
        .await?;
    Ok(())
}

/// Stops the Postgres in a directory when this process ends, however it ends.
#[derive(Debug)]
struct Watchdog(Child);

impl Watchdog {
    fn over(data_dir: &Path) -> anyhow::Result<Self> {
        let child = Command::new("sh")
            .args([
                "-c",
                r#"trap '' INT; cat; test -e "$1" && kill -INT "$(head -n 1 "$1")""#,
                "sh",
            ])
            .arg(data_dir.join("cluster/postmaster.pid"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }

    /// Lets it go, after the server has stopped.
    fn end(mut self) {
        drop(self.0.stdin.take());
        // It finds nothing to stop any more, and how it ended says nothing.
        drop(self.0.wait());
    }
}
