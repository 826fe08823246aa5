//! Whose token it is, and what it may do.

mod permission;
mod recall;
mod scene;
mod socket;

use callboard::auth::{Daemon, Identity};
use entity::id::MemberId;
use entity::member::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Client, TestApp, World};

/// The status and the code of a request with this header.
async fn answer(app: &TestApp, authorization: Option<&str>) -> (u16, Value) {
    // The HTTP client asks for a TLS provider even where it speaks to nobody over TLS; a client of ours installs it.
    let _client = Client::new(app.address(), "");
    let mut request = reqwest::Client::new()
        .post(format!("http://{}/graphql", app.address()))
        .header("content-type", "application/json")
        .body(json!({"query": "{ viewer { kind } }"}).to_string());
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["errors"][0]["extensions"]["code"].clone())
}

/// The answer to somebody who is not known.
fn unauthenticated() -> (u16, Value) {
    (401, json!("UNAUTHENTICATED"))
}

#[tokio::test]
async fn a_viewer_is_told_whose_token_it_shows() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let other = World::new(&app).await;
    let (workspace_id, member_id) = (world.workspace_id, MemberId(Uuid::new_v4()));
    let daemon_id = "laptop".to_owned();
    let (own, all) = (
        vec![workspace_id.0],
        vec![workspace_id.0, other.workspace_id.0],
    );
    let member = |role| Identity::Member {
        workspace_id,
        member_id,
        role,
    };
    let cases = [
        (Identity::Admin, "ADMIN", Value::Null, Value::Null, all),
        (
            Identity::Service { workspace_id },
            "SERVICE",
            Value::Null,
            Value::Null,
            own.clone(),
        ),
        (
            member(Role::Member),
            "MEMBER",
            json!(member_id.0),
            Value::Null,
            own.clone(),
        ),
        (
            member(Role::Owner),
            "MEMBER",
            json!(member_id.0),
            Value::Null,
            own.clone(),
        ),
        (
            Identity::Daemon(Daemon {
                workspace_id,
                daemon_id,
            }),
            "DAEMON",
            Value::Null,
            json!("laptop"),
            own,
        ),
    ];
    for (identity, kind, member_id, daemon_id, workspaces) in cases {
        let client = app.client(identity).await;
        let document = "{ viewer { kind name memberId daemonId workspaces { id } } }";
        let viewer = client.data(document, json!({})).await["viewer"].clone();
        let workspaces: Vec<Value> = workspaces.into_iter().map(|id| json!({"id": id})).collect();
        let expected = json!({"kind": kind, "name": "test", "memberId": member_id, "daemonId": daemon_id, "workspaces": workspaces});
        assert_eq!(viewer, expected);
    }
}

#[tokio::test]
async fn a_request_without_a_token_or_with_one_that_nobody_has_is_refused() {
    let app = TestApp::start().await;
    let known = app.token(Identity::Admin).await;
    let (mut almost, upper) = (known.clone(), known.to_uppercase());
    almost.pop();
    for authorization in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer cb_admin_00000000000000000000000000000000",
        "Bearer null",
        &known,
        &format!("Basic {known}"),
        &format!("Bearer {almost}"),
        &format!("Bearer {known}0"),
        &format!("Bearer {upper}"),
        &format!("Bearer {known} {known}"),
        &format!("Bearer {known}, Bearer {known}"),
    ] {
        assert_eq!(
            answer(&app, Some(authorization)).await,
            unauthenticated(),
            "{authorization}"
        );
    }
    assert_eq!(answer(&app, None).await, unauthenticated());
    for authorization in [
        format!("Bearer {known}"),
        format!("bearer  {known} "),
        format!("BEARER {known}"),
    ] {
        assert_eq!(
            answer(&app, Some(&authorization)).await,
            (200, Value::Null),
            "{authorization}"
        );
    }
}

