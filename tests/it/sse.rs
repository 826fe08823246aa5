//! `/graphql/stream`, case by case against GraphQL over SSE in its mode of distinct connections.

mod end;
mod request;
mod result;
mod resume;

use callboard::auth::Identity;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{Client, TestApp};

/// Somebody with a token who reads events.
struct Reader<'a> {
    app: &'a TestApp,
    http: reqwest::Client,
    token: String,
}

impl<'a> Reader<'a> {
    async fn new(app: &'a TestApp) -> Self {
        let token = app.token(Identity::Admin).await;
        // The HTTP client asks for a TLS provider even where it speaks to nobody over TLS; a client of ours installs it.
        let _client = Client::new(app.address(), "");
        Self {
            app,
            http: reqwest::Client::new(),
            token,
        }
    }

    fn request(&self, method: Method, query: &str) -> RequestBuilder {
        let url = format!("http://{}/graphql/stream{query}", self.app.address());
        self.http
            .request(method, url)
            .bearer_auth(&self.token)
            .header("accept", "text/event-stream")
    }

    /// A request in a body.
    fn post(&self, document: &str, variables: &Value) -> RequestBuilder {
        self.request(Method::POST, "")
            .header("content-type", "application/json")
            .body(json!({"query": document, "variables": variables}).to_string())
    }
}
