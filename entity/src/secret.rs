//! A JSON column that must not be printed.

use std::fmt;

use sea_orm::DeriveValueType;

/// Environment variables, keys, server definitions: JSON that goes to a daemon in a claim and nowhere else.
#[derive(Clone, PartialEq, Eq, DeriveValueType)]
pub struct SecretJson(pub serde_json::Value);

impl fmt::Debug for SecretJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretJson(..)")
    }
}
