//! `/graphql`, by the specification of GraphQL over HTTP: queries and mutations in JSON by POST, queries by GET.
//!
//! A body of another type is refused, because a browser sends some of those to anybody without asking whether it may. So is
//! a list of requests: what is bounded for one would have to be bounded for all of them together.

use std::sync::Arc;

use async_graphql::Request;
use async_graphql::parser::types::OperationType;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::negotiation::{self, MediaType};
use super::parameters::Parameters;
use super::response::{refuse, refuse_with, respond};
use super::{Edge, viewer};
use crate::error::Error;

/// The most bytes of a request's body: a full batch of messages is smaller.
const BODY_BYTES: usize = 4 * 1024 * 1024;

/// What async-graphql says of a subscription that it was asked to execute like a query.
const NOT_HERE: &str = "Subscriptions are not supported on this transport.";

/// Executes the request of a body.
pub(super) async fn post(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(media) = MediaType::accepted(&headers) else {
        return not_acceptable();
    };
    if let Err(refusal) = check_body(media, &headers) {
        return refusal;
    }
    // Who it is comes first: nobody's body is read otherwise.
    let viewer = match viewer::requester(&edge, &headers).await {
        Ok(viewer) => viewer,
        Err(error) => return refuse(media, error),
    };
    match read(&edge, media, body).await {
        Ok(parameters) => {
            let request = Request::from(parameters).data(viewer);
            execute(&edge, media, Method::POST, request).await
        }
        Err(refusal) => refusal,
    }
}

/// Executes the query of a URL.
pub(super) async fn get(State(edge): State<Arc<Edge>>, headers: HeaderMap, uri: Uri) -> Response {
    let Some(media) = MediaType::accepted(&headers) else {
        return not_acceptable();
    };
    let viewer = match viewer::requester(&edge, &headers).await {
        Ok(viewer) => viewer,
        Err(error) => return refuse(media, error),
    };
    match Parameters::from_url(&uri) {
        Ok(parameters) => {
            let request = Request::from(parameters).data(viewer);
            execute(&edge, media, Method::GET, request).await
        }
        Err(error) => refuse(media, error),
    }
}

async fn execute(edge: &Edge, media: MediaType, method: Method, request: Request) -> Response {
    let prepared = match edge.executor.prepare(request) {
        Ok(prepared) => prepared,
        Err(refusal) => return respond(media, &refusal),
    };
    if method == Method::GET && prepared.kind() == OperationType::Mutation {
        return only_by_post(media);
    }
    let mut response = edge.executor.run(prepared).await;
    for error in &mut response.errors {
        if error.message == NOT_HERE {
            "Subscriptions are not supported here: they are at /graphql/ws and /graphql/stream."
                .clone_into(&mut error.message);
        }
    }
    respond(media, &response)
}

/// Reads the request of a body; refuses what is none.
pub(super) async fn read(
    edge: &Edge,
    media: MediaType,
    body: Body,
) -> Result<Parameters, Response> {
    let reading = to_bytes(body, BODY_BYTES);
    let bytes = match tokio::time::timeout(edge.bounds.body_timeout, reading).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_too_large)) => {
            let limit_bytes = BODY_BYTES;
            return Err(refuse(media, Error::PayloadTooLarge { limit_bytes }));
        }
        // It has no code of the contract: nothing is wrong with it, and a daemon on a slow line is to send it again.
        Err(_elapsed) => {
            let status = StatusCode::REQUEST_TIMEOUT;
            return Err((status, "the body did not arrive in time\n").into_response());
        }
    };
    Parameters::from_body(&bytes).map_err(|error| refuse(media, error))
}

/// Refuses a mutation that a link could bring about.
pub(super) fn only_by_post(media: MediaType) -> Response {
    let error = Error::bad_input("query", "is a mutation: send it by POST");
    let mut response = refuse_with(StatusCode::METHOD_NOT_ALLOWED, media, error);
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// Refuses a body that is not JSON, or is compressed.
#[expect(
    clippy::result_large_err,
    reason = "the refusal is the answer, once in a request"
)]
pub(super) fn check_body(media: MediaType, headers: &HeaderMap) -> Result<(), Response> {
    let unsupported = |error: Error| refuse_with(StatusCode::UNSUPPORTED_MEDIA_TYPE, media, error);
    if !negotiation::is_json(headers) {
        let error = Error::bad_input("Content-Type", "must be application/json, in UTF-8");
        return Err(unsupported(error));
    }
    if !negotiation::is_identity(headers) {
        let mut response = unsupported(Error::bad_input("Content-Encoding", "must be identity"));
        let identity = HeaderValue::from_static("identity");
        // That it is the encoding that is wrong, and not the type.
        let _before = response
            .headers_mut()
            .insert(header::ACCEPT_ENCODING, identity);
        return Err(response);
    }
    Ok(())
}

/// Refuses a client that would not understand the answer.
fn not_acceptable() -> Response {
    let message = "Accept: application/graphql-response+json or application/json\n";
    (StatusCode::NOT_ACCEPTABLE, message).into_response()
}

/// The schema in the schema definition language.
pub(super) async fn schema() -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        crate::graphql::sdl(),
    )
        .into_response()
}
