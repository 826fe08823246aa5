//! The messages of graphql-transport-ws.

use async_graphql::ServerError;
use axum::extract::ws::Utf8Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::http::parameters::{Parameters, object};

/// How many bytes of a message are around a result and its name.
const AROUND_A_RESULT: usize = 64;

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    /// Who it is.
    ConnectionInit {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    /// Whether the server is there.
    Ping {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    /// That it is there.
    Pong {
        #[serde(default, rename = "payload")]
        _payload: Option<Map<String, Value>>,
    },
    /// What it wants to have executed.
    Subscribe {
        #[serde(deserialize_with = "name")]
        id: String,
        payload: Parameters,
    },
    /// What it does not want any more.
    Complete {
        #[serde(deserialize_with = "name")]
        id: String,
    },
}

impl ClientMessage {
    /// Reads a message.
    pub(super) fn read(text: &str) -> serde_json::Result<Self> {
        object(text.as_bytes())
    }
}

/// Reads the name of an operation, which must be one.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() {
        return Err(serde::de::Error::custom("the id is empty"));
    }
    Ok(name)
}

/// What the server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    /// That the client may ask.
    ConnectionAck,
    /// Whether the client is there.
    Ping,
    /// That it is there itself, with what it was asked with.
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Map<String, Value>>,
    },
    /// A result.
    Next { id: &'a str, payload: &'a RawValue },
    /// Why there is none.
    Error {
        id: &'a str,
        payload: &'a [ServerError],
    },
    /// That there are no more.
    Complete { id: &'a str },
}

impl ServerMessage<'_> {
    /// Writes the message.
    pub(super) fn write(&self) -> serde_json::Result<Utf8Bytes> {
        let mut text = Vec::with_capacity(self.length());
        serde_json::to_writer(&mut text, self)?;
        Utf8Bytes::try_from(text).map_err(serde::ser::Error::custom)
    }

    /// About how long it is: results come in great numbers, and need not be moved while they grow.
    fn length(&self) -> usize {
        match self {
            Self::Next { id, payload } => payload.get().len() + id.len() + AROUND_A_RESULT,
            Self::ConnectionAck
            | Self::Ping
            | Self::Pong { .. }
            | Self::Error { .. }
            | Self::Complete { .. } => AROUND_A_RESULT,
        }
    }
}
