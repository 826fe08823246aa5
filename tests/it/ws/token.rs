//! A socket ends with its token, and goes on with a fresh one.

use std::time::{Duration, Instant};

use callboard::auth::Identity;
use entity::id::MemberId;
use entity::member::Role;
use serde_json::json;
use uuid::Uuid;

use super::begin_banner;
use crate::harness::{Socket, TestApp, World};

/// Within which a socket ends after its token, and a little for a machine with much to do.
const SOON: Duration = Duration::from_millis(1500);

/// Asserts that a socket is closed because its token does not hold any more, and soon.
async fn forbidden(socket: &mut Socket, since: Instant) {
    assert_eq!(socket.closed().await, (4403, "Forbidden".to_owned()));
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_token_that_is_revoked_or_expires_or_is_removed_ends_its_sockets_within_a_second_and_no_others()
 {
    let app = TestApp::start().await;
    let mut other = Socket::acknowledged(app.address(), &app.token(Identity::Admin).await).await;
    begin_banner(&mut other, "1").await;
    app.database
        .execute("update api_token set name = 'other'")
        .await;
    for change in [
        "update api_token set revoked_at = now() where name = 'test'",
        "update api_token set expires_at = now() where name = 'test'",
        "delete from api_token where name = 'test'",
    ] {
        let token = app.token(Identity::Admin).await;
        let mut busy = Socket::acknowledged(app.address(), &token).await;
        begin_banner(&mut busy, "1").await;
        let mut idle = Socket::acknowledged(app.address(), &token).await;
        let since = Instant::now();
        app.database.execute(change).await;
        forbidden(&mut busy, since).await;
        forbidden(&mut idle, since).await;
    }
    begin_banner(&mut other, "2").await;
}

#[tokio::test]
async fn a_member_whose_role_changes_is_to_come_back_in_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let member = |role| Identity::Member {
        workspace_id: world.workspace_id,
        member_id: MemberId(Uuid::nil()),
        role,
    };
    let token = app.token(member(Role::Admin)).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    let since = Instant::now();
    app.database
        .execute("update member set role = 'member'")
        .await;
    forbidden(&mut socket, since).await;
    let mut again = Socket::acknowledged(app.address(), &token).await;
    begin_banner(&mut again, "1").await;
}

#[tokio::test]
async fn a_ping_with_a_fresh_token_keeps_the_socket_beyond_the_end_of_the_one_before() {
    let app = TestApp::start().await;
    let mut socket = Socket::acknowledged(app.address(), &app.token(Identity::Admin).await).await;
    begin_banner(&mut socket, "1").await;
    app.database
        .execute("update api_token set name = 'old'")
        .await;
    let bearer = format!("Bearer {}", app.token(Identity::Admin).await);
    socket
        .send(json!({"type": "ping", "payload": {"Authorization": bearer, "at": 17}}))
        .await;
    // The token is not sent back.
    assert_eq!(
        socket.receive().await,
        json!({"type": "pong", "payload": {"at": 17}})
    );
    // What ends with the old token tells when the server has noticed.
    let revoked = "update api_token set revoked_at = now() where name = 'old' returning id";
    let witness = app.token(Identity::Admin).await;
    let mut witness = Socket::acknowledged(app.address(), &witness).await;
    app.database.execute(revoked).await;
    app.database
        .execute("delete from api_token where id = (select id from api_token where name = 'test' order by created_at desc limit 1)")
        .await;
    forbidden(&mut witness, Instant::now()).await;
    begin_banner(&mut socket, "2").await;
    let since = Instant::now();
    app.database
        .execute("update api_token set revoked_at = now()")
        .await;
    forbidden(&mut socket, since).await;
}

#[tokio::test]
async fn a_ping_with_somebody_elses_token_or_one_that_does_not_hold_ends_the_socket() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let workspace_id = world.workspace_id;
    let service = app.token(Identity::Service { workspace_id }).await;
    for token in [service.as_str(), "nonsense"] {
        let admin = app.token(Identity::Admin).await;
        let mut socket = Socket::acknowledged(app.address(), &admin).await;
        let bearer = format!("Bearer {token}");
        socket
            .send(json!({"type": "ping", "payload": {"authorization": bearer}}))
            .await;
        assert_eq!(
            socket.closed().await,
            (4403, "Forbidden".to_owned()),
            "{token}"
        );
    }
}
