//! The router and its layers.

mod graphql;
mod health;
mod listener;
mod metrics;
mod negotiation;
mod parameters;
mod quota;
mod response;
mod sessions;
mod socket;
mod stream;
mod viewer;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{
    MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::trace::TraceLayer;

use crate::graphql::Executor;
use crate::graphql::context::Board;
use crate::settings;

pub use listener::listen;
pub(crate) use listener::serve;
pub(crate) use quota::Quota;
pub(crate) use sessions::Sessions;

/// Under which a request is found in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What handlers need.
#[derive(Debug)]
pub(crate) struct Edge {
    /// The service.
    pub(crate) board: Board,
    /// What executes documents.
    pub(crate) executor: Executor,
    /// What one client may do.
    pub(crate) bounds: settings::Edge,
    /// How many requests each token may make.
    pub(crate) quota: Quota,
    /// The open sockets and event streams.
    pub(crate) sessions: Sessions,
    /// Waits for the sockets until they have said good-bye.
    pub(crate) tracker: TaskTracker,
    /// Ends the open sockets and event streams.
    pub(crate) stop: CancellationToken,
}

/// Every route of the service.
pub(crate) fn router(edge: Edge) -> Router {
    Router::new()
        .route("/graphql", get(graphql::get).post(graphql::post))
        .route("/graphql/ws", get(socket::open))
        .route("/graphql/stream", get(stream::get).post(stream::post))
        .route("/schema.graphql", get(graphql::schema))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::page))
        .with_state(Arc::new(edge))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
}

/// A span for each request, with the id under which a client may ask about it.
fn span<B>(request: &Request<B>) -> tracing::Span {
    let id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.header_value().to_str().ok())
        .unwrap_or("");
    tracing::debug_span!("request", request.id = id, http.method = %request.method(), http.path = request.uri().path())
}

/// A panic is a fault of ours, and the end of one request only.
fn panicked(_payload: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
