//! Requests that are answered with no events.

use reqwest::Method;
use serde_json::{Value, json};

use super::Reader;
use crate::harness::TestApp;

const QUERY: &str = "{ viewer { kind } }";

/// The status of a request, and the code of its first error where it is answered in JSON.
async fn refusal(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let code = body["errors"][0]["extensions"]["code"].as_str();
    (status, code.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn what_is_no_request_is_refused_by_its_status() {
    let app = TestApp::start().await;
    let reader = Reader::new(&app).await;
    let bad = |status: u16| (status, "BAD_USER_INPUT".to_owned());
    let post = || reader.request(Method::POST, "");
    let json = || post().header("content-type", "application/json");
    for (request, expected) in [
        (reader.request(Method::GET, ""), bad(400)),
        (
            reader.request(Method::GET, "?query=%7Ba%7D&variables=7"),
            bad(400),
        ),
        (json().body("{"), bad(400)),
        (json().body("{}"), bad(400)),
        (json().body(json!([{"query": QUERY}]).to_string()), bad(400)),
        (post().body(json!({"query": QUERY}).to_string()), bad(415)),
        (
            post().header("content-type", "text/plain").body("{}"),
            bad(415),
        ),
    ] {
        assert_eq!(refusal(request).await, expected);
    }
}

#[tokio::test]
async fn who_does_not_accept_events_or_shows_no_token_gets_none() {
    let app = TestApp::start().await;
    let mut reader = Reader::new(&app).await;
    let body = json!({"query": QUERY}).to_string();
    let url = format!("http://{}/graphql/stream", app.address());
    for accept in ["application/json", "text/html", "text/event-stream;q=0"] {
        let request = reader
            .http
            .post(&url)
            .bearer_auth(&reader.token)
            .header("content-type", "application/json")
            .header("accept", accept)
            .body(body.clone());
        assert_eq!(refusal(request).await.0, 406, "{accept}");
    }
    reader.token = "nonsense".to_owned();
    let (status, code) = refusal(reader.post(QUERY, &json!({}))).await;
    assert_eq!((status, code.as_str()), (401, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn a_mutation_by_get_is_not_executed() {
    let app = TestApp::start().await;
    let reader = Reader::new(&app).await;
    let query = "?query=mutation%7BcancelTask(taskId:%220190f3c2-7b1a-7c3e-9d5f-2a4b6c8d0e1f%22)%7Bid%7D%7D";
    let response = reader.request(Method::GET, query).send().await.unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "POST");
}

#[tokio::test]
async fn there_are_no_reservations() {
    let app = TestApp::start().await;
    let reader = Reader::new(&app).await;
    for method in [Method::PUT, Method::DELETE] {
        let response = reader.request(method, "").send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert!(response.headers().contains_key("allow"));
    }
}
