//! `callboard migrate` and `callboard doctor`.

use std::time::Duration;

use callboard::db::{self, ConnectOptions, migrate};

use super::run;
use crate::harness::TestDatabase;

/// A version of the database that this program cannot know.
const NEWER: &str =
    "insert into seaql_migrations (version, applied_at) values ('m29990101_000001_later', 0)";

/// A database with nothing in it.
async fn empty(database: &TestDatabase) {
    database
        .execute("drop schema public cascade; create schema public")
        .await;
}

#[tokio::test]
async fn an_empty_database_is_migrated_and_a_second_time_changes_nothing() {
    let database = TestDatabase::create().await;
    empty(&database).await;
    assert_eq!(run(&database, &["migrate"]).await.printed(), "");
    let applied = database
        .count("select count(*) from seaql_migrations")
        .await;
    assert!(applied > 0);
    assert_eq!(run(&database, &["migrate"]).await.printed(), "");
    assert_eq!(
        database
            .count("select count(*) from seaql_migrations")
            .await,
        applied
    );
}

#[tokio::test]
async fn two_migrations_at_once_are_one() {
    let database = TestDatabase::create().await;
    empty(&database).await;
    let (one, other) = tokio::join!(run(&database, &["migrate"]), run(&database, &["migrate"]));
    one.printed();
    other.printed();
    let twice = "select count(*) - count(distinct version) from seaql_migrations";
    assert_eq!(database.count(twice).await, 0);
}

#[tokio::test]
async fn a_database_that_a_newer_version_migrated_is_refused_by_every_command() {
    let database = TestDatabase::create().await;
    database.execute(NEWER).await;
    let commands: [&[&str]; 5] = [
        &["migrate"],
        &["serve", "--listen", "127.0.0.1:0"],
        &[
            "workspace",
            "create",
            "--slug",
            "globe",
            "--name",
            "The Globe",
        ],
        &["token", "create", "--kind", "admin"],
        &["token", "list"],
    ];
    for arguments in commands {
        let said = run(&database, arguments).await.refusal();
        assert!(
            said.contains("newer Callboard") && said.contains("m29990101_000001_later"),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(database.count("select count(*) from workspace").await, 0);
    assert_eq!(database.count("select count(*) from api_token").await, 0);
}

#[tokio::test]
async fn a_migration_may_take_longer_than_a_statement_of_a_request() {
    let database = TestDatabase::create().await;
    empty(&database).await;
    let held = database.hold("create table workspace ()").await;
    let options = ConnectOptions {
        max_connections: 2,
        statement_timeout: Duration::from_millis(500),
    };
    let pool = db::connect(&database.options, &options);
    let (migrated, ()) = tokio::join!(migrate::migrate(&pool), async {
        database.until_waiting(1).await;
        let now = "(extract(epoch from clock_timestamp()) * 1000)::int8";
        let over = database.count(&format!("select {now} + 1000")).await;
        database.until(&format!("{now} > {over}")).await;
        held.roll_back().await;
    });
    migrated.unwrap();
    pool.close().await.unwrap();
}

#[tokio::test]
async fn the_doctor_says_what_is_well_and_what_is_not() {
    let database = TestDatabase::create().await;
    database.execute(NEWER).await;
    let outcome = run(&database, &["doctor", "--claim-lease", "1s"]).await;
    assert!(!outcome.success);
    let line = |name: &str| {
        let found = outcome.stdout.lines().find(|line| line.contains(name));
        found.unwrap_or_else(|| panic!("nothing of {name} in {}", outcome.stdout))
    };
    assert!(line("listener").starts_with("ok "));
    assert!(line("migrations").starts_with("fault "));
    assert!(line("migrations").contains("newer Callboard"));
    assert!(line("settings").contains("claim lease"));
}

#[tokio::test]
async fn the_doctor_tells_of_migrations_that_are_missing_and_applies_none() {
    let database = TestDatabase::create().await;
    empty(&database).await;
    let outcome = run(&database, &["doctor"]).await;
    assert!(!outcome.success);
    assert!(
        outcome.stdout.contains("migrations are missing"),
        "{}",
        outcome.stdout
    );
    assert_eq!(
        database
            .count("select count(*) from pg_tables where schemaname = 'public'")
            .await,
        0
    );
    run(&database, &["migrate"]).await.printed();
}

#[tokio::test]
async fn the_doctor_tells_of_a_database_that_does_not_answer() {
    let database = TestDatabase::create().await;
    // Nobody listens at port 1.
    let outcome = run(
        &database,
        &[
            "doctor",
            "--database-url",
            "postgresql://nobody@127.0.0.1:1/none",
        ],
    )
    .await;
    assert!(!outcome.success);
    assert!(
        outcome.stdout.contains("fault  database") && outcome.stdout.contains("refused"),
        "{}",
        outcome.stdout
    );
}
