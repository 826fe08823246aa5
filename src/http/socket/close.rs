//! Why a socket is closed: the codes of graphql-transport-ws, and of WebSocket itself for what is not the protocol's.

use std::borrow::Cow;

use axum::extract::ws::CloseFrame;
use tungstenite::Error as SocketError;

use crate::error::Error;

/// The most bytes of a reason: what a control frame has room for beside the code.
const REASON_BYTES: usize = 123;

/// A code, and the same for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Close {
    code: u16,
    reason: Cow<'static, str>,
}

impl Close {
    /// The client speaks another protocol, or none.
    pub(super) const UNKNOWN_PROTOCOL: Self = Self::new(4406, "Subprotocol not acceptable");
    /// The client has not said who it is.
    pub(super) const NOT_INITIALISED: Self = Self::new(4408, "Connection initialisation timeout");
    /// The client has said so twice.
    pub(super) const INITIALISED_TWICE: Self = Self::new(4429, "Too many initialisation requests");
    /// The client asks before it was acknowledged.
    pub(super) const NOT_ACKNOWLEDGED: Self = Self::new(4401, "Unauthorized");
    /// There is no token that holds. Clients try again after this one, which they do not after 4401.
    pub(super) const FORBIDDEN: Self = Self::new(4403, "Forbidden");
    /// The client has not answered a ping.
    pub(super) const NO_PONG: Self = Self::new(4408, "Pong timeout");
    /// A message that is no text.
    pub(super) const BINARY: Self = Self::new(4400, "Invalid message: it is binary");
    /// The server stops; another one, or its successor, takes over.
    pub(super) const RESTART: Self = Self::new(1012, "Service restart");

    const fn new(code: u16, reason: &'static str) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
        }
    }

    /// A message that is none of the protocol's.
    pub(super) fn invalid(problem: &serde_json::Error) -> Self {
        Self {
            code: 4400,
            reason: Cow::Owned(format!("Invalid message: {problem}")),
        }
    }

    /// A second operation with the name of one that is under way.
    pub(super) fn exists(id: &str) -> Self {
        Self {
            code: 4409,
            reason: Cow::Owned(format!("Subscriber for {id} already exists")),
        }
    }

    /// What kept a client from being acknowledged.
    pub(super) fn refused(error: &Error) -> Self {
        match error.code() {
            "UNAUTHENTICATED" => Self::FORBIDDEN,
            "UNAVAILABLE" => Self::new(1013, "The database does not answer; try again later"),
            "RATE_LIMITED" => Self {
                code: 1013,
                reason: Cow::Owned(error.to_string()),
            },
            _ => {
                tracing::error!(error = ?error, "a socket could not be opened");
                Self::new(1011, "Internal error")
            }
        }
    }

    /// What is wrong with what a client sent, if it is to be told.
    pub(super) fn broken(error: axum::Error) -> Option<Self> {
        let error = error.into_inner().downcast::<SocketError>().ok()?;
        if matches!(*error, SocketError::Capacity(_)) {
            Some(Self::new(1009, "Message too big"))
        } else if matches!(*error, SocketError::Utf8(_)) {
            Some(Self::new(1007, "Text that is not UTF-8"))
        } else if matches!(*error, SocketError::Protocol(_)) {
            Some(Self::new(1002, "Protocol error"))
        } else {
            // The connection has broken.
            None
        }
    }
}

impl From<Close> for CloseFrame {
    fn from(close: Close) -> Self {
        let mut reason = close.reason.into_owned();
        let room = reason.floor_char_boundary(REASON_BYTES);
        reason.truncate(room);
        Self {
            code: close.code,
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_into_its_frame_and_stays_text() {
        for id in ["short", &"x".repeat(200), &"ü".repeat(200)] {
            let frame = CloseFrame::from(Close::exists(id));
            assert!(frame.reason.len() <= REASON_BYTES, "{id}");
            assert!(frame.reason.starts_with("Subscriber for "), "{id}");
        }
    }
}
