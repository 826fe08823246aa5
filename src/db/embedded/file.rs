//! Files and directories that another account may have to own.
//!
//! Root writes here into directories that others may own. Nothing follows a symbolic link at the end of a path, and
//! owners and permissions are changed on what has been opened, never by name: otherwise a link planted in the right
//! place would have root give away a file of the system's.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use nix::fcntl::OFlag;
use uuid::Uuid;

use super::account::Account;
use super::error::EmbeddedError;

/// Runs file work on a thread where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    tokio::task::spawn_blocking(work).await?
}

/// Names what was being done when the system refused.
pub(super) fn refused(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> EmbeddedError + use<> {
    let path = path.to_owned();
    move |source| EmbeddedError::File {
        action,
        path,
        source,
    }
}

/// Makes sure that the directory exists, belongs to the account and is closed to everyone else.
pub(super) fn private_directory(path: &Path, account: Account) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(refused("create", path)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let directory = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY).bits())
        .open(path)
        .map_err(refused("open", path))?;
    let metadata = directory.metadata().map_err(refused("examine", path))?;
    if metadata.uid() != account.uid {
        // Root's is one that was created a moment ago, or just before a crash.
        if !account.is_foreign || metadata.uid() != 0 {
            return Err(EmbeddedError::Owner {
                path: path.to_owned(),
                owner: metadata.uid(),
                uid: account.uid,
            });
        }
        fchown(&directory, Some(account.uid), Some(account.gid))
            .map_err(refused("change the owner of", path))?;
    }
    if metadata.mode() & 0o777 != 0o700 {
        directory
            .set_permissions(Permissions::from_mode(0o700))
            .map_err(refused("change the permissions of", path))?;
    }
    Ok(())
}

/// Opens a file for reading and appending, creating it when missing.
pub(super) fn open(path: &Path) -> Result<File, EmbeddedError> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
        .map_err(refused("open", path))
}

/// Gives an opened file to the account, if that is another than ours.
pub(super) fn give(file: &File, path: &Path, account: Account) -> Result<(), EmbeddedError> {
    if account.is_foreign {
        fchown(file, Some(account.uid), Some(account.gid))
            .map_err(refused("change the owner of", path))?;
    }
    Ok(())
}

/// How the names begin under which replacements are written.
pub(super) const DRAFT: &str = "draft-";

/// Replaces a file of the account's by one with this content: after a crash there is either the old one or the new one.
///
/// The content is collected in `workshop`, a directory on the same file system.
pub(super) fn replace(
    path: &Path,
    content: &str,
    account: Account,
    workshop: &Path,
) -> Result<(), EmbeddedError> {
    let draft = workshop.join(format!("{DRAFT}{}", Uuid::new_v4().simple()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(refused("create", &draft))?;
    give(&file, &draft, account)?;
    file.write_all(content.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(refused("write", &draft))?;
    fs::rename(&draft, path).map_err(refused("replace", path))
}

/// Removes what an interrupted process left in the directory: the entries whose names begin so.
///
/// This is housekeeping. A program of that process's may even be at work there still, and then the next time will do.
pub(super) fn sweep(directory: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(prefix.as_bytes())
        {
            continue;
        }
        let path = entry.path();
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path),
            Ok(_) | Err(_) => fs::remove_file(&path),
        };
        if let Err(error) = removed {
            tracing::debug!(%error, path = %path.display(), "could not remove a leftover");
        }
    }
}
