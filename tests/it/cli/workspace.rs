//! `callboard workspace`.

use serde_json::Value;
use uuid::Uuid;

use super::run;
use crate::harness::TestDatabase;

#[tokio::test]
async fn making_a_workspace_prints_its_id() {
    let database = TestDatabase::create().await;
    let printed = super::workspace(&database, "globe").await;
    let id: Uuid = printed.parse().unwrap();
    let count = format!(
        "select count(*) from workspace where id = '{id}' and slug = 'globe' and name = 'A name'"
    );
    assert_eq!(database.count(&count).await, 1);
}

#[tokio::test]
async fn making_a_workspace_prints_an_object_where_one_is_asked_for() {
    let database = TestDatabase::create().await;
    let arguments = [
        "workspace",
        "create",
        "--slug",
        "globe",
        "--name",
        "The Globe\n\"theatre\"",
        "--json",
    ];
    let printed: Value = serde_json::from_str(&run(&database, &arguments).await.printed()).unwrap();
    assert_eq!(printed["slug"], "globe");
    assert_eq!(printed["name"], "The Globe\n\"theatre\"");
    assert!(printed["id"].as_str().unwrap().parse::<Uuid>().is_ok());
}

#[tokio::test]
async fn a_slug_is_taken_once() {
    let database = TestDatabase::create().await;
    super::workspace(&database, "globe").await;
    let arguments = [
        "workspace",
        "create",
        "--slug",
        "globe",
        "--name",
        "Another",
    ];
    let said = run(&database, &arguments).await.refusal();
    assert!(said.contains("a workspace with this slug exists"), "{said}");
    assert_eq!(database.count("select count(*) from workspace").await, 1);
}

#[tokio::test]
async fn a_slug_that_could_not_stand_in_an_address_is_refused() {
    let database = TestDatabase::create().await;
    let long = "a".repeat(64);
    for slug in [
        "",
        "Globe",
        "the globe",
        "-globe",
        "globe-",
        "globe\n",
        "gl_obe",
        "ὅρα",
        &long,
    ] {
        let slug = format!("--slug={slug}");
        let arguments = ["workspace", "create", &slug, "--name", "Any"];
        let said = run(&database, &arguments).await.refusal();
        assert!(said.contains("lower-case letters"), "{slug}: {said}");
    }
    assert_eq!(database.count("select count(*) from workspace").await, 0);
}

#[tokio::test]
async fn a_workspace_without_a_name_is_refused() {
    let database = TestDatabase::create().await;
    let arguments = ["workspace", "create", "--slug", "globe", "--name", " "];
    let said = run(&database, &arguments).await.refusal();
    assert!(said.contains("`name`: must not be empty"), "{said}");
    assert_eq!(database.count("select count(*) from workspace").await, 0);
}
