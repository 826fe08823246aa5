//! What came of an operation, written as clients read it: once, however many of them are told.

use std::sync::Arc;

use async_graphql::{Response, ServerError, Value};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::{CursorPlace, of_document};
use crate::error::Error;

/// A response as clients read it: without `data` where nothing was executed.
#[derive(Debug)]
pub struct Payload<'a>(pub &'a Response);

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // The specification likes the errors to be first, where a reader sees them.
        if !self.0.errors.is_empty() {
            map.serialize_entry("errors", &self.0.errors)?;
        }
        if !is_request_error(self.0) {
            map.serialize_entry("data", &self.0.data)?;
        }
        if !self.0.extensions.is_empty() {
            map.serialize_entry("extensions", &self.0.extensions)?;
        }
        map.end()
    }
}

/// Whether nothing was executed: there is no data, and the errors are not those of fields.
pub fn is_request_error(response: &Response) -> bool {
    has_failed(response) && response.errors.iter().all(|error| error.path.is_empty())
}

/// The contract's code of the first error.
pub fn code(response: &Response) -> Option<&str> {
    code_of(response.errors.first()?)
}

fn code_of(error: &ServerError) -> Option<&str> {
    if let Value::String(code) = error.extensions.as_ref()?.get("code")? {
        Some(code)
    } else {
        None
    }
}

/// Whether there are errors and nothing else.
fn has_failed(response: &Response) -> bool {
    response.data == Value::Null && !response.errors.is_empty()
}

/// A result of an operation; clones share what is written of it.
#[derive(Clone, Debug)]
pub struct Outcome(Arc<Written>);

#[derive(Debug)]
struct Written {
    payload: Box<RawValue>,
    cursor: Option<String>,
    errors: Vec<ServerError>,
    is_request_error: bool,
    has_failed: bool,
}

impl Outcome {
    /// Writes a response, which may have its cursor somewhere.
    pub(in crate::graphql) fn new(response: Response, cursor: Option<&CursorPlace>) -> Self {
        let payload = match serde_json::value::to_raw_value(&Payload(&response)) {
            Ok(payload) => payload,
            Err(error) => {
                tracing::error!(error = %error, "a result could not be written as JSON");
                return Self::from(Error::Internal(anyhow::Error::new(error)));
            }
        };
        let cursor = cursor.and_then(|place| place.of(&response.data));
        Self(Arc::new(Written {
            payload,
            cursor: cursor.map(str::to_owned),
            is_request_error: is_request_error(&response),
            has_failed: has_failed(&response),
            errors: response.errors,
        }))
    }

    /// The response in JSON, without line breaks.
    pub fn payload(&self) -> &RawValue {
        &self.0.payload
    }

    /// Up to where it is, where the document asks for that.
    pub fn cursor(&self) -> Option<&str> {
        self.0.cursor.as_deref()
    }

    /// What went wrong.
    pub fn errors(&self) -> &[ServerError] {
        &self.0.errors
    }

    /// The contract's code of the first of it.
    pub fn code(&self) -> Option<&str> {
        code_of(self.0.errors.first()?)
    }

    /// Whether nothing was executed.
    pub fn is_request_error(&self) -> bool {
        self.0.is_request_error
    }

    /// Whether there are errors and nothing else.
    pub fn has_failed(&self) -> bool {
        self.0.has_failed
    }
}

impl From<Response> for Outcome {
    fn from(response: Response) -> Self {
        Self::new(response, None)
    }
}

/// An error about an operation as a whole.
impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        Self::from(Response::from_errors(vec![of_document(error)]))
    }
}
