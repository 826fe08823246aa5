//! A client that speaks GraphQL over HTTP, as anybody's would.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::Subscription;

/// Somebody with a token.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    address: SocketAddr,
    token: String,
}

/// An error as the contract has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GraphqlError {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Client {
    /// Somebody with this token.
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        // The HTTP client asks for one even where it speaks to nobody over TLS; the second to install it finds it there.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::new(),
            address,
            token: token.to_owned(),
        }
    }

    /// The same person at another server.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self {
            address,
            ..self.clone()
        }
    }

    /// The data of a document that is executed without an error.
    pub(crate) async fn data(&self, document: &str, variables: Value) -> Value {
        let response = self.send(document, variables).await;
        assert_eq!(response.get("errors"), None, "{document}");
        response["data"].clone()
    }

    /// The first error of a document that cannot be executed.
    pub(crate) async fn error(&self, document: &str, variables: Value) -> GraphqlError {
        let response = self.send(document, variables).await;
        let error = response["errors"]
            .get(0)
            .unwrap_or_else(|| panic!("no error from {document}: {response}"));
        GraphqlError {
            code: error["extensions"]["code"]
                .as_str()
                .expect("a code")
                .to_owned(),
            message: error["message"].as_str().expect("a message").to_owned(),
        }
    }

    /// The response to a document.
    pub(crate) async fn send(&self, document: &str, variables: Value) -> Value {
        let body = json!({"query": document, "variables": variables}).to_string();
        self.send_body(body).await.1
    }

    /// The status and response to whatever the body is.
    pub(crate) async fn send_body(&self, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let response = self
            .http
            .post(format!("http://{}/graphql", self.address))
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .body(body)
            .timeout(super::PATIENCE)
            .send()
            .await
            .expect("the server answers");
        let status = response.status().as_u16();
        (
            status,
            response.json().await.expect("the server answers in JSON"),
        )
    }

    /// Sends a document on a connection on which nobody reads the answer.
    pub(crate) async fn send_and_forget(&self, document: &str, variables: Value) -> TcpStream {
        let body = json!({"query": document, "variables": variables}).to_string();
        let request = format!(
            "POST /graphql HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        connection
    }

    /// Opens a socket and subscribes.
    pub(crate) async fn subscribe(&self, document: &str, variables: Value) -> Subscription {
        Subscription::open(self.address, &self.token, document, variables).await
    }
}
