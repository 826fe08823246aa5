//! The server's main process, as its file `postmaster.pid` tells of it.
//!
//! Postgres trusts this file as long as any process of its account has that number, even a dead one that nobody has
//! waited for. After a hard exit both happen: in a container process numbers start over and meet again, and its first
//! process may not wait for orphans. Here we look closer.

use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::account::Account;
use super::error::EmbeddedError;
use super::file::{self, refused};
use super::layout::Layout;

/// The states of a process that is dead, in `/proc`.
const DEAD: [&str; 2] = ["Z", "X"];

/// What is known of the process that the file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Postmaster {
    /// There is none, or it is not this cluster's server.
    Gone,
    /// It may well be the server, but the system does not let us see enough to be sure.
    Probable,
    /// It is the server.
    Certain,
}

impl Postmaster {
    /// Looks at the process that the cluster's file names.
    pub(super) fn of(cluster: &Path) -> Result<Self, EmbeddedError> {
        Ok(recorded(cluster)?.map_or(Self::Gone, |pid| Self::look(pid, cluster)))
    }

    /// Looks at a process: whether it lives, is a Postgres, and works in the cluster's directory as all of its
    /// processes do. Without the last, the processes of another Postgres of the account's could pass for ours.
    fn look(pid: i32, cluster: &Path) -> Self {
        // "4711 (postgres) S …"; the name may itself hold parentheses, and wrappers make it ".postgres-wrapp".
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some((process, rest)) = stat.rsplit_once(") ") else {
            // No /proc, or no such process.
            return if is_taken(pid) {
                Self::Probable
            } else {
                Self::Gone
            };
        };
        let is_dead = DEAD.iter().any(|state| rest.starts_with(state));
        if is_dead || !process.contains("postgres") {
            return Self::Gone;
        }
        // A root without all its powers, as in containers, may not look at other users' processes.
        match fs::read_link(format!("/proc/{pid}/cwd")) {
            Ok(directory) if directory == cluster => Self::Certain,
            Ok(_) => Self::Gone,
            Err(_) => Self::Probable,
        }
    }
}

/// Makes Postgres disregard the number in the file, if it is no longer a server's.
///
/// To be called under the start lock only, with the process known to be [`Postmaster::Gone`]. The file is not removed, since Postgres finds
/// by the rest of it whether processes of the former server live on. The number is replaced by ours: Postgres knows
/// that it was started by us, so a file that names us must be an old one.
pub(super) fn disown(layout: &Layout, account: Account) -> Result<(), EmbeddedError> {
    let Some(pid) = recorded(&layout.cluster)? else {
        return Ok(());
    };
    if !is_taken(pid) {
        return Ok(());
    }
    let path = layout.cluster.join("postmaster.pid");
    let text = fs::read_to_string(&path).map_err(refused("read", &path))?;
    let Some((_, rest)) = text.split_once('\n') else {
        return Ok(());
    };
    let ours = std::process::id();
    file::replace(
        &path,
        &format!("{ours}\n{rest}"),
        account,
        &layout.directory,
    )
}

/// The number in the file; none if there is no file, or nothing in it yet.
fn recorded(cluster: &Path) -> Result<Option<i32>, EmbeddedError> {
    let path = cluster.join("postmaster.pid");
    match fs::read_to_string(&path) {
        // A negative number is a server that runs for maintenance.
        Ok(text) => Ok(text
            .lines()
            .next()
            .and_then(|line| line.trim().parse::<i32>().ok())
            .and_then(i32::checked_abs)
            .filter(|pid| *pid > 0)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refused("read", &path)(error)),
    }
}

/// Whether there is a process with this number, be it ours to signal or not.
fn is_taken(pid: i32) -> bool {
    !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}
