//! Running PostgreSQL's programs.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::account::Account;
use super::error::EmbeddedError;

/// What is passed on from our environment. The rest is not the server's business: it may hold secrets, and `PG…`
/// variables would change what the programs do.
const ENVIRONMENT: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// A program to be run as an account.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    command: Command,
}

impl Program {
    /// A program to be run as the account.
    ///
    /// With a user id given, a standard library that runs as root also clears the supplementary groups.
    pub(super) fn new(path: PathBuf, account: Account) -> Self {
        let mut command = Command::new(&path);
        if account.is_foreign {
            command.uid(account.uid).gid(account.gid);
        }
        command.env_clear();
        for name in ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", "/")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null())
            // Ctrl-C goes to the terminal's whole foreground process group. It must reach us alone: neither `initdb`
            // nor the server nor a `pg_ctl stop` may be struck while we finish our work. The server goes further
            // away yet, as `pg_ctl start` makes a session for it.
            .process_group(0)
            .kill_on_drop(true);
        Self { path, command }
    }

    /// The same program with one more argument.
    pub(super) fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// The same program for a cluster.
    ///
    /// The environment tells it which: `pg_ctl` would hand a `-D` to a shell, in quotes that a path can break out of.
    pub(super) fn cluster(mut self, cluster: &Path) -> Self {
        self.command.env("PGDATA", cluster);
        self
    }

    /// The same program in a working directory.
    pub(super) fn current_dir(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Runs the program to its end and returns what it wrote to its standard output.
    pub(super) async fn run(mut self, limit: Duration) -> Result<String, EmbeddedError> {
        let output = match tokio::time::timeout(limit, self.command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(source)) => {
                return Err(EmbeddedError::Spawn {
                    program: self.path,
                    source,
                });
            }
            Err(_) => {
                return Err(EmbeddedError::Unfinished {
                    program: self.path,
                    limit,
                });
            }
        };
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(EmbeddedError::Failed {
                output: complaint(&output),
                program: self.path,
            })
        }
    }
}

/// What a failed program has to say for itself.
fn complaint(output: &Output) -> String {
    let written = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes));
    let written = written.join("\n").trim().to_owned();
    if written.is_empty() {
        output.status.to_string()
    } else {
        written
    }
}
