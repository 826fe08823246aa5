//! `/graphql`, by the specification of GraphQL over HTTP: queries and mutations in JSON by POST, queries by GET.
//!
//! A body of another type is refused, because a browser sends some of those to anybody without asking whether it may. So is
//! a list of requests: what is bounded for one would have to be bounded for all of them together.

use std::sync::Arc;

use async_graphql::Request;
use async_graphql::parser::types::OperationType;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::negotiation::{self, MediaType};
use super::parameters::Parameters;
use super::response::{is_unauthenticated, refuse, refuse_with, respond};
use super::{Edge, viewer};
use crate::error::Error;
use crate::graphql::Prepared;

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
    if let Err(refusal) = check_body(&edge, media, &headers) {
        return refusal;
    }
    match execute_body(&edge, media, &headers, body).await {
        Ok(response) | Err(response) => response,
    }
}

/// Executes the request of a body, or refuses it.
async fn execute_body(
    edge: &Edge,
    media: MediaType,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    let refuse = |error| refuse(edge, media, error);
    // Who it is, or was a moment ago, comes first: nobody's body is read otherwise.
    let token = viewer::bearer(headers).ok_or_else(|| refuse(Error::NO_TOKEN))?;
    let requester = viewer::requester_or_recalled(edge, &token).await;
    let mut viewer = requester.map_err(refuse)?;
    let bytes = read(edge, media, body).await?;
    let mut prepared = prepare_body(edge, media, &bytes)?;
    if viewer.is_recalled {
        if prepared.asks_whether_token_holds() {
            let response = edge.executor.run(prepared.by(viewer)).await;
            if !is_unauthenticated(&response) {
                return Ok(respond(media, &response));
            }
            // Nothing was done that a repetition does not find. The token may hold nevertheless, and its member have another
            // role by now.
            prepared = prepare_body(edge, media, &bytes)?;
        }
        let authenticated = edge.board.gate.authenticate(&token).await;
        viewer = authenticated.map_err(refuse)?;
    }
    Ok(run(edge, media, prepared.by(viewer)).await)
}

/// Executes the query of a URL.
pub(super) async fn get(State(edge): State<Arc<Edge>>, headers: HeaderMap, uri: Uri) -> Response {
    let Some(media) = MediaType::accepted(&headers) else {
        return not_acceptable();
    };
    let viewer = match viewer::requester(&edge, &headers).await {
        Ok(viewer) => viewer,
        Err(error) => return refuse(&edge, media, error),
    };
    let parameters = match Parameters::from_url(&uri) {
        Ok(parameters) => parameters,
        Err(error) => return refuse(&edge, media, error),
    };
    match prepare(&edge, media, parameters.into()) {
        Ok(prepared) if prepared.kind() == OperationType::Mutation => only_by_post(&edge, media),
        Ok(prepared) => run(&edge, media, prepared.by(viewer)).await,
        Err(refusal) => refusal,
    }
}

/// Reads the request of a body, and its document.
#[expect(
    clippy::result_large_err,
    reason = "the refusal is the answer, once in a request"
)]
fn prepare_body(edge: &Edge, media: MediaType, body: &[u8]) -> Result<Prepared, Response> {
    let parameters = Parameters::from_body(body).map_err(|error| refuse(edge, media, error))?;
    prepare(edge, media, parameters.into())
}

/// Reads a request's document.
#[expect(
    clippy::result_large_err,
    reason = "the refusal is the answer, once in a request"
)]
fn prepare(edge: &Edge, media: MediaType, request: Request) -> Result<Prepared, Response> {
    let prepared = edge.executor.prepare(request);
    prepared.map_err(|refusal| respond(media, &refusal))
}

/// Executes a query or mutation.
async fn run(edge: &Edge, media: MediaType, prepared: Prepared) -> Response {
    let mut response = edge.executor.run(prepared).await;
    for error in &mut response.errors {
        if error.message == NOT_HERE {
            "Subscriptions are not supported here: they are at /graphql/ws and /graphql/stream."
                .clone_into(&mut error.message);
        }
    }
    respond(media, &response)
}

/// Reads the bytes of a body; refuses too many of them.
pub(super) async fn read(edge: &Edge, media: MediaType, body: Body) -> Result<Bytes, Response> {
    let reading = to_bytes(body, BODY_BYTES);
    match tokio::time::timeout(edge.bounds.body_timeout, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_too_large)) => {
            let limit_bytes = BODY_BYTES;
            Err(refuse(edge, media, Error::PayloadTooLarge { limit_bytes }))
        }
        // It has no code of the contract: nothing is wrong with it, and a daemon on a slow line is to send it again.
        Err(_elapsed) => {
            let status = StatusCode::REQUEST_TIMEOUT;
            Err((status, "the body did not arrive in time\n").into_response())
        }
    }
}

/// Refuses a mutation that a link could bring about.
pub(super) fn only_by_post(edge: &Edge, media: MediaType) -> Response {
    let error = Error::bad_input("query", "is a mutation: send it by POST");
    let mut response = refuse_with(edge, StatusCode::METHOD_NOT_ALLOWED, media, error);
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
pub(super) fn check_body(
    edge: &Edge,
    media: MediaType,
    headers: &HeaderMap,
) -> Result<(), Response> {
    let unsupported =
        |error: Error| refuse_with(edge, StatusCode::UNSUPPORTED_MEDIA_TYPE, media, error);
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
