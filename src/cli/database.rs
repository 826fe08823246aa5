//! The database of a command: the one that is given, or one of our own for as long as the command runs.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use sea_orm::DatabaseConnection;
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;

use crate::config::{self, DatabaseArgs};
use crate::db::embedded::{self, Embedded};
use crate::db::{self, ConnectOptions, migrate};

/// How many connections our own Postgres accepts.
const EMBEDDED_CONNECTIONS: u32 = 100;

/// How a command that does one thing connects.
const ONE_SHOT: ConnectOptions = ConnectOptions {
    max_connections: 4,
    statement_timeout: Duration::from_mins(1),
};

/// A database that answers.
#[derive(Debug)]
pub(super) struct Database {
    /// The way to it.
    pub(super) options: PgConnectOptions,
    /// It as a URL, if it is our own.
    pub(super) own_url: Option<String>,
    embedded: Option<Embedded>,
}

impl Database {
    /// Finds the database that the arguments name, or makes our own run.
    pub(super) async fn open(args: &DatabaseArgs) -> anyhow::Result<Self> {
        if let Some(url) = &args.database_url {
            return Ok(Self {
                options: db::parse_url(url)?,
                own_url: None,
                embedded: None,
            });
        }
        let data_dir = args.data_dir.clone().or_else(config::default_data_dir);
        let data_dir =
            data_dir.context("there is no home directory; say --data-dir or DATABASE_URL")?;
        let options = embedded::Options {
            data_dir,
            durable: true,
            max_connections: EMBEDDED_CONNECTIONS,
        };
        let embedded = Embedded::start(options).await?;
        let url = embedded.database_url();
        Ok(Self {
            options: db::parse_url(&SecretString::from(url.as_str()))?,
            own_url: Some(url),
            embedded: Some(embedded),
        })
    }

    /// A migrated database, for a command that does one thing.
    pub(super) async fn migrated(
        args: &DatabaseArgs,
    ) -> anyhow::Result<(Self, DatabaseConnection)> {
        let database = Self::open(args).await?;
        let pool = db::connect(&database.options, &ONE_SHOT);
        match migrate::migrate(&pool).await {
            Ok(()) => Ok((database, pool)),
            Err(error) => {
                database.close().await?;
                Err(error)
            }
        }
    }

    /// A pool without migrating, for a command that looks.
    pub(super) fn connect(&self) -> DatabaseConnection {
        db::connect(&self.options, &ONE_SHOT)
    }

    /// Stops our own Postgres, unless somebody else uses it.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        if let Some(embedded) = self.embedded {
            embedded.stop().await?;
        }
        Ok(())
    }
}

/// Brings the database up to this version.
#[derive(Args, Debug)]
pub(super) struct MigrateCommand {
    #[command(flatten)]
    database: DatabaseArgs,
}

impl MigrateCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (database, pool) = Database::migrated(&self.database).await?;
        pool.close().await?;
        tracing::info!("the database is up to date");
        database.close().await
    }
}
