//! The scalar `Cursor`.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

use crate::event;

/// An opaque position in the event log: everything up to it. Later is never smaller. Keep it to continue from there on
/// any server, after any restart, for as long as the log reaches back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor(pub(super) event::Cursor);

/// An opaque position in the event log: everything up to it. Later is never smaller. Keep it to continue from there on
/// any server, after any restart, for as long as the log reaches back.
#[Scalar(name = "Cursor")]
impl ScalarType for Cursor {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        Ok(Self(text.parse()?))
    }

    // Checked when the document is validated, because only there the message can name the argument.
    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(text) if text.parse::<event::Cursor>().is_ok())
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}
