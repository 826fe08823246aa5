//! Locks between processes: the kernel's, on open files, so that they fall when their holder dies.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::error::EmbeddedError;
use super::file::{self, refused};

/// How often a lock that is held by another process is tried again.
const INTERVAL: Duration = Duration::from_millis(50);

/// A locked file.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Locks the file against everyone else, waiting for at most `limit`.
    pub(super) async fn exclusive(path: &Path, limit: Duration) -> Result<Self, EmbeddedError> {
        let deadline = Instant::now() + limit;
        let mut is_first = true;
        loop {
            if let Some(lock) = Self::try_exclusive(path)? {
                return Ok(lock);
            }
            if is_first {
                tracing::info!(
                    "waiting for another process that starts or stops the embedded database"
                );
                is_first = false;
            }
            if Instant::now() >= deadline {
                return Err(EmbeddedError::Busy {
                    path: path.to_owned(),
                    limit,
                });
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Locks the file against everyone else, unless somebody has locked it.
    pub(super) fn try_exclusive(path: &Path) -> Result<Option<Self>, EmbeddedError> {
        let file = file::open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(refused("lock", path)(source)),
        }
    }

    /// Locks the file against exclusive locks; fails if there is one.
    pub(super) fn shared(path: &Path) -> Result<Self, EmbeddedError> {
        let file = file::open(path)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Self(file)),
            Err(error) => Err(refused("lock", path)(error.into())),
        }
    }

    /// Unlocks the file.
    ///
    /// Closing it would do so too, but not before a child process that another thread is just starting has got rid of
    /// its copy.
    pub(super) fn release(self) {
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "could not unlock; closing the file will");
        }
    }
}
