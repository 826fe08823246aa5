//! `/graphql/ws`: queries, mutations and subscriptions over a socket, by the protocol graphql-transport-ws.
//!
//! Beyond what the protocol says: a token that expires or is revoked closes its socket with 4403, because clients try again
//! after that one, and perhaps with a token that holds. A server that stops closes with 1012. The payload of a client's
//! ping may carry a fresh token of the same identity, which takes the place of the one before.

mod close;
mod conversation;
mod message;
mod operations;

use std::sync::Arc;

use axum::extract::{State, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::Response;

use self::close::Close;
use self::conversation::Conversation;
use super::{Edge, viewer};

/// The one protocol that is spoken.
const PROTOCOL: &str = "graphql-transport-ws";

/// The most bytes of a message; documents and variables are smaller.
const MESSAGE_BYTES: usize = 256 * 1024;

/// What is set aside for reading from a socket, however idle: as much as most messages need. The default is 128 KiB.
const READ_BUFFER_BYTES: usize = 1024;

/// How much is written before it is sent though there is more to write: enough for what was sent at once not to cost as
/// much as if it were sent one by one, and little enough to be kept for every socket.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;

/// Opens a socket.
pub(super) async fn open(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let from_header = viewer::bearer(&headers);
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .max_message_size(MESSAGE_BYTES)
        .max_frame_size(MESSAGE_BYTES)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES);
    let understood = upgrade.selected_protocol().is_some();
    // From here on, so that a server that stops does not miss a socket that is only about to open.
    let tracked = edge.tracker.token();
    upgrade.on_upgrade(move |socket| {
        // As a task of its own: what opened the socket would be kept for as long as it is held.
        let (tracker, conversation) = (
            edge.tracker.clone(),
            Box::new(Conversation::new(edge, socket, from_header)),
        );
        if understood {
            tracker.spawn(conversation.hold());
        } else {
            tracker.spawn(conversation.end(Close::UNKNOWN_PROTOCOL));
        }
        drop(tracked);
        std::future::ready(())
    })
}
