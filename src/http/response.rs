//! GraphQL responses in JSON, and the status that goes with each.

use async_graphql::{Pos, Value};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::negotiation::MediaType;
use crate::error::Error;

/// A response as clients read it: without `data` where nothing was executed.
#[derive(Debug)]
pub(super) struct Payload<'a>(pub(super) &'a async_graphql::Response);

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
pub(super) fn is_request_error(response: &async_graphql::Response) -> bool {
    has_failed(response) && response.errors.iter().all(|error| error.path.is_empty())
}

/// Whether there are errors and nothing else.
pub(super) fn has_failed(response: &async_graphql::Response) -> bool {
    response.data == Value::Null && !response.errors.is_empty()
}

/// The response that an error is which concerns no place of a document.
pub(super) fn of_error(error: Error) -> async_graphql::Response {
    let mut error = async_graphql::Error::from(error).into_server_error(Pos::default());
    error.locations.clear();
    async_graphql::Response::from_errors(vec![error])
}

/// Answers with what came of executing a request, or with why it was not executed.
pub(super) fn respond(media: MediaType, response: &async_graphql::Response) -> Response {
    let status = match (request_status(response), media) {
        // The specification keeps 200 for every well-formed request here, whatever its document is.
        (StatusCode::BAD_REQUEST, MediaType::Json) => StatusCode::OK,
        (status, _) => status,
    };
    json(status, media, response)
}

/// Refuses a request for what it is, whatever its document is.
pub(super) fn refuse(media: MediaType, error: Error) -> Response {
    let retry_after = if let Error::RateLimited { retry_after, .. } = &error {
        Some(retry_after.as_secs().max(1))
    } else {
        (error.code() == "UNAVAILABLE").then_some(1)
    };
    let response = of_error(error);
    let mut response = json(request_status(&response), media, &response);
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Refuses a request with another status than its error has.
pub(super) fn refuse_with(status: StatusCode, media: MediaType, error: Error) -> Response {
    json(status, media, &of_error(error))
}

/// What HTTP says of a response.
fn request_status(response: &async_graphql::Response) -> StatusCode {
    if !is_request_error(response) {
        return StatusCode::OK;
    }
    match code(response) {
        Some("UNAUTHENTICATED") => StatusCode::UNAUTHORIZED,
        Some("FORBIDDEN") => StatusCode::FORBIDDEN,
        Some("PAYLOAD_TOO_LARGE") => StatusCode::PAYLOAD_TOO_LARGE,
        Some("RATE_LIMITED") => StatusCode::TOO_MANY_REQUESTS,
        Some("UNAVAILABLE") => StatusCode::SERVICE_UNAVAILABLE,
        Some("INTERNAL") => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The contract's code of the first error.
fn code(response: &async_graphql::Response) -> Option<&str> {
    let extensions = response.errors.first()?.extensions.as_ref()?;
    if let Value::String(code) = extensions.get("code")? {
        Some(code)
    } else {
        None
    }
}

fn json(status: StatusCode, media: MediaType, response: &async_graphql::Response) -> Response {
    let body = match serde_json::to_vec(&Payload(response)) {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(error = %error, "a response could not be written as JSON");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let headers = [
        (header::CONTENT_TYPE, media.content_type()),
        // It is for this token, and of this moment.
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "accept"),
    ];
    let mut response = (status, headers, body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"callboard\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
