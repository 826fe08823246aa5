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

/// A socket on which anything can be said.
pub(crate) struct Socket {
    pub(crate) stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Opens one, by the protocol or protocols.
    pub(crate) async fn open(address: SocketAddr, protocols: Option<&str>) -> Self {
        let mut request = format!("ws://{address}/graphql/ws")
            .into_client_request()
            .unwrap();
        if let Some(protocols) = protocols {
            let protocols = protocols.parse().unwrap();
            request
                .headers_mut()
                .insert("sec-websocket-protocol", protocols);
        }
        // A server that does not take the protocol answers without one, and the library would give up before it says why.
        let connection = TcpStream::connect(address).await.unwrap();
        let (stream, response) =
            match tokio_tungstenite::client_async(request, MaybeTlsStream::Plain(connection)).await
            {
                Ok(opened) => opened,
                Err(error) => panic!("the server accepts a socket: {error}"),
            };
        let taken = response.headers().get("sec-websocket-protocol");
        assert!(taken.is_none_or(|taken| taken == PROTOCOL), "{taken:?}");
        Self { stream }
    }

    /// Opens one, and has this token acknowledged.
    pub(crate) async fn acknowledged(address: SocketAddr, token: &str) -> Self {
        let mut socket = Self::open(address, Some(PROTOCOL)).await;
        socket.initialise(token).await;
        let acknowledged = socket.receive().await;
        assert_eq!(acknowledged["type"], "connection_ack", "{acknowledged}");
        socket
    }

    /// Says whose it is.
    pub(crate) async fn initialise(&mut self, token: &str) {
        self.send(json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {token}")}}))
            .await;
    }

    /// Asks for the results of a document.
    pub(crate) async fn subscribe(&mut self, id: &str, document: &str, variables: Value) {
        let payload = json!({"query": document, "variables": variables});
        self.send(json!({"type": "subscribe", "id": id, "payload": payload}))
            .await;
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, message: Value) {
        self.send_frame(Message::text(message.to_string())).await;
    }

    /// Sends whatever it is.
    pub(crate) async fn send_frame(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn receive(&mut self) -> Value {
        match self.next().await {
            Ok(message) => message,
            Err(close) => panic!("the socket is open: {close:?}"),
        }
    }

    /// The code and the reason with which the server closes; a message before that is a failure.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        match self.next().await {
            Ok(message) => panic!("the socket closes without a word: {message}"),
            Err(close) => close.expect("the server says why"),
        }
    }

    /// The next message, or why there is none.
    pub(crate) async fn next(&mut self) -> Result<Value, Option<(u16, String)>> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.stream.next())
                .await
                .expect("something in time");
            match next {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(close)))) => {
                    return Err(Some((close.code.into(), close.reason.to_string())));
                }
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Err(None),
                Some(Ok(_)) => {}
            }
        }
    }
}

/// The protocol of every socket of ours.
pub(crate) const PROTOCOL: &str = "graphql-transport-ws";

/// A socket with one subscription on it.
pub(crate) struct Subscription {
    socket: Socket,
}

impl Subscription {
    /// Opens a socket and subscribes.
    pub(crate) async fn open(
        address: SocketAddr,
        token: &str,
        document: &str,
        variables: Value,
    ) -> Self {
        let mut socket = Socket::acknowledged(address, token).await;
        socket.subscribe("1", document, variables).await;
        Self { socket }
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
        self.socket
            .subscribe("2", "{ viewer { kind } }", json!({}))
            .await;
        let message = self.receive().await;
        assert_eq!(message["id"], "2", "{message}");
    }

    /// Waits until the server goes away, and fails on a result before that.
    pub(crate) async fn closed(mut self) {
        if let Ok(message) = self.socket.next().await {
            panic!("{message}");
        }
    }

    async fn receive(&mut self) -> Value {
        loop {
            let message = self.socket.receive().await;
            if message["type"] != "ping" {
                return message;
            }
            self.socket.send(json!({"type": "pong"})).await;
        }
    }
}