#[tokio::test]
async fn a_token_ends_when_it_expires() {
    let app = TestApp::start().await;
    let authorization = format!("Bearer {}", app.token(Identity::Admin).await);
    let later = "update api_token set expires_at = now() + interval '1 minute'";
    app.database.execute(later).await;
    assert_eq!(answer(&app, Some(&authorization)).await.0, 200);
    app.database
        .execute("update api_token set expires_at = now()")
        .await;
    assert_eq!(answer(&app, Some(&authorization)).await, unauthenticated());
}

#[tokio::test]
async fn a_token_ends_when_it_is_revoked() {
    let app = TestApp::start().await;
    let authorization = format!("Bearer {}", app.token(Identity::Admin).await);
    assert_eq!(answer(&app, Some(&authorization)).await.0, 200);
    app.database
        .execute("update api_token set revoked_at = now()")
        .await;
    assert_eq!(answer(&app, Some(&authorization)).await, unauthenticated());
}

#[tokio::test]
async fn a_token_ends_with_its_workspace_and_with_its_member() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let member = world.member(Role::Owner).await;
    app.database.execute("delete from member").await;
    assert_eq!(
        member.error("{ viewer { kind } }", json!({})).await.code,
        "UNAUTHENTICATED"
    );
    app.database.execute("delete from workspace").await;
    assert_eq!(
        world
            .host
            .error("{ viewer { kind } }", json!({}))
            .await
            .code,
        "UNAUTHENTICATED"
    );
}

#[tokio::test]
async fn a_token_is_not_kept() {
    let app = TestApp::start().await;
    let token = app.token(Identity::Admin).await;
    let secret = token.rsplit('_').next().unwrap();
    assert_eq!(secret.len(), 32);
    assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let contents = format!("{:?}", app.database.contents().await);
    assert!(contents.contains("api_token") && !contents.contains(secret));
    assert_ne!(token, app.token(Identity::Admin).await);
}

#[tokio::test]
async fn when_a_token_was_last_used_is_noted_once_a_minute() {
    let app = TestApp::start().await;
    let authorization = format!("Bearer {}", app.token(Identity::Admin).await);
    let never = "select count(*) from api_token where last_used_at is null";
    assert_eq!(app.database.count(never).await, 1);

    answer(&app, Some(&authorization)).await;
    let just_now =
        "select count(*) from api_token where last_used_at > now() - interval '30 seconds'";
    assert_eq!(app.database.count(just_now).await, 1);

    let a_while_ago =
        "update api_token set last_used_at = timestamptz '2026-01-01' + interval '0 s'";
    app.database.execute(a_while_ago).await;
    answer(&app, Some(&authorization)).await;
    assert_eq!(app.database.count(just_now).await, 1);

    let within = "update api_token set last_used_at = now() - interval '45 seconds'";
    app.database.execute(within).await;
    answer(&app, Some(&authorization)).await;
    assert_eq!(app.database.count(just_now).await, 0);
}

#[tokio::test]
async fn what_a_member_may_do_follows_their_role_at_once() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let more = json!({"visibility": "PRIVATE"});
    let agent_id = world.agent_of(&world.host, world.runtime_id, more).await;
    let member = world.member(Role::Member).await;
    let document = "query($id: UUID!) { agent(id: $id) { id } }";
    let variables = json!({"id": agent_id.0});
    assert_eq!(
        member.data(document, variables.clone()).await["agent"],
        Value::Null
    );
    app.database
        .execute("update member set role = 'admin'")
        .await;
    assert_eq!(
        member.data(document, variables).await["agent"]["id"],
        json!(agent_id.0)
    );
}

#[tokio::test]
async fn the_schema_and_the_health_of_the_server_are_everyones_to_read() {
    let app = TestApp::start().await;
    let _client = Client::new(app.address(), "");
    for path in ["schema.graphql", "healthz", "readyz"] {
        let url = format!("http://{}/{path}", app.address());
        assert_eq!(
            reqwest::get(url).await.unwrap().status().as_u16(),
            200,
            "{path}"
        );
    }
}
