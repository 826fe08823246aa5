//! Opening a socket: the protocol, and saying once and in time whose it is.

use std::time::Instant;

use callboard::auth::Identity;
use callboard::settings::Edge;
use serde_json::json;

use super::{BANNER, MOMENT, begin_banner, bounded, some_issue};
use crate::harness::{PROTOCOL, Socket, TestApp};

#[tokio::test]
async fn a_client_that_speaks_another_protocol_or_none_is_told_so() {
    let app = TestApp::start().await;
    for protocols in [None, Some("graphql-ws"), Some("soap, wamp")] {
        let (connection, response) = {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut connection = tokio::net::TcpStream::connect(app.address()).await.unwrap();
            let protocol = protocols.map_or_else(String::new, |protocols| {
                format!("Sec-WebSocket-Protocol: {protocols}\r\n")
            });
            let request = format!(
                "GET /graphql/ws HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
            );
            connection.write_all(request.as_bytes()).await.unwrap();
            let mut response = Vec::new();
            // The server says why, then waits for an answer that does not come, then closes.
            let read = connection.read_to_end(&mut response);
            let read = tokio::time::timeout(crate::harness::PATIENCE, read).await;
            read.expect("the server closes").unwrap();
            (connection, response)
        };
        let head = String::from_utf8_lossy(&response);
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(
            !head.to_ascii_lowercase().contains("sec-websocket-protocol"),
            "{head}"
        );
        let end = response
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .unwrap()
            + 4;
        // A close frame: its code, then its reason.
        assert_eq!(response[end], 0x88, "{protocols:?}");
        assert_eq!(
            response[end + 2..end + 4],
            4406_u16.to_be_bytes(),
            "{protocols:?}"
        );
        assert_eq!(&response[end + 4..], b"Subprotocol not acceptable");
        drop(connection);
    }
}

#[tokio::test]
async fn a_client_that_offers_several_protocols_gets_the_one_that_is_spoken() {
    let app = TestApp::start().await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::open(app.address(), Some("graphql-ws, graphql-transport-ws")).await;
    socket.initialise(&token).await;
    assert_eq!(socket.receive().await, json!({"type": "connection_ack"}));
}

#[tokio::test]
async fn a_client_that_does_not_say_who_it_is_is_let_go() {
    let edge = Edge {
        init_timeout: MOMENT,
        ..Edge::default()
    };
    let app = TestApp::with(bounded(edge)).await;
    let late = (4408, "Connection initialisation timeout".to_owned());
    let begun = Instant::now();
    let mut silent = Socket::open(app.address(), Some(PROTOCOL)).await;
    assert_eq!(silent.closed().await, late);
    assert!(begun.elapsed() >= MOMENT);
    // To be there is not enough.
    let mut pinging = Socket::open(app.address(), Some(PROTOCOL)).await;
    pinging.send(json!({"type": "ping"})).await;
    assert_eq!(pinging.receive().await, json!({"type": "pong"}));
    assert_eq!(pinging.closed().await, late);
}

#[tokio::test]
async fn a_client_that_says_it_twice_is_let_go() {
    let app = TestApp::start().await;
    let token = app.token(Identity::Admin).await;
    let twice = (4429, "Too many initialisation requests".to_owned());
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    begin_banner(&mut socket, "1").await;
    socket.initialise(&token).await;
    assert_eq!(socket.closed().await, twice);
    // In one go as well.
    let mut socket = Socket::open(app.address(), Some(PROTOCOL)).await;
    socket.initialise(&token).await;
    socket.initialise(&token).await;
    assert_eq!(socket.receive().await, json!({"type": "connection_ack"}));
    assert_eq!(socket.closed().await, twice);
}

#[tokio::test]
async fn a_client_that_asks_before_it_was_acknowledged_is_let_go() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(app.address(), Some(PROTOCOL)).await;
    // These are nothing to be acknowledged for.
    socket.send(json!({"type": "pong"})).await;
    socket.send(json!({"type": "complete", "id": "1"})).await;
    socket.subscribe("1", BANNER, some_issue()).await;
    assert_eq!(socket.closed().await, (4401, "Unauthorized".to_owned()));
}

#[tokio::test]
async fn a_client_without_a_token_that_holds_is_forbidden() {
    let app = TestApp::start().await;
    for init in [
        json!({"type": "connection_init"}),
        json!({"type": "connection_init", "payload": null}),
        json!({"type": "connection_init", "payload": {}}),
        json!({"type": "connection_init", "payload": {"Authorization": "Bearer nonsense"}}),
        json!({"type": "connection_init", "payload": {"Authorization": 7}}),
    ] {
        let mut socket = Socket::open(app.address(), Some(PROTOCOL)).await;
        socket.send(init.clone()).await;
        assert_eq!(
            socket.closed().await,
            (4403, "Forbidden".to_owned()),
            "{init}"
        );
    }
}
