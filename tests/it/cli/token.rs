//! `callboard token`.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{run, workspace};
use crate::harness::{Client, TestApp, TestDatabase};

/// Whom a token speaks for, in its own words.
async fn viewer(app: &TestApp, token: &str) -> Value {
    let document = "{ viewer { kind name memberId daemonId workspaces { slug } } }";
    Client::new(app.address(), token)
        .data(document, json!({}))
        .await["viewer"]
        .clone()
}

/// Makes a token.
async fn create(database: &TestDatabase, arguments: &[&str]) -> String {
    let arguments = [&["token", "create"], arguments].concat();
    let printed = run(database, &arguments).await.printed();
    let token = printed.trim_end().to_owned();
    assert_eq!(printed, format!("{token}\n"), "the token stands alone");
    assert!(!token.contains(char::is_whitespace), "{token}");
    token
}

/// The tokens, as machines are told.
async fn list(database: &TestDatabase) -> Vec<Value> {
    let printed = run(database, &["token", "list", "--json"]).await.printed();
    serde_json::from_str(&printed).unwrap()
}

#[tokio::test]
async fn a_token_of_each_kind_is_printed_alone_and_speaks_for_whom_it_should() {
    let app = TestApp::start().await;
    workspace(&app.database, "globe").await;
    let member = Uuid::new_v4().to_string();
    let cases: [(&[&str], &str, Value); 4] = [
        (
            &["--kind", "admin", "--name", "me"],
            "cb_admin_",
            json!({"kind": "ADMIN", "name": "me", "memberId": null, "daemonId": null}),
        ),
        (
            &["--kind", "service", "--workspace", "globe"],
            "cb_service_",
            json!({"kind": "SERVICE", "name": "", "memberId": null, "daemonId": null}),
        ),
        (
            &[
                "--kind",
                "member",
                "--workspace",
                "globe",
                "--member",
                &member,
                "--role",
                "owner",
            ],
            "cb_member_",
            json!({"kind": "MEMBER", "name": "", "memberId": member, "daemonId": null}),
        ),
        (
            &[
                "--kind",
                "daemon",
                "--workspace",
                "globe",
                "--daemon-id",
                "laptop",
            ],
            "cb_daemon_",
            json!({"kind": "DAEMON", "name": "", "memberId": null, "daemonId": "laptop"}),
        ),
    ];
    for (arguments, prefix, mut expected) in cases {
        let token = create(&app.database, arguments).await;
        assert!(token.starts_with(prefix), "{arguments:?}");
        expected["workspaces"] = json!([{"slug": "globe"}]);
        assert_eq!(viewer(&app, &token).await, expected);
    }
}

#[tokio::test]
async fn a_revoked_token_ends_and_stays_in_the_list() {
    let app = TestApp::start().await;
    let token = create(&app.database, &["--kind", "admin"]).await;
    let id = list(&app.database).await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        run(&app.database, &["token", "revoke", &id])
            .await
            .printed(),
        ""
    );

    let error = Client::new(app.address(), &token)
        .error("{ viewer { kind } }", json!({}))
        .await;
    assert_eq!(error.code, "UNAUTHENTICATED");
    let revoked = list(&app.database).await;
    assert!(revoked[0]["revokedAt"].is_string());
    // A second time changes nothing.
    run(&app.database, &["token", "revoke", &id])
        .await
        .printed();
    assert_eq!(
        list(&app.database).await[0]["revokedAt"],
        revoked[0]["revokedAt"]
    );
}

#[tokio::test]
async fn revoking_a_token_that_is_not_there_fails() {
    let database = TestDatabase::create().await;
    let said = run(&database, &["token", "revoke", &Uuid::new_v4().to_string()])
        .await
        .refusal();
    assert!(said.contains("token not found"), "{said}");
    run(&database, &["token", "revoke", "all"]).await.refusal();
}

#[tokio::test]
async fn a_list_tells_whom_tokens_speak_for_and_never_the_tokens() {
    let database = TestDatabase::create().await;
    workspace(&database, "globe").await;
    let arguments = [
        "--kind",
        "daemon",
        "--workspace",
        "globe",
        "--daemon-id",
        "laptop",
        "--name",
        "my laptop",
        "--expires-in",
        "30d",
    ];
    let token = create(&database, &arguments).await;
    let secret = token.rsplit('_').next().unwrap();

    let listed = list(&database).await;
    let [row] = listed.as_slice() else {
        panic!("{listed:?}")
    };
    assert_eq!(row["kind"], "daemon");
    assert_eq!(row["workspace"], "globe");
    assert_eq!(row["daemonId"], "laptop");
    assert_eq!(row["name"], "my laptop");
    assert_eq!(row["lastUsedAt"], Value::Null);
    let expires =
        "select count(*) from api_token where expires_at - created_at = interval '30 days'";
    assert_eq!(database.count(expires).await, 1);
    for arguments in [&["token", "list"][..], &["token", "list", "--json"]] {
        let printed = run(&database, arguments).await.printed();
        assert!(
            printed.contains("laptop") && !printed.contains(secret),
            "{printed}"
        );
    }
    let hash = "select encode(hash, 'hex') from api_token";
    let hash: String = database.rows(hash).await[0].try_get_by_index(0).unwrap();
    let printed = run(&database, &["token", "list", "--json"]).await.printed();
    assert!(!printed.contains(&hash), "{printed}");
}

#[tokio::test]
async fn a_token_that_would_speak_for_nobody_is_refused() {
    let database = TestDatabase::create().await;
    workspace(&database, "globe").await;
    let cases: [&[&str]; 9] = [
        &[],
        &["--kind", "king"],
        &["--kind", "service"],
        &["--kind", "service", "--workspace", "rose"],
        &["--kind", "member", "--workspace", "globe"],
        &[
            "--kind",
            "member",
            "--workspace",
            "globe",
            "--member",
            "will",
        ],
        &["--kind", "daemon", "--workspace", "globe"],
        &[
            "--kind",
            "daemon",
            "--workspace",
            "globe",
            "--daemon-id",
            "",
        ],
        &["--kind", "admin", "--expires-in", "soon"],
    ];
    for arguments in cases {
        let arguments = [&["token", "create"], arguments].concat();
        let said = run(&database, &arguments).await.refusal();
        assert!(!said.contains("internal error"), "{arguments:?}: {said}");
    }
    assert_eq!(database.count("select count(*) from api_token").await, 0);
}
