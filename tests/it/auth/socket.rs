//! Tokens on a socket: in the header of the request that opens it, or in the payload of `connection_init`.

use callboard::auth::Identity;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::{PATIENCE, TestApp};

/// Whether a socket with this header and this payload is acknowledged.
async fn acknowledged(app: &TestApp, header: Option<&str>, payload: Value) -> bool {
    let url = format!("ws://{}/graphql/ws", app.address());
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert(
        "sec-websocket-protocol",
        "graphql-transport-ws".parse().unwrap(),
    );
    if let Some(header) = header {
        headers.insert("authorization", header.parse().unwrap());
    }
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let init = json!({"type": "connection_init", "payload": payload});
    socket.send(Message::text(init.to_string())).await.unwrap();
    let answer = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(text) = message {
                let message: Value = serde_json::from_str(&text).unwrap();
                return message["type"] == "connection_ack";
            }
        }
        false
    };
    tokio::time::timeout(PATIENCE, answer)
        .await
        .expect("an answer in time")
}

#[tokio::test]
async fn a_token_in_the_payload_or_in_the_header_opens_a_socket() {
    let app = TestApp::start().await;
    let bearer = format!("Bearer {}", app.token(Identity::Admin).await);
    assert!(acknowledged(&app, None, json!({"Authorization": bearer})).await);
    assert!(acknowledged(&app, None, json!({"authorization": bearer, "more": 1})).await);
    assert!(acknowledged(&app, Some(&bearer), json!({})).await);
    assert!(acknowledged(&app, Some(&bearer), Value::Null).await);
    // A browser cannot set the header, and a proxy may set one of its own.
    assert!(acknowledged(&app, Some("Bearer other"), json!({"Authorization": bearer})).await);
}

#[tokio::test]
async fn a_socket_without_a_token_that_holds_is_not_acknowledged() {
    let app = TestApp::start().await;
    let bearer = format!("Bearer {}", app.token(Identity::Admin).await);
    assert!(!acknowledged(&app, None, json!({})).await);
    assert!(!acknowledged(&app, None, Value::Null).await);
    assert!(!acknowledged(&app, None, json!({"Authorization": "Bearer other"})).await);
    assert!(!acknowledged(&app, Some("Bearer other"), json!({})).await);
    assert!(
        !acknowledged(
            &app,
            Some(&bearer),
            json!({"Authorization": "Bearer other"})
        )
        .await
    );

    app.database
        .execute("update api_token set expires_at = now()")
        .await;
    assert!(!acknowledged(&app, None, json!({"Authorization": bearer})).await);
    app.database
        .execute("update api_token set expires_at = null, revoked_at = now()")
        .await;
    assert!(!acknowledged(&app, None, json!({"Authorization": bearer})).await);
}
