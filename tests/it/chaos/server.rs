//! A server as a process of its own, which is killed and replaced.

use std::net::SocketAddr;
use std::process::Stdio;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::harness::{PATIENCE, Proxy, TestDatabase};

/// A server, with a line to the database that can be cut.
pub(super) struct Server {
    pub(super) line: Proxy,
    database: PgConnectOptions,
    process: Child,
    address: watch::Sender<Option<SocketAddr>>,
}

impl Server {
    /// Starts one.
    pub(super) async fn start(database: &TestDatabase) -> Self {
        let line = Proxy::start(&database.options).await;
        let database = line.options(&database.options);
        let (process, address) = run(&database, "info", &watch::channel(String::new()).0).await;
        Self {
            line,
            database,
            process,
            address: watch::channel(Some(address)).0,
        }
    }

    /// Kills it and starts another.
    pub(super) async fn replace(&mut self) {
        self.address.send_replace(None);
        self.process.kill().await.unwrap();
        let (process, address) =
            run(&self.database, "info", &watch::channel(String::new()).0).await;
        self.process = process;
        self.address.send_replace(Some(address));
    }

    /// Where it is; nowhere while there is none.
    pub(super) fn address(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.address.subscribe()
    }
}

/// Starts a process, again and again while the database is away; what it logs, so
/// far as the filter lets it, goes to `log`.
pub(super) async fn run(
    database: &PgConnectOptions,
    filter: &str,
    log: &watch::Sender<String>,
) -> (Child, SocketAddr) {
    let starting = async {
        loop {
            if let Some(running) = try_to_run(database, filter, log).await {
                return running;
            }
        }
    };
    tokio::time::timeout(3 * PATIENCE, starting)
        .await
        .expect("a server starts in time")
}

async fn try_to_run(
    database: &PgConnectOptions,
    filter: &str,
    log: &watch::Sender<String>,
) -> Option<(Child, SocketAddr)> {
    let mut process = Command::new(env!("CARGO_BIN_EXE_callboard"))
        .args(["serve", "--listen", "127.0.0.1:0", "--log", filter])
        .env_clear()
        .env("DATABASE_URL", database.to_url_lossy().as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, rest)) = line.split_once("Callboard is at http://") {
            let address = rest.split([',', ' ']).next().unwrap().parse().unwrap();
            let log = log.clone();
            // Somebody goes on reading, or its log would break the pipe.
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    log.send_modify(|log| log.push_str(&line));
                }
            });
            return Some((process, address));
        }
    }
    None
}
