//! A server that is told to stop: it finishes what is under way, and stops whatever is under way.

use std::time::Duration;

use callboard::auth::Identity;
use callboard::settings::Settings;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{TestApp, TestServer, World};

const CANCEL: &str = "mutation($id: UUID!) { cancelTask(taskId: $id) { status } }";

/// Within which a server stops, whatever is under way.
const BOUND: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_request_under_way_is_answered_while_sockets_close_and_nobody_new_is_let_in() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let start = world.cursor().await;
    let task = world.enqueue(agent, json!({})).await;
    let options = app.database.options.clone().application_name("leaving");
    let server = TestServer::on(options, Settings::default()).await;
    let host = world.host.at(server.address);
    let mut feed = world.feed(&host, json!({"after": start})).await;
    feed.next().await;

    let held = app.database.hold_agent(agent).await;
    let (data, ()) = tokio::join!(host.data(CANCEL, json!({"id": task.0})), async {
        app.database.until_waiting(1).await;
        server.begin_to_stop();
        feed.closed().await;
        while TcpStream::connect(server.address).await.is_ok() {}
        held.roll_back().await;
    });
    assert_eq!(data["cancelTask"]["status"], "CANCELLED");
    server.stop().await;
    let left = "(select count(*) = 0 from pg_stat_activity where application_name = 'leaving'
        and datname = current_database())";
    app.database.until(left).await;
}

#[tokio::test]
async fn it_stops_in_time_although_a_request_never_ends_and_the_database_has_fallen_silent() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let (line, server) = app.server_on_a_line(Settings::default()).await;
    let host = world.host.at(server.address);
    world.until_read(&host).await;
    let feed = world.feed(&host, json!({})).await;

    // One whose body never comes, and one that waits for an answer of the database's.
    let token = app.token(Identity::Admin).await;
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    );
    let mut stalled = TcpStream::connect(server.address).await.unwrap();
    stalled.write_all(request.as_bytes()).await.unwrap();
    let held = app.database.hold_agent(agent).await;
    let waiting = host.send_and_forget(CANCEL, json!({"id": task.0})).await;
    app.database.until_waiting(1).await;
    line.fall_silent();
    let stopped = tokio::time::timeout(BOUND, server.stop()).await;
    assert!(stopped.is_ok(), "the server is still there");
    feed.closed().await;
    drop((stalled, waiting));
    line.cut();
    held.roll_back().await;
}

#[tokio::test]
async fn a_server_that_is_idle_stops_at_once() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let server = app.second_server().await;
    let host = world.host.at(server.address);
    world.until_read(&host).await;
    // A connection that is kept alive between requests is not waited for.
    let stopped = tokio::time::timeout(Duration::from_secs(5), server.stop()).await;
    assert!(stopped.is_ok(), "the server is still there");
}
