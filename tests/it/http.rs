//! `/graphql`, case by case against the specification of GraphQL over HTTP.

mod cache;
mod document;
mod limit;
mod media;
mod method;
mod status;

use callboard::auth::Identity;
use reqwest::Method;
use serde_json::Value;

use crate::harness::{Client, PATIENCE, TestApp};

/// A query that anybody may ask.
const QUERY: &str = "{ viewer { kind } }";

/// A mutation that finds nothing to change.
const MUTATION: &str =
    "mutation { cancelTask(taskId: \"0190f3c2-7b1a-7c3e-9d5f-2a4b6c8d0e1f\") { id } }";

/// A server, and somebody with a token who sends it whatever they like.
struct Sender {
    app: TestApp,
    http: reqwest::Client,
    token: String,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Sender {
    async fn start() -> Self {
        Self::on(TestApp::start().await).await
    }

    async fn on(app: TestApp) -> Self {
        let token = app.token(Identity::Admin).await;
        // The HTTP client asks for a TLS provider even where it speaks to nobody over TLS; a client of ours installs it.
        let _client = Client::new(app.address(), "");
        Self {
            app,
            http: reqwest::Client::new(),
            token,
        }
    }

    /// A request to a path, with the token.
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("http://{}{path}", self.app.address()))
            .bearer_auth(&self.token)
            .timeout(PATIENCE)
    }

    /// A body in JSON by POST.
    fn post(&self, body: &Value) -> reqwest::RequestBuilder {
        self.request(Method::POST, "/graphql")
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Parameters by GET.
    fn get(&self, parameters: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let query = url_encoded(parameters);
        self.request(Method::GET, &format!("/graphql?{query}"))
    }
}

/// Sends a request, and reads the answer whatever it is.
async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await.expect("a whole answer"),
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().expect("text"))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of the first error.
    fn code(&self) -> String {
        let json = self.json();
        let code = json["errors"][0]["extensions"]["code"].as_str();
        code.unwrap_or_else(|| panic!("no code in {self:?}"))
            .to_owned()
    }
}

/// Parameters as they stand in a URL.
fn url_encoded(parameters: &[(&str, &str)]) -> String {
    let encoded = parameters.iter().map(|(name, value)| {
        let value: Vec<String> = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("{name}={}", value.concat())
    });
    encoded.collect::<Vec<_>>().join("&")
}
