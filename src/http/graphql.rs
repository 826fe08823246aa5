//! GraphQL over HTTP and over a socket: a token becomes a viewer, a body a request.

use async_graphql::http::ALL_WEBSOCKET_PROTOCOLS;
use async_graphql::{Data, Executor as _};
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::body::{Body, to_bytes};
use axum::extract::{State, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use serde_json::Value;

use super::Edge;
use crate::auth::{Viewer, token};
use crate::error::{Error, Result};

/// The most bytes of a request's body: a full batch of messages is smaller.
const BODY_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes of a message on a socket; documents and variables are smaller.
const MESSAGE_BYTES: usize = 256 * 1024;

/// Executes a query or mutation.
pub(super) async fn execute(State(edge): State<Edge>, headers: HeaderMap, body: Body) -> Response {
    match respond(&edge, &headers, body).await {
        Ok(response) => json(StatusCode::OK, &response),
        Err(error) => {
            let status = status(&error);
            let mut error =
                async_graphql::Error::from(error).into_server_error(async_graphql::Pos::default());
            // Nothing was parsed, so there is no place in the document to point to.
            error.locations.clear();
            let response = async_graphql::Response::from_errors(vec![error]);
            json(status, &response)
        }
    }
}

async fn respond(edge: &Edge, headers: &HeaderMap, body: Body) -> Result<async_graphql::Response> {
    let viewer = authenticate(edge, bearer(headers)).await?;
    let body = to_bytes(body, BODY_BYTES)
        .await
        .map_err(|_too_large| Error::PayloadTooLarge {
            limit_bytes: BODY_BYTES,
        })?;
    // An array of the fields' values would do for the parser as well.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::bad_input(
            "body",
            "is not one GraphQL request in JSON",
        ));
    }
    let request: async_graphql::Request = serde_json::from_slice(&body).map_err(|error| {
        Error::bad_input("body", format!("is not a GraphQL request in JSON: {error}"))
    })?;
    Ok(edge.executor.execute(request.data(viewer)).await)
}

/// Opens a socket for the protocol graphql-transport-ws.
pub(super) async fn socket(
    State(edge): State<Edge>,
    protocol: GraphQLProtocol,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let from_header = bearer(&headers);
    upgrade
        .protocols(ALL_WEBSOCKET_PROTOCOLS)
        .max_message_size(MESSAGE_BYTES)
        .read_buffer_size(4 * 1024)
        .on_upgrade(move |stream| async move {
            let stop = edge.stop.clone();
            let executor = edge.executor.clone();
            let serving = GraphQLWebSocket::new(stream, executor, protocol)
                .on_connection_init(move |payload| async move {
                    let token = token_in(&payload).or(from_header);
                    let mut data = Data::default();
                    data.insert(authenticate(&edge, token).await?);
                    Ok(data)
                })
                .serve();
            stop.run_until_cancelled(serving).await;
        })
}

/// The schema in the schema definition language.
pub(super) async fn schema() -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        crate::graphql::sdl(),
    )
        .into_response()
}

/// Finds out who is asking.
async fn authenticate(edge: &Edge, token: Option<SecretString>) -> Result<Viewer> {
    let token = token.ok_or(Error::Unauthenticated(
        "a token is needed: Authorization: Bearer …",
    ))?;
    token::authenticate(&edge.board.db, &token).await
}

/// The token of the header `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    bearer_token(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

/// The token of the payload of `connection_init`: the same header, as a field.
fn token_in(payload: &Value) -> Option<SecretString> {
    let fields = payload.as_object()?;
    let (_, value) = fields
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
    bearer_token(value.as_str()?)
}

fn bearer_token(value: &str) -> Option<SecretString> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| SecretString::from(token.trim()))
}

/// What HTTP says of a request that was not executed.
fn status(error: &Error) -> StatusCode {
    match error.code() {
        "UNAUTHENTICATED" => StatusCode::UNAUTHORIZED,
        "PAYLOAD_TOO_LARGE" => StatusCode::PAYLOAD_TOO_LARGE,
        "UNAVAILABLE" => StatusCode::SERVICE_UNAVAILABLE,
        "INTERNAL" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn json(status: StatusCode, response: &async_graphql::Response) -> Response {
    match serde_json::to_vec(response) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "a response could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
