//! Refusing what could not be an agent's configuration.

use entity::secret::SecretJson;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::limits;

/// The JSON of a secret.
pub(super) fn secret(secret: Option<&SecretJson>) -> Option<&Value> {
    secret.map(|secret| &secret.0)
}

/// Refuses JSON that is not an object.
pub(super) fn object(argument: &'static str, value: Option<&Value>) -> Result<()> {
    if value.is_some_and(|value| !value.is_object()) {
        return Err(Error::bad_input(argument, "must be an object"));
    }
    limits::json(argument, value)
}

/// Refuses what could not be the environment of a process.
pub(super) fn env(argument: &'static str, value: Option<&Value>) -> Result<()> {
    object(argument, value)?;
    for (name, value) in value.and_then(Value::as_object).into_iter().flatten() {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Error::bad_input(
                argument,
                "a variable's name must not be empty or contain `=`",
            ));
        }
        if !value.is_string() {
            return Err(Error::bad_input(
                format!("{argument}.{name}"),
                "must be a string",
            ));
        }
    }
    Ok(())
}

/// Refuses what could not be the arguments of a process.
pub(super) fn args(argument: &'static str, value: Option<&Value>) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    if !value
        .as_array()
        .is_some_and(|args| args.iter().all(Value::is_string))
    {
        return Err(Error::bad_input(argument, "must be an array of strings"));
    }
    limits::json(argument, Some(value))
}
