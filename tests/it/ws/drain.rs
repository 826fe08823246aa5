//! A server that stops tells its sockets to come back.

use callboard::auth::Identity;

use super::begin_banner;
use crate::harness::{PROTOCOL, Socket, TestApp};

#[tokio::test]
async fn a_server_that_stops_closes_every_socket_with_a_code_that_brings_clients_back() {
    let app = TestApp::start().await;
    let server = app.second_server().await;
    let token = app.token(Identity::Admin).await;
    let mut busy = Socket::acknowledged(server.address, &token).await;
    begin_banner(&mut busy, "1").await;
    let mut idle = Socket::acknowledged(server.address, &token).await;
    let mut unknown = Socket::open(server.address, Some(PROTOCOL)).await;
    server.begin_to_stop();
    for socket in [&mut busy, &mut idle, &mut unknown] {
        assert_eq!(socket.closed().await, (1012, "Service restart".to_owned()));
    }
    server.stop().await;
    let mut elsewhere = Socket::acknowledged(app.address(), &token).await;
    begin_banner(&mut elsewhere, "1").await;
}
