//! GraphQL responses in JSON, and the status that goes with each.

use async_graphql::Pos;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Edge;
use super::negotiation::MediaType;
use crate::error::Error;
use crate::graphql::{Payload, code, is_request_error};

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
pub(super) fn refuse(edge: &Edge, media: MediaType, error: Error) -> Response {
    edge.board.metrics.operations.refused(error.code());
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
pub(super) fn refuse_with(
    edge: &Edge,
    status: StatusCode,
    media: MediaType,
    error: Error,
) -> Response {
    edge.board.metrics.operations.refused(error.code());
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

/// Whether the token was found not to hold.
pub(super) fn is_unauthenticated(response: &async_graphql::Response) -> bool {
    code(response) == Some("UNAUTHENTICATED")
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
