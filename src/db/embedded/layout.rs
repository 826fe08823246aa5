//! Where things are in the data directory, and that the account Postgres runs as gets there.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::account::Account;
use super::error::EmbeddedError;
use super::file::refused;
use super::server;

/// How long a socket's path may be, in bytes: macOS's limit, a little below Linux's 107.
const SOCKET_PATH_BYTES: usize = 103;

/// The paths within a data directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The data directory itself, absolute and without symbolic links.
    pub(super) directory: PathBuf,
    /// The cluster: what Postgres calls its data directory.
    pub(super) cluster: PathBuf,
    /// The directory of the server's socket.
    pub(super) sockets: PathBuf,
    /// The settings that we give the server.
    pub(super) settings: PathBuf,
    /// The server's log.
    pub(super) log: PathBuf,
    /// The directory of PostgreSQL versions that we downloaded.
    pub(super) downloads: PathBuf,
    /// Locked exclusively while starting or stopping.
    pub(super) start_lock: PathBuf,
    /// Locked shared by every user of the server.
    pub(super) users_lock: PathBuf,
}

impl Layout {
    /// Creates the data directory when missing, and chooses the account that Postgres runs as in it.
    pub(super) fn open(data_dir: &Path) -> Result<(Self, Account), EmbeddedError> {
        // Nobody else has business in there; root alone has to let another account through to the cluster.
        let mode = if nix::unistd::geteuid().is_root() {
            0o711
        } else {
            0o700
        };
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(data_dir)
            .map_err(refused("create", data_dir))?;
        // One directory must not pass for two because of how it is spelled.
        let directory = fs::canonicalize(data_dir).map_err(refused("resolve", data_dir))?;

        let account = Account::choose(&directory.join("cluster"))?;
        if account.is_foreign {
            make_reachable(&directory, account)?;
        }
        Ok((Self::within(directory, account), account))
    }

    /// The paths for a data directory.
    fn within(directory: PathBuf, account: Account) -> Self {
        Self {
            cluster: directory.join("cluster"),
            sockets: socket_directory(&directory, account),
            settings: directory.join("postgres.conf"),
            log: directory.join("postgres.log"),
            downloads: directory.join("postgresql"),
            start_lock: directory.join("start.lock"),
            users_lock: directory.join("users.lock"),
            directory,
        }
    }
}

/// Makes sure that the account can pass through the data directory and all that are above it.
///
/// Only the data directory itself is ours to open, and only if it is root's: above it others may rely on what is closed.
fn make_reachable(directory: &Path, account: Account) -> Result<(), EmbeddedError> {
    for ancestor in directory.ancestors() {
        let metadata = fs::metadata(ancestor).map_err(refused("examine", ancestor))?;
        if account.may_enter(&metadata) {
            continue;
        }
        if ancestor != directory || metadata.uid() != 0 {
            return Err(EmbeddedError::Unreachable {
                directory: ancestor.to_owned(),
                uid: account.uid,
            });
        }
        fs::set_permissions(
            ancestor,
            Permissions::from_mode(metadata.mode() & 0o7777 | 0o011),
        )
        .map_err(refused("change the permissions of", ancestor))?;
    }
    Ok(())
}

/// The directory for the server's socket: in the data directory, or where that will not do, in `/tmp`.
///
/// Every process has to arrive at the same one, hence the hash. In `/tmp` anyone may create it before us; whoever uses
/// it makes sure of its owner first. Postgres touches its files there every hour, so that no cleaning takes them.
fn socket_directory(directory: &Path, account: Account) -> PathBuf {
    let within = directory.join("run");
    if is_socket_directory(&within) {
        return within;
    }
    let hash = Sha256::digest(directory.as_os_str().as_encoded_bytes())
        .iter()
        .take(8)
        .fold(0, |hash, byte| hash << 8 | u64::from(*byte));
    PathBuf::from(format!("/tmp/callboard-{}-{hash:016x}", account.uid))
}

/// Whether Postgres and its clients can use the directory: its socket's path has to fit into the system's address
/// structure, URLs are UTF-8, and a comma separates hosts for libpq.
fn is_socket_directory(path: &Path) -> bool {
    let socket = path.join(format!(".s.PGSQL.{}", server::PORT));
    path.to_str()
        .is_some_and(|text| !text.contains(|c: char| c == ',' || c.is_control()))
        && socket.as_os_str().len() <= SOCKET_PATH_BYTES
}
