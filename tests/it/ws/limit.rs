//! What a socket and a token may have open.

use std::collections::HashMap;

use callboard::auth::Identity;
use callboard::settings::Edge;
use serde_json::json;

use super::{BANNER, EVENTS, bounded, of_workspace, some_issue, until_admitted};
use crate::harness::{PROTOCOL, Socket, TestApp, World};

#[tokio::test]
async fn of_ten_thousand_subscriptions_on_one_socket_a_hundred_are_taken_and_the_others_refused() {
    let edge = Edge {
        requests_per_second: 0,
        ..Edge::default()
    };
    let app = TestApp::with(bounded(edge)).await;
    let world = World::new(&app).await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    let (mut taken, mut refused) = (0, 0);
    // In stretches, because a client that only writes would be one that does not read.
    for stretch in 0..100 {
        for number in 0..100 {
            let id = (stretch * 100 + number).to_string();
            socket.subscribe(&id, BANNER, some_issue()).await;
        }
        for _ in 0..100 {
            let message = socket.receive().await;
            if message["type"] == "next" {
                taken += 1;
            } else {
                assert_eq!(message["type"], "error", "{message}");
                assert_eq!(message["payload"][0]["extensions"]["code"], "RATE_LIMITED");
                refused += 1;
            }
        }
    }
    assert_eq!((taken, refused), (100, 9900));
    // One that ends makes room for one.
    socket.send(json!({"type": "complete", "id": "0"})).await;
    socket
        .subscribe("events", EVENTS, of_workspace(&world))
        .await;
    let agent = world.agent(1).await;
    socket.send(json!({"type": "ping"})).await;
    assert_eq!(socket.receive().await, json!({"type": "pong"}));
    let mut messages = HashMap::new();
    while !messages.contains_key("events") {
        world.enqueue(agent, json!({})).await;
        let message = socket.receive().await;
        messages.insert(message["id"].as_str().unwrap().to_owned(), message);
    }
    assert_eq!(
        messages["events"]["payload"]["data"]["taskEvents"]["kind"],
        "QUEUED"
    );
}

#[tokio::test]
async fn what_is_asked_on_a_socket_counts_as_a_request() {
    let edge = Edge {
        requests_per_second: 3,
        ..Edge::default()
    };
    let app = TestApp::with(bounded(edge)).await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    for number in 0..20 {
        socket
            .subscribe(&number.to_string(), BANNER, some_issue())
            .await;
    }
    let mut codes = Vec::new();
    for _ in 0..20 {
        let message = socket.receive().await;
        codes.push(message["payload"][0]["extensions"]["code"].clone());
    }
    assert!(codes.contains(&json!("RATE_LIMITED")), "{codes:?}");
}

#[tokio::test]
async fn a_token_may_have_only_so_many_sockets_and_streams_open_and_one_that_ends_makes_room() {
    let edge = Edge {
        connections_per_token: 2,
        ..Edge::default()
    };
    let app = TestApp::with(bounded(edge)).await;
    let token = app.token(Identity::Admin).await;
    let one = Socket::acknowledged(app.address(), &token).await;
    let _two = Socket::acknowledged(app.address(), &token).await;
    let mut three = Socket::open(app.address(), Some(PROTOCOL)).await;
    three.initialise(&token).await;
    let reason = "too many open connections with this token".to_owned();
    assert_eq!(three.closed().await, (1013, reason));
    let _other = Socket::acknowledged(app.address(), &app.token(Identity::Admin).await).await;
    drop(one);
    until_admitted(&app, &token).await;
}
