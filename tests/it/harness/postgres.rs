//! A Postgres of a test's own, to be killed.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use callboard::db::embedded::{Embedded, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// Stops the Postgres in a directory when this process ends, however it ends, or when dropped.
pub(crate) struct Watchdog(Child);

impl Watchdog {
    /// Begins to watch over it.
    pub(crate) fn over(data_dir: &std::path::Path) -> Self {
        let child = Command::new("sh")
            .args(["-c", r#"cat; kill -INT "$(head -n 1 "$1")""#, "sh"])
            .arg(data_dir.join("cluster/postmaster.pid"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// The Postgres. What it has committed it keeps, however it ends.
pub(crate) struct OwnPostgres {
    // In this order: it is stopped before its files are removed.
    _watchdog: Watchdog,
    directory: TempDir,
    embedded: Embedded,
}

impl OwnPostgres {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let directory = TempDir::with_prefix_in("postgres-", env!("CARGO_TARGET_TMPDIR")).unwrap();
        let embedded = Self::embedded(directory.path().to_owned()).await;
        // A commit has to outlive the process, and need not outlive the machine.
        let mut connection = PgConnection::connect(&embedded.database_url())
            .await
            .unwrap();
        for sql in [
            "alter system set synchronous_commit = on",
            "select pg_reload_conf()",
        ] {
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        Self {
            _watchdog: Watchdog::over(directory.path()),
            directory,
            embedded,
        }
    }

    /// The way to it.
    pub(crate) fn url(&self) -> String {
        self.embedded.database_url()
    }

    /// Kills it, as a crash does.
    pub(crate) fn kill(&self) {
        let pid_file = self.directory.path().join("cluster/postmaster.pid");
        let text = std::fs::read_to_string(pid_file).unwrap();
        let pid = text.lines().next().unwrap().parse().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }

    /// Starts it again.
    pub(crate) async fn start_again(&mut self) {
        self.embedded = Self::embedded(self.directory.path().to_owned()).await;
    }

    async fn embedded(data_dir: PathBuf) -> Embedded {
        let options = Options {
            data_dir,
            durable: false,
            max_connections: 60,
        };
        Embedded::start(options)
            .await
            .expect("an embedded Postgres")
    }
}
