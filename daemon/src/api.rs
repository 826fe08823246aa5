//! The server as a daemon sees it: one typed method for each operation.
//!
//! Nothing is repeated here; who calls knows what repeating means for the call.

mod endpoint;
mod error;
mod operation;
mod runtime;
mod socket;
mod task;
mod tls;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use graphql_client::{GraphQLQuery, Response};
use reqwest::header::{ACCEPT, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use self::endpoint::Endpoint;
pub(crate) use self::{
    error::{ApiError, Verdict},
    runtime::{NewRuntime, Viewer},
    socket::{EventKind, Notice},
};

/// A client of one server with one token.
pub(crate) struct Api {
    http: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
    endpoint: Endpoint,
    token: SecretString,
    timeout: Duration,
}

impl Api {
    /// A client; nothing is sent yet.
    pub(crate) fn new(
        server: &str,
        token: SecretString,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let endpoint = Endpoint::parse(server)?;
        let tls = tls::config(&endpoint)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .timeout(timeout)
            // A redirected POST arrives as a GET, and the token would go along.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("callboard-daemon/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("the HTTP client cannot be built")?;
        Ok(Self {
            http,
            tls: Arc::new(tls),
            endpoint,
            token,
            timeout,
        })
    }

    async fn call<Q: GraphQLQuery>(
        &self,
        variables: Q::Variables,
    ) -> Result<Q::ResponseData, ApiError> {
        let answer = self
            .http
            .post(self.endpoint.http.clone())
            .header(ACCEPT, ACCEPTED)
            .header("authorization", self.bearer()?)
            .json(&Q::build_query(variables))
            .send()
            .await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        // The body first: a GraphQL error says more than the status that it came with.
        match serde_json::from_slice::<Response<Q::ResponseData>>(&body) {
            Ok(response) => error::unwrap_response(response, status),
            Err(source) if status.is_success() => Err(ApiError::Malformed(source)),
            Err(_) => Err(ApiError::Status(status)),
        }
    }

    fn bearer(&self) -> Result<HeaderValue, ApiError> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.token.expose_secret()))
            .map_err(ApiError::Token)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

const ACCEPTED: HeaderValue =
    HeaderValue::from_static("application/graphql-response+json, application/json;q=0.9");
