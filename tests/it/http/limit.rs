//! How often a token may ask.

use callboard::auth::Identity;
use callboard::settings::{Edge, Settings};
use serde_json::json;

use super::{QUERY, Sender, answer};
use crate::harness::TestApp;

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
