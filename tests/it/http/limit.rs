//! How often a token may ask, and how long it may take over it.

use std::time::Duration;

use callboard::auth::Identity;
use callboard::settings::{Edge, Settings};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{QUERY, Sender, answer};
use crate::harness::{PATIENCE, TestApp};

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_ask_again_and_nobody_else_is() {
    let edge = Edge {
        requests_per_second: 3,
        ..Edge::default()
    };
    let settings = Settings {
        edge,
        ..Settings::default()
    };
    let mut sender = Sender::on(TestApp::with(settings).await).await;
    let body = json!({"query": QUERY});
    let mut refused = answer(sender.post(&body)).await;
    for _ in 0..100 {
        if refused.status != 200 {
            break;
        }
        refused = answer(sender.post(&body)).await;
    }
    assert_eq!(
        (refused.status, refused.code()),
        (429, "RATE_LIMITED".to_owned())
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.json().get("data"), None);
    sender.token = sender.app.token(Identity::Admin).await;
    assert_eq!(answer(sender.post(&body)).await.status, 200);
}

#[tokio::test]
async fn without_a_bound_a_token_may_ask_as_often_as_it_likes() {
    let edge = Edge {
        requests_per_second: 0,
        ..Edge::default()
    };
    let settings = Settings {
        edge,
        ..Settings::default()
    };
    let sender = Sender::on(TestApp::with(settings).await).await;
    for _ in 0..20 {
        assert_eq!(
            answer(sender.post(&json!({"query": QUERY}))).await.status,
            200
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for_without_end() {
    let edge = Edge {
        body_timeout: Duration::from_millis(100),
        ..Edge::default()
    };
    let settings = Settings {
        edge,
        ..Settings::default()
    };
    let sender = Sender::on(TestApp::with(settings).await).await;
    let mut connection = TcpStream::connect(sender.app.address()).await.unwrap();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 9\r\n\r\n{{",
        sender.token
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let answered = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut answer)).await;
    answered.expect("an answer in time").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("did not arrive in time"), "{answer}");
}

#[tokio::test]
async fn a_connection_on_which_no_request_arrives_is_closed() {
    let edge = Edge {
        header_timeout: Duration::from_millis(100),
        ..Edge::default()
    };
    let settings = Settings {
        edge,
        ..Settings::default()
    };
    let sender = Sender::on(TestApp::with(settings).await).await;
    let whole = "GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n";
    for sent in ["", "GET /healthz HTTP/1.1\r\nHost: he", whole] {
        let mut connection = TcpStream::connect(sender.app.address()).await.unwrap();
        connection.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut answer)).await;
        closed.expect("it is closed").unwrap();
        let answers = String::from_utf8(answer).unwrap().matches("200 OK").count();
        assert_eq!(answers, usize::from(sent == whole), "{sent}");
    }
}
