//! Plain SQL by the load generator that comes with PostgreSQL; here, the same life of a task.

use std::process::Stdio;

use anyhow::Context;
use tokio::process::Command;

use crate::postgres::Postgres;

/// What each client does again and again: the queries that Callboard's tables were made for, each in a transaction of
/// its own, with the agents of one runtime.
const SCRIPT: &str = include_str!("life.sql");

/// Lets so many clients live tasks; how many lives there were in a second.
pub(super) async fn run(
    postgres: &Postgres,
    database: &str,
    clients: u32,
    seconds: u32,
) -> anyhow::Result<f64> {
    let script = Script {
        text: SCRIPT,
        defines: vec![format!("daemons={clients}")],
    };
    script.run(postgres, database, clients, seconds).await
}

/// A statement of the life, by the name that stands above it.
pub(crate) fn statement(name: &str) -> anyhow::Result<&'static str> {
    SCRIPT
        .split("-- ")
        .find_map(|part| part.strip_prefix(name))
        .with_context(|| format!("a life has no statement {name}"))
}

/// What pgbench is to do.
#[derive(Debug)]
pub(crate) struct Script {
    /// Its statements.
    pub(crate) text: &'static str,
    /// What its variables are, as `name=value`.
    pub(crate) defines: Vec<String>,
}

impl Script {
    /// Lets so many clients do it again and again; how often it was done in a second.
    pub(crate) async fn run(
        &self,
        postgres: &Postgres,
        database: &str,
        clients: u32,
        seconds: u32,
    ) -> anyhow::Result<f64> {
        let repeated = Repeated {
            text: self.text,
            defines: &self.defines,
            clients,
            until: Until::Seconds(seconds),
        };
        repeated.run(postgres, database).await
    }
}

/// For how long something is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// For so many seconds.
    Seconds(u32),
    /// Until each client has done it so often.
    Times(u32),
}

/// What pgbench does again and again.
#[derive(Debug)]
pub(crate) struct Repeated<'a> {
    /// Its statements.
    pub(crate) text: &'a str,
    /// What its variables are, as `name=value`.
    pub(crate) defines: &'a [String],
    /// How many do it at once.
    pub(crate) clients: u32,
    /// For how long.
    pub(crate) until: Until,
}

impl Repeated<'_> {
    /// Does it; how often it was done in a second.
    pub(crate) async fn run(&self, postgres: &Postgres, database: &str) -> anyhow::Result<f64> {
        let mut connection = postgres.connect(database).await?;
        let programs: String =
            sqlx::query_scalar("select setting from pg_config where name = 'BINDIR'")
                .fetch_one(&mut connection)
                .await?;
        drop(connection);
        let options = postgres.options(database)?;
        let socket = options.get_socket().context("Postgres is at a socket")?;
        let script = postgres.directory().join("script.sql");
        tokio::fs::write(&script, self.text).await?;
        let until = match self.until {
            Until::Seconds(seconds) => format!("--time={seconds}"),
            Until::Times(times) => format!("--transactions={times}"),
        };
        let defines = self.defines.iter().flat_map(|define| ["--define", define]);
        let pgbench = Command::new(std::path::Path::new(&programs).join("pgbench"))
            .arg("--host")
            .arg(socket)
            .args(["--port", &options.get_port().to_string()])
            .args(["--username", options.get_username()])
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
            .args(["--client", &self.clients.to_string()])
            .arg(until)
            .args(defines)
            .arg("--file")
            .arg(script)
            .arg(database)
            // So that the triggers leave the ringing to a server, as they do for Callboard's own sessions.
            .env("PGOPTIONS", "-c callboard.rings_after_commit=yes")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let output = String::from_utf8_lossy(&pgbench.stdout);
        rate(&output).with_context(|| {
            let errors = String::from_utf8_lossy(&pgbench.stderr);
            format!("pgbench said: {output}{errors}")
        })
    }
}

/// The transactions a second in what pgbench says; to it, all of a script is one.
fn rate(output: &str) -> Option<f64> {
    let (_, after) = output.split_once("tps = ")?;
    after.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{rate, statement};

    #[test]
    fn a_statement_is_found_by_its_name() {
        let claim = statement("ClaimAgentTaskForRuntime").unwrap();
        assert!(claim.trim_start().starts_with("update agent_task_queue"));
        assert!(claim.trim_end().ends_with("task_"));
        assert!(statement("DeleteEverything").is_err());
    }

    #[test]
    fn the_rate_is_read_out_of_the_output() {
        let output = "latency average = 1.0 ms\ntps = 123.456 (without initial connection time)\n";
        assert_eq!(rate(output), Some(123.456));
        assert_eq!(rate("pgbench: error"), None);
    }
}
