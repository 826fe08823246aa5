//! What a client says of a request: its document, operation and variables. Everything else is for the transports.

use async_graphql::{Extensions, Request, Variables};
use axum::extract::Query;
use axum::http::Uri;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};

use crate::error::{Error, Result};

/// A GraphQL request as clients write it, in JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    query: String,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Variables,
    #[serde(default)]
    extensions: Extensions,
}

/// The same in the query of a URL: what is no text is JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UrlParameters {
    query: String,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

impl Parameters {
    /// Reads them from the body of a request.
    pub(super) fn from_body(body: &[u8]) -> Result<Self> {
        object(body).map_err(|error| {
            Error::bad_input(
                "body",
                format!("is not one GraphQL request in JSON: {error}"),
            )
        })
    }

    /// Reads them from a URL.
    pub(super) fn from_url(uri: &Uri) -> Result<Self> {
        let Query(parameters) = Query::<UrlParameters>::try_from_uri(uri)
            .map_err(|error| Error::bad_input("URL", format!("is no GraphQL request: {error}")))?;
        Ok(Self {
            query: parameters.query,
            operation_name: parameters.operation_name,
            variables: json("variables", parameters.variables)?,
            extensions: json("extensions", parameters.extensions)?,
        })
    }
}

impl From<Parameters> for Request {
    fn from(parameters: Parameters) -> Self {
        let mut request = Self::new(parameters.query).variables(parameters.variables);
        request.operation_name = parameters.operation_name;
        request.extensions = parameters.extensions;
        request
    }
}

/// Reads an object. An array of its fields' values would do for the parser as well.
pub(super) fn object<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(serde_json::Error::custom("it is not an object"));
    }
    serde_json::from_slice(text)
}

/// Reads a parameter that is an object, or null, or not there.
fn json<T: Default + DeserializeOwned>(name: &'static str, text: Option<String>) -> Result<T> {
    text.map_or_else(|| Ok(T::default()), |text| serde_json::from_str(&text))
        .map_err(|error| Error::bad_input(name, format!("is not an object in JSON: {error}")))
}
