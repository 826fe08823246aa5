//! A Postgres of our own, for where no `DATABASE_URL` is given.
//!
//! Finds PostgreSQL on the machine (or downloads it), keeps a cluster in a directory of ours and runs a server on it
//! that is reached through a Unix socket only. It does not migrate: it hands out a URL like any other database's.
//!
//! Several processes may use one directory at a time and each of them may die at any moment, so what they agree on is
//! held by the kernel and falls with them:
//!
//! - `users.lock` is locked shared by every process that uses the server, for as long as it does.
//! - `start.lock` is locked exclusively by whoever starts or stops the server, for as long as that takes.
//!
//! Who stops using the server stops it too, unless `users.lock` shows another user. A server whose users have all died
//! keeps running and is adopted by the next one: starting a second server on the same files would destroy them.
//!
//! The crate `postgresql_embedded` does much of this, but runs neither as root nor with fsync unless told, and fails
//! when a server is left over. Of that family only the download is used.

mod account;
mod binaries;
mod cluster;
mod command;
mod download;
mod error;
mod file;
mod layout;
mod lock;
mod log;
mod postmaster;
mod server;
mod settings;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use account::Account;
use binaries::{Binaries, Sources};
use layout::Layout;
use lock::Lock;
use server::Server;

pub use error::{DownloadError, EmbeddedError};

/// How long to wait for another process that starts or stops the server: longer than its download, `initdb` and start
/// may take together.
const LOCK_LIMIT: Duration = Duration::from_mins(10);

/// What the server is to be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory that everything is kept in; created when missing.
    pub data_dir: PathBuf,
    /// Whether a commit survives a crash of the machine. Off is for tests, whose databases nobody will miss.
    pub durable: bool,
    /// How many connections the server accepts. A server that is already running keeps its own number.
    pub max_connections: u32,
}

/// A use of the server; the server runs at least as long as one of these is held by any process.
///
/// Dropping it without [`Embedded::stop`] leaves the server running, as a hard exit does.
#[derive(Debug)]
pub struct Embedded {
    layout: Layout,
    account: Account,
    binaries: Binaries,
    /// Shared: tells other processes that the server is in use.
    users: Lock,
}

impl Embedded {
    /// Makes the server run, whatever state the directory is in, with a database to migrate in it.
    ///
    /// When this fails or is cancelled half-way, a server that is coming up is left to do so: its recovery may need
    /// longer than we waited, and the next start adopts it.
    pub async fn start(options: Options) -> Result<Self, EmbeddedError> {
        Self::start_from(options, Sources::of_this_machine()).await
    }

    /// Starts with binaries from `sources` alone.
    async fn start_from(options: Options, sources: Sources) -> Result<Self, EmbeddedError> {
        let data_dir = options.data_dir.clone();
        let (layout, account) = file::blocking(move || Layout::open(&data_dir)).await?;

        let starting = Lock::exclusive(&layout.start_lock, LOCK_LIMIT).await?;
        // Nobody locks this one exclusively without holding the other: it is never waited for.
        let users = Lock::shared(&layout.users_lock)?;

        let binaries = binaries::locate(&layout, account, sources).await?;
        cluster::ensure(&layout, account, &binaries, options.durable).await?;
        let server = Server::new(&layout, account, &binaries);
        let mut connection = server.ensure_running(&options).await?;
        cluster::ensure_database(&mut connection).await?;
        drop(connection);

        starting.release();
        Ok(Self {
            layout,
            account,
            binaries,
            users,
        })
    }

    /// The URL of the database, for sqlx and for psql.
    ///
    /// It names everything that the client would else take from its environment (`PGPORT`, `PGSSLMODE`).
    pub fn database_url(&self) -> String {
        format!(
            "postgresql:///{}?host={}&port={}&user={}&sslmode=disable",
            cluster::DATABASE,
            percent_encode(&self.layout.sockets),
            server::PORT,
            cluster::SUPERUSER,
        )
    }

    /// The directory that everything is kept in, absolute and without symbolic links.
    pub fn directory(&self) -> &Path {
        &self.layout.directory
    }

    /// Ends this use of the server and stops it, unless another process still uses it.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        let stopping = Lock::exclusive(&self.layout.start_lock, LOCK_LIMIT).await?;
        self.users.release();
        if let Some(last) = Lock::try_exclusive(&self.layout.users_lock)? {
            Server::new(&self.layout, self.account, &self.binaries)
                .stop()
                .await?;
            last.release();
        } else {
            tracing::info!("another process uses the embedded database; leaving it running");
        }
        stopping.release();
        Ok(())
    }
}

/// Encodes a path so that it can be a value in a URL's query; the directories of a [`Layout`] that get here are UTF-8.
fn percent_encode(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes
        .iter()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                char::from(*byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
