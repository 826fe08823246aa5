//! The messages of graphql-transport-ws.

use async_graphql::ServerError;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::http::parameters::{Parameters, object};

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
    pub(super) fn write(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}
