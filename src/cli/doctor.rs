//! `callboard doctor`: says in words what is wrong.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, raw_sql};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};

use super::database::Database;
use crate::config::{DatabaseArgs, ServeArgs};
use crate::db::{self, migrate};

/// The oldest Postgres that will do.
const OLDEST_POSTGRES: i32 = 150_000;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a notification may take.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Says in words what is wrong with the database, the listener and the settings.
#[derive(Args, Debug)]
pub(super) struct DoctorCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    serve: ServeArgs,
}

impl DoctorCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let database = Database::open(&self.database).await?;
        let pool = database.connect();
        let listener = self
            .serve
            .listener_database_url
            .as_ref()
            .map(db::parse_url)
            .transpose()?;
        let listener = listener.unwrap_or_else(|| database.options.clone());
        let mut checks = vec![("settings", self.check_settings())];
        match check_connection(&database.options).await {
            Ok(()) => checks.extend([
                ("database", check_database(&pool).await),
                ("migrations", migrate::check(&pool).await),
                ("listener", check_listener(&pool, &listener).await),
            ]),
            // The others would say the same, each after a wait of its own.
            Err(error) => checks.push(("database", Err(error))),
        }
        pool.close().await?;
        database.close().await?;

        let mut faults = 0;
        for (name, outcome) in checks {
            match outcome {
                Ok(()) => super::print(&format!("ok     {name}")),
                Err(error) => {
                    faults += 1;
                    super::print(&format!("fault  {name}: {error:#}"));
                }
            }
        }
        anyhow::ensure!(faults == 0, "found {faults} faults");
        Ok(())
    }

    fn check_settings(&self) -> anyhow::Result<()> {
        let settings = &self.serve.settings;
        anyhow::ensure!(
            settings.claim_lease >= Duration::from_secs(10),
            "a claim lease under 10s is shorter than a daemon may take to claim and start"
        );
        anyhow::ensure!(
            settings.event_retention >= Duration::from_hours(1),
            "events kept under an hour cannot bring a front end back that was closed over lunch"
        );
        Ok(())
    }
}

/// Connects once. A pool would go on trying, and not say why it fails.
async fn check_connection(options: &PgConnectOptions) -> anyhow::Result<()> {
    let connection = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(options))
        .await
        .context("it does not answer")??;
    connection.close().await?;
    Ok(())
}

async fn check_database(pool: &DatabaseConnection) -> anyhow::Result<()> {
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select current_setting('server_version_num')::int as version, current_setting('server_version') as name,
               current_setting('fsync') as fsync"#
    );
    let row = pool
        .query_one_raw(statement)
        .await?
        .ok_or_else(|| anyhow::anyhow!("it does not say its version"))?;
    let (version, name): (i32, String) = (row.try_get("", "version")?, row.try_get("", "name")?);
    anyhow::ensure!(
        version >= OLDEST_POSTGRES,
        "it is PostgreSQL {name}; Callboard needs 15 or newer"
    );
    let fsync: String = row.try_get("", "fsync")?;
    anyhow::ensure!(
        fsync == "on",
        "fsync is off: a crash of the machine can destroy it"
    );
    Ok(())
}

async fn check_listener(
    pool: &DatabaseConnection,
    listener: &PgConnectOptions,
) -> anyhow::Result<()> {
    check_connection(listener).await?;
    let connection = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(listener.clone())
        .await?;
    let mut listener = PgListener::connect_with(&connection).await?;
    listener.listen("callboard_doctor").await?;
    pool.execute_unprepared("select pg_notify('callboard_doctor', '')")
        .await?;
    match tokio::time::timeout(LISTEN_TIMEOUT, listener.recv()).await {
        Ok(heard) => heard.map(|_| ()).map_err(anyhow::Error::from),
        Err(_elapsed) => anyhow::bail!(
            "LISTEN is not answered, as behind a transaction pooler: give --listener-database-url, or changes made \
             elsewhere show up a second late"
        ),
    }
}
