//! GraphQL over HTTP, as a daemon or a host application speaks it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Somebody with a token, at a server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    /// Somebody with this token. The connections are theirs alone.
    pub(crate) fn new(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        // The HTTP client asks for one even where it speaks to nobody over TLS; the second to install it finds it there.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(PATIENCE)
                .tcp_nodelay(true)
                .build()?,
            url: format!("http://{address}/graphql"),
            token: token.to_owned(),
        })
    }

    /// The same person at another server.
    pub(crate) fn at(&self, address: SocketAddr) -> anyhow::Result<Self> {
        Self::new(address, &self.token)
    }

    /// Their token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The data of a document's answer.
    pub(crate) async fn data(&self, document: &str, variables: &Value) -> anyhow::Result<Value> {
        let response = self
            .http
            .post(&self.url)
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .body(json!({"query": document, "variables": variables}).to_string())
            .send()
            .await?;
        let body = response.bytes().await?;
        let mut answer: Value =
            serde_json::from_slice(&body).context("the answer is not in JSON")?;
        if let Some(errors) = answer.get("errors") {
            anyhow::bail!("{errors} from {document}");
        }
        Ok(answer.get_mut("data").map(Value::take).unwrap_or_default())
    }
}

/// The value at a place in an answer.
pub(crate) fn at<'a>(answer: &'a Value, pointer: &str) -> anyhow::Result<&'a Value> {
    answer
        .pointer(pointer)
        .with_context(|| format!("{pointer} is not in {answer}"))
}
