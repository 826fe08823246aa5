//! What is no message of the protocol: the socket closes with 4400, and says what was wrong.

use callboard::auth::Identity;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::Message;

use super::{BANNER, begin_banner, some_issue};
use crate::harness::{PROTOCOL, Socket, TestApp};

#[tokio::test]
async fn what_is_no_message_closes_the_socket_before_and_after_it_was_acknowledged() {
    let app = TestApp::start().await;
    let token = app.token(Identity::Admin).await;
    let messages = [
        "",
        "nonsense",
        "{",
        "null",
        "7",
        "\"ping\"",
        "[]",
        "[\"ping\"]",
        "{}",
        "{\"type\": null}",
        "{\"type\": 7}",
        "{\"type\": \"start\", \"id\": \"1\", \"payload\": {\"query\": \"{ viewer { kind } }\"}}",
        "{\"type\": \"connection_ack\"}",
        "{\"type\": \"PING\"}",
        "{\"type\": \"ping\", \"payload\": \"text\"}",
        "{\"type\": \"pong\", \"payload\": [1]}",
        "{\"type\": \"connection_init\", \"payload\": \"token\"}",
        "{\"type\": \"subscribe\"}",
        "{\"type\": \"subscribe\", \"id\": \"1\"}",
        "{\"type\": \"subscribe\", \"id\": 1, \"payload\": {\"query\": \"{ viewer { kind } }\"}}",
        "{\"type\": \"subscribe\", \"id\": \"\", \"payload\": {\"query\": \"{ viewer { kind } }\"}}",
        "{\"type\": \"subscribe\", \"payload\": {\"query\": \"{ viewer { kind } }\"}}",
        "{\"type\": \"subscribe\", \"id\": \"1\", \"payload\": {}}",
        "{\"type\": \"subscribe\", \"id\": \"1\", \"payload\": {\"query\": 7}}",
        "{\"type\": \"subscribe\", \"id\": \"1\", \"payload\": {\"query\": \"\", \"variables\": 7}}",
        "{\"type\": \"subscribe\", \"id\": \"1\", \"payload\": {\"query\": \"\", \"operationName\": 7}}",
        "{\"type\": \"subscribe\", \"id\": \"1\", \"payload\": {\"query\": \"\", \"extensions\": 7}}",
        "{\"type\": \"complete\"}",
        "{\"type\": \"complete\", \"id\": \"\"}",
        "{\"type\": \"complete\", \"id\": null}",
    ];
    for message in messages {
        for acknowledged in [false, true] {
            let mut socket = if acknowledged {
                Socket::acknowledged(app.address(), &token).await
            } else {
                Socket::open(app.address(), Some(PROTOCOL)).await
            };
            socket.send_frame(Message::text(message)).await;
            let (code, reason) = socket.closed().await;
            assert_eq!(code, 4400, "{message}: {reason}");
            assert!(
                reason.starts_with("Invalid message: "),
                "{message}: {reason}"
            );
        }
    }
}

#[tokio::test]
async fn a_long_reason_is_cut_to_what_a_frame_has_room_for() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(app.address(), Some(PROTOCOL)).await;
    socket.send(json!({"type": "ü".repeat(1000)})).await;
    let (code, reason) = socket.closed().await;
    assert_eq!(code, 4400);
    assert!((100..=123).contains(&reason.len()), "{reason}");
}

#[tokio::test]
async fn a_message_that_is_no_text_closes_the_socket() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(app.address(), Some(PROTOCOL)).await;
    let message = json!({"type": "ping"}).to_string().into_bytes();
    socket.send_frame(Message::binary(message)).await;
    assert_eq!(
        socket.closed().await,
        (4400, "Invalid message: it is binary".to_owned())
    );
}

#[tokio::test]
async fn a_second_operation_of_the_same_name_closes_the_socket() {
    let app = TestApp::start().await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    begin_banner(&mut socket, "mine").await;
    socket.subscribe("mine", BANNER, some_issue()).await;
    assert_eq!(
        socket.closed().await,
        (4409, "Subscriber for mine already exists".to_owned())
    );
}

#[tokio::test]
async fn a_frame_of_a_gigabyte_is_refused_when_it_is_announced() {
    let app = TestApp::start().await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    // A masked text whose length stands in eight bytes, and nothing of it.
    let mut header = vec![0x81, 0xff];
    header.extend(1_073_741_824_u64.to_be_bytes());
    header.extend([0; 4]);
    let MaybeTlsStream::Plain(connection) = socket.stream.get_mut() else {
        panic!("a socket without TLS");
    };
    connection.write_all(&header).await.unwrap();
    assert_eq!(socket.closed().await, (1009, "Message too big".to_owned()));
}

#[tokio::test]
async fn a_message_that_grows_beyond_the_limit_piece_by_piece_is_refused() {
    let app = TestApp::start().await;
    let token = app.token(Identity::Admin).await;
    let mut socket = Socket::acknowledged(app.address(), &token).await;
    let MaybeTlsStream::Plain(connection) = socket.stream.get_mut() else {
        panic!("a socket without TLS");
    };
    // Texts of 64 KiB, masked with nothing, of which none is the last.
    let size = u16::MAX;
    for piece in 0..5 {
        let mut frame = vec![u8::from(piece == 0), 0xfe];
        frame.extend(size.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(vec![b' '; usize::from(size)]);
        connection.write_all(&frame).await.unwrap();
    }
    assert_eq!(socket.closed().await, (1009, "Message too big".to_owned()));
}
