//! The command line, as real processes: what is for machines is on standard output alone.

mod database;
mod demo;
mod serve;
mod token;
mod workspace;

use std::process::Stdio;

use sqlx::ConnectOptions;
use tokio::process::Command;

use crate::harness::{PATIENCE, TestDatabase};

/// What came of a command.
#[derive(Debug)]
struct Outcome {
    stdout: String,
    stderr: String,
    success: bool,
}

impl Outcome {
    /// What a command that went well printed.
    fn printed(self) -> String {
        assert!(self.success, "{}", self.stderr);
        self.stdout
    }

    /// Why it failed; nothing was printed for machines then.
    fn refusal(self) -> String {
        assert!(!self.success, "{}", self.stdout);
        assert_eq!(self.stdout, "");
        self.stderr
    }
}

/// The program, on a test's database and in an environment that has nothing else in it.
fn callboard(database: &TestDatabase, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callboard"));
    command
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", database.options.to_url_lossy().as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs it to its end.
async fn run(database: &TestDatabase, arguments: &[&str]) -> Outcome {
    let output = tokio::time::timeout(PATIENCE, callboard(database, arguments).output())
        .await
        .expect("the command ends in time")
        .unwrap();
    Outcome {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        success: output.status.success(),
    }
}

/// Makes a workspace with this slug.
async fn workspace(database: &TestDatabase, slug: &str) -> String {
    let arguments = ["workspace", "create", "--slug", slug, "--name", "A name"];
    run(database, &arguments)
        .await
        .printed()
        .trim_end()
        .to_owned()
}

#[tokio::test]
async fn the_schema_is_printed_alone() {
    let database = TestDatabase::create().await;
    let printed = run(&database, &["schema"]).await.printed();
    assert_eq!(printed, include_str!("../../schema.graphql"));
}

#[tokio::test]
async fn help_does_not_show_the_password_in_the_environment() {
    let database = TestDatabase::create().await;
    let output = callboard(&database, &["serve", "--help"])
        .env("DATABASE_URL", "postgresql://me:hunter2@localhost/board")
        .env(
            "CALLBOARD_LISTENER_DATABASE_URL",
            "postgresql://me:hunter2@localhost/board",
        )
        .output()
        .await
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("DATABASE_URL"), "{help}");
    assert!(!help.contains("hunter2"), "{help}");
}

#[tokio::test]
async fn a_database_url_that_cannot_be_read_is_refused_without_being_repeated() {
    let database = TestDatabase::create().await;
    let output = callboard(&database, &["migrate"])
        .env(
            "DATABASE_URL",
            "postgresql://me:hunter2@localhost:notaport/board",
        )
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("database URL"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn the_log_has_no_colours_where_nobody_would_see_them() {
    let database = TestDatabase::create().await;
    let said = run(&database, &["migrate", "--log", "info"]).await.stderr;
    assert!(said.contains("up to date"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

#[tokio::test]
async fn a_log_for_machines_is_an_object_a_line() {
    let database = TestDatabase::create().await;
    let arguments = ["migrate", "--log", "info", "--log-format", "json"];
    let said = run(&database, &arguments).await.stderr;
    assert!(!said.is_empty());
    for line in said.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            line["level"].is_string() && line["timestamp"].is_string(),
            "{line}"
        );
    }
}
