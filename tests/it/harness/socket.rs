//! A subscription over graphql-transport-ws, as anybody's client would open it.

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::PATIENCE;
use super::client::GraphqlError;

/// A socket with one subscription on it.
pub(crate) struct Subscription {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Subscription {
    /// Opens a socket and subscribes.
    pub(crate) async fn open(
        address: SocketAddr,
        token: &str,
        document: &str,
        variables: Value,
    ) -> Self {
        let mut request = format!("ws://{address}/graphql/ws")
            .into_client_request()
            .unwrap();
        let protocol = "graphql-transport-ws".parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        let (socket, _) = tokio_tungstenite::connect_async(request)
            .await
            .expect("the server accepts a socket");
        let mut subscription = Self { socket };
        subscription
            .send(json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {token}")}}))
            .await;
        let acknowledged = subscription.receive().await;
        assert_eq!(acknowledged["type"], "connection_ack", "{acknowledged}");
        let payload = json!({"query": document, "variables": variables});
        subscription
            .send(json!({"type": "subscribe", "id": "1", "payload": payload}))
            .await;
        subscription
    }

    /// The data of the next result.
    pub(crate) async fn next(&mut self) -> Value {
        let message = self.receive().await;
        assert_eq!(message["type"], "next", "{message}");
        assert_eq!(message["payload"].get("errors"), None, "{message}");
        message["payload"]["data"].clone()
    }

    /// The error that the subscription ends with.
    pub(crate) async fn error(&mut self) -> GraphqlError {
        let message = self.receive().await;
        let error = if message["type"] == "error" {
            &message["payload"][0]
        } else {
            &message["payload"]["errors"][0]
        };
        GraphqlError {
            code: error["extensions"]["code"]
                .as_str()
                .unwrap_or_else(|| panic!("no code in {message}"))
                .to_owned(),
            message: error["message"].as_str().expect("a message").to_owned(),
        }
    }

    /// Fails if anything has been told: asks for something else on the same socket, which would be answered after it.
    pub(crate) async fn expect_silence(&mut self) {
        let payload = json!({"query": "{ viewer { kind } }"});
        self.send(json!({"type": "subscribe", "id": "2", "payload": payload}))
            .await;
        let message = self.receive().await;
        assert_eq!(message["id"], "2", "{message}");
    }

    /// Waits until the server goes away, and fails on a result before that.
    pub(crate) async fn closed(mut self) {
        let next = tokio::time::timeout(PATIENCE, self.socket.next())
            .await
            .expect("the socket closes in time");
        assert!(
            matches!(next, None | Some(Err(_) | Ok(Message::Close(_)))),
            "{next:?}"
        );
    }

    async fn send(&mut self, message: Value) {
        self.socket
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    async fn receive(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next())
                .await
                .expect("a message in time");
            let message = message
                .expect("the socket is open")
                .expect("the socket works");
            let Message::Text(text) = message else {
                continue;
            };
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == "ping" {
                self.send(json!({"type": "pong"})).await;
                continue;
            }
            return message;
        }
    }
}
