//! Text and JSON as clients send them. The character U+0000, which Postgres refuses, is left out here, once for every
//! mutation: an agent's output that has one must not leave its task stuck.

use std::borrow::Cow;
use std::fmt;

use async_graphql::registry::Registry;
use async_graphql::{InputType, InputValueError, InputValueResult, Value};

/// A `String`, without U+0000.
#[derive(Clone, Debug)]
pub(super) struct Text(pub(super) String);

impl InputType for Text {
    type RawValueType = String;

    fn type_name() -> Cow<'static, str> {
        <String as InputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <String as InputType>::create_type_info(registry)
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        let text = <String as InputType>::parse(value).map_err(InputValueError::propagate)?;
        Ok(Self(without_nul(text)))
    }

    fn to_value(&self) -> Value {
        InputType::to_value(&self.0)
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        Some(&self.0)
    }
}

/// A `JSON` value, without U+0000 in its strings and keys. It may be a secret, so it is not printed.
#[derive(Clone)]
pub(super) struct JsonText(pub(super) serde_json::Value);

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsonText(..)")
    }
}

impl InputType for JsonText {
    type RawValueType = serde_json::Value;

    fn type_name() -> Cow<'static, str> {
        <serde_json::Value as InputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <serde_json::Value as InputType>::create_type_info(registry)
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        let value =
            <serde_json::Value as InputType>::parse(value).map_err(InputValueError::propagate)?;
        Ok(Self(json_without_nul(value)))
    }

    fn to_value(&self) -> Value {
        InputType::to_value(&self.0)
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        Some(&self.0)
    }
}

/// The plain text of an optional argument.
pub(super) fn text(text: Option<Text>) -> Option<String> {
    text.map(|text| text.0)
}

/// The plain JSON of an optional argument.
pub(super) fn json(json: Option<JsonText>) -> Option<serde_json::Value> {
    json.map(|json| json.0).filter(|json| !json.is_null())
}

fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "")
    } else {
        text
    }
}

fn json_without_nul(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::String(text) => serde_json::Value::String(without_nul(text)),
        serde_json::Value::Array(values) => values.into_iter().map(json_without_nul).collect(),
        serde_json::Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (without_nul(name), json_without_nul(value)))
            .collect(),
        other @ (serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)) => other,
    }
}
