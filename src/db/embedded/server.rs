//! The server on the cluster: starting, adopting, stopping. All of it is done under the start lock.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, PgConnection};
use tokio::time::Instant;

use super::Options;
use super::account::Account;
use super::binaries::Binaries;
use super::cluster::SUPERUSER;
use super::error::EmbeddedError;
use super::file::{self, refused};
use super::layout::Layout;
use super::postmaster::{self, Postmaster};
use super::{log, settings};

/// The number in the socket's name; nothing listens on a port.
pub(super) const PORT: u16 = 5432;

/// How long the server may take to accept a connection, recovery from a crash included.
const START_LIMIT: Duration = Duration::from_mins(2);

/// How long starting is tried again when it fails: for a moment after the server's main process has been killed, its
/// other processes still hold its memory, and it refuses to start.
const RETRY_LIMIT: Duration = Duration::from_secs(10);

/// How long a living server may be without its socket before it counts as lost, as when someone has cleaned it away.
const SOCKET_LIMIT: Duration = Duration::from_secs(30);

/// How long the server may take to stop: it writes out what is in its memory first.
const STOP_LIMIT: Duration = Duration::from_mins(2);

/// How long an attempt to connect may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How often a server that is not there yet is asked again.
const INTERVAL: Duration = Duration::from_millis(50);

/// What a server says that will be ready in a moment, stops at the moment, or has all its connections in use.
const LATER: [&str; 2] = ["57P03", "53300"];

/// The server on a cluster, running or not.
#[derive(Debug)]
pub(super) struct Server<'a> {
    layout: &'a Layout,
    account: Account,
    binaries: &'a Binaries,
}

/// What came of an attempt to connect.
enum Answer {
    /// A connection.
    Ready(Box<PgConnection>),
    /// The server is there but asks for patience.
    Later(sqlx::Error),
    /// Nobody listens.
    Silence(sqlx::Error),
}

impl<'a> Server<'a> {
    /// The server on the layout's cluster.
    pub(super) fn new(layout: &'a Layout, account: Account, binaries: &'a Binaries) -> Self {
        Self {
            layout,
            account,
            binaries,
        }
    }

    /// Waits until the server accepts a connection, starting it whenever it turns out not to run.
    ///
    /// What answers on the socket is adopted before anything else is asked: it is proof of a server, which
    /// `postmaster.pid` is not.
    pub(super) async fn ensure_running(
        &self,
        options: &Options,
    ) -> Result<Box<PgConnection>, EmbeddedError> {
        let layout = self.layout.clone();
        let account = self.account;
        file::blocking(move || file::private_directory(&layout.sockets, account)).await?;

        let began = Instant::now();
        let mut heard = began;
        let mut first_failure = None;
        loop {
            let error = match self.connect().await? {
                Answer::Ready(connection) => return Ok(connection),
                Answer::Later(error) => {
                    heard = Instant::now();
                    error
                }
                Answer::Silence(error) => {
                    match self.postmaster().await? {
                        Postmaster::Gone => {
                            if let Err(failure) = self.launch(options).await {
                                let since = first_failure.get_or_insert_with(Instant::now);
                                if since.elapsed() >= RETRY_LIMIT {
                                    return Err(failure);
                                }
                                tracing::debug!(%failure, "trying again to start the embedded database");
                            }
                            heard = Instant::now();
                        }
                        Postmaster::Certain if heard.elapsed() >= SOCKET_LIMIT => {
                            tracing::warn!(
                                "the embedded database runs but has lost its socket; restarting it"
                            );
                            self.stop().await?;
                        }
                        Postmaster::Certain | Postmaster::Probable => {}
                    }
                    error
                }
            };
            if began.elapsed() >= START_LIMIT {
                return Err(EmbeddedError::Unanswered {
                    limit: START_LIMIT,
                    log: self.layout.log.clone(),
                    tail: self.log_tail(0).await,
                    source: error,
                });
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Stops the server, if it runs: ends its sessions and writes everything out.
    pub(super) async fn stop(&self) -> Result<(), EmbeddedError> {
        if self.postmaster().await? == Postmaster::Gone {
            return Ok(());
        }
        let stopped = self
            .binaries
            .program("pg_ctl", self.account)
            .cluster(&self.layout.cluster)
            .arg("stop")
            .arg("--mode=fast")
            .arg(format!("--timeout={}", STOP_LIMIT.as_secs()))
            .arg("--silent")
            .run(STOP_LIMIT + CONNECT_LIMIT)
            .await;
        // It may have died by itself in between, and then there is nothing to complain of.
        if self.postmaster().await? != Postmaster::Gone {
            stopped?;
        }
        tracing::info!("stopped the embedded database");
        Ok(())
    }

    /// Starts the server and waits until it accepts connections.
    async fn launch(&self, options: &Options) -> Result<(), EmbeddedError> {
        let layout = self.layout.clone();
        let account = self.account;
        let settings = settings::render(&layout.sockets, options);
        let log_start = file::blocking(move || {
            file::replace(&layout.settings, &settings, account, &layout.directory)?;
            postmaster::disown(&layout, account)?;
            log::prepare(&layout.log, account)
        })
        .await?;

        let began = Instant::now();
        let started = self
            .binaries
            .program("pg_ctl", self.account)
            .cluster(&self.layout.cluster)
            .arg("start")
            .arg("--wait")
            .arg(format!("--timeout={}", START_LIMIT.as_secs()))
            .arg("--silent")
            // Relative to the working directory, for the sake of the shell again.
            .arg("--log=postgres.log")
            .current_dir(&self.layout.directory)
            .run(START_LIMIT + CONNECT_LIMIT)
            .await;
        match started {
            Ok(_) => {
                tracing::info!(
                    elapsed_ms = began.elapsed().as_millis(),
                    major = self.binaries.version.major,
                    "started the embedded database"
                );
                Ok(())
            }
            Err(EmbeddedError::Failed { program, output }) => Err(EmbeddedError::Failed {
                program,
                output: format!("{output}\n{}", self.log_tail(log_start).await),
            }),
            Err(error) => Err(error),
        }
    }

    /// Asks for a connection to the database that every cluster has.
    async fn connect(&self) -> Result<Answer, EmbeddedError> {
        let connecting = PgConnectOptions::new_without_pgpass()
            .socket(&self.layout.sockets)
            .port(PORT)
            .username(SUPERUSER)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable);
        let error = match tokio::time::timeout(CONNECT_LIMIT, connecting.connect()).await {
            Ok(Ok(connection)) => return Ok(Answer::Ready(Box::new(connection))),
            Ok(Err(error)) => error,
            Err(elapsed) => return Ok(Answer::Later(sqlx::Error::Io(elapsed.into()))),
        };
        match error.as_database_error().map(DatabaseError::code) {
            Some(Some(code)) if LATER.contains(&code.as_ref()) => Ok(Answer::Later(error)),
            Some(_) => Err(EmbeddedError::Database {
                action: "let us in",
                source: error,
            }),
            None => Ok(Answer::Silence(error)),
        }
    }

    /// What is known of the server's main process.
    async fn postmaster(&self) -> Result<Postmaster, EmbeddedError> {
        let cluster = self.layout.cluster.clone();
        file::blocking(move || Postmaster::of(&cluster)).await
    }

    /// The end of what the server has logged from a position on.
    async fn log_tail(&self, start: u64) -> String {
        let path = self.layout.log.clone();
        file::blocking(move || log::tail(&path, start).map_err(refused("read", &path)))
            .await
            .unwrap_or_else(|error| error.to_string())
    }
}
