//! Streams that end before their results do: without a `complete`, so that clients come back.

use std::time::{Duration, Instant};

use callboard::settings::{Edge, Settings};
use serde_json::json;
use uuid::Uuid;

use super::Reader;
use crate::harness::{Events, PATIENCE, TestApp, World};

const BANNER: &str = "subscription($id: UUID!) { issueTasks(issueId: $id) { cursor } }";

#[tokio::test]
async fn a_token_that_ends_ends_its_streams_within_a_second() {
    let app = TestApp::start().await;
    let reader = Reader::new(&app).await;
    let mut events = Events::of(reader.post(BANNER, &json!({"id": Uuid::new_v4()}))).await;
    events.data().await;
    let since = Instant::now();
    app.database
        .execute("update api_token set expires_at = now()")
        .await;
    assert_eq!(events.next().await, None);
    assert!(
        since.elapsed() < Duration::from_millis(1500),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let server = app.second_server().await;
    world.until_read(&world.host.at(server.address)).await;
    let reader = Reader::new(&app).await;
    let request = reader
        .http
        .post(format!("http://{}/graphql/stream", server.address))
        .bearer_auth(&reader.token)
        .header("content-type", "application/json")
        .body(json!({"query": BANNER, "variables": {"id": Uuid::new_v4()}}).to_string());
    let mut events = Events::of(request).await;
    events.data().await;
    let since = Instant::now();
    server.begin_to_stop();
    assert_eq!(events.next().await, None);
    server.stop().await;
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn a_stream_counts_among_what_a_token_has_open_until_its_client_goes() {
    let edge = Edge {
        connections_per_token: 1,
        ..Edge::default()
    };
    let settings = Settings {
        edge,
        ..Settings::default()
    };
    let app = TestApp::with(settings).await;
    let reader = Reader::new(&app).await;
    let variables = json!({"id": Uuid::new_v4()});
    let mut events = Events::of(reader.post(BANNER, &variables)).await;
    events.data().await;
    let refused = reader.post(BANNER, &variables).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    drop(events);
    let admitted = async {
        while reader
            .post(BANNER, &variables)
            .send()
            .await
            .unwrap()
            .status()
            != 200
        {}
    };
    let admitted = tokio::time::timeout(PATIENCE, admitted).await;
    admitted.expect("there is room in time");
}
