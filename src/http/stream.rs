//! `/graphql/stream`: results as server-sent events, by the protocol GraphQL over SSE in its mode of distinct connections.
//!
//! Each request is answered with a stream of its own: `event: next` for each result, and `event: complete` in the end. A
//! stream that ends without it was broken off, and is to be asked for again. The other mode of the protocol, in which a
//! reserved stream carries many operations, is what `/graphql/ws` is for: `PUT` and `DELETE` are answered with 405.
//!
//! The `id` of an event is the cursor of its result, where the document asks for one. A client that comes back with it as
//! `Last-Event-ID`, as every event source does by itself, continues behind it: the id takes the place of the argument
//! `after`, or of the variable in it. What has no such argument begins anew, with a snapshot.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Request;
use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, BoxStream, Stream, StreamExt};

use super::negotiation::{self, MediaType};
use super::parameters::Parameters;
use super::response::refuse;
use super::{Edge, graphql, viewer};
use crate::auth::Viewer;
use crate::graphql::{Outcome, Prepared};

/// What a client accepts that wants to be answered here.
const EVENT_STREAM: &str = "text/event-stream";

/// Where a client says what it has seen.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Streams the results of the request of a body.
pub(super) async fn post(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !negotiation::accepts(&headers, EVENT_STREAM) {
        return not_acceptable();
    }
    if let Err(refusal) = graphql::check_body(&edge, MediaType::Json, &headers) {
        return refusal;
    }
    let viewer = match viewer::requester(&edge, &headers).await {
        Ok(viewer) => viewer,
        Err(error) => return refuse(&edge, MediaType::Json, error),
    };
    let bytes = match graphql::read(&edge, MediaType::Json, body).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refusal,
    };
    match Parameters::from_body(&bytes) {
        Ok(parameters) => respond(&edge, &headers, &Method::POST, viewer, parameters),
        Err(error) => refuse(&edge, MediaType::Json, error),
    }
}

/// Streams the results of the request of a URL.
pub(super) async fn get(State(edge): State<Arc<Edge>>, headers: HeaderMap, uri: Uri) -> Response {
    if !negotiation::accepts(&headers, EVENT_STREAM) {
        return not_acceptable();
    }
    let viewer = match viewer::requester(&edge, &headers).await {
        Ok(viewer) => viewer,
        Err(error) => return refuse(&edge, MediaType::Json, error),
    };
    match Parameters::from_url(&uri) {
        Ok(parameters) => respond(&edge, &headers, &Method::GET, viewer, parameters),
        Err(error) => refuse(&edge, MediaType::Json, error),
    }
}

fn respond(
    edge: &Edge,
    headers: &HeaderMap,
    method: &Method,
    viewer: Viewer,
    parameters: Parameters,
) -> Response {
    let session = match edge.sessions.open(&viewer) {
        Ok(session) => session,
        Err(error) => return refuse(edge, MediaType::Json, error),
    };
    let results = match edge
        .executor
        .prepare(Request::from(parameters).data(viewer))
    {
        Ok(prepared) if *method == Method::GET && prepared.kind() == OperationType::Mutation => {
            return graphql::only_by_post(edge, MediaType::Json);
        }
        Ok(prepared) => begin(edge, headers, prepared),
        // What is wrong with a document is told where its results would be.
        Err(refusal) => stream::once(std::future::ready(Outcome::from(refusal))).boxed(),
    };
    let complete = stream::once(async { "event: complete\ndata:\n\n".to_owned() });
    let events = results.map(|result| next(&result)).chain(complete);
    let (stop, ended) = (edge.stop.clone(), session.ended());
    let open = edge.board.metrics.live.event_stream();
    let over = async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = ended.cancelled() => {}
        }
        // They are as long as the stream.
        drop((session, open));
    };
    let events = with_comments(
        events.take_until(Box::pin(over)).boxed(),
        edge.bounds.ping_interval,
    );
    let headers = [
        (header::CONTENT_TYPE, EVENT_STREAM),
        (header::CACHE_CONTROL, "no-store"),
        // A proxy that gathers what it passes on would keep the events to itself.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(events)).into_response()
}

/// Says something whenever nothing has been said for so long: both sides, and everybody between them, see by it that the
/// other is there.
fn with_comments(
    events: BoxStream<'static, String>,
    interval: Duration,
) -> impl Stream<Item = Result<String, Infallible>> {
    stream::unfold(events, move |mut events| async move {
        let said = match tokio::time::timeout(interval, events.next()).await {
            Ok(event) => event?,
            Err(_elapsed) => ":\n\n".to_owned(),
        };
        Some((Ok(said), events))
    })
}

/// Begins to execute a request.
fn begin(edge: &Edge, headers: &HeaderMap, mut prepared: Prepared) -> BoxStream<'static, Outcome> {
    if prepared.kind() != OperationType::Subscription {
        let executor = edge.executor.clone();
        let result = async move { Outcome::from(executor.run(prepared).await) };
        return stream::once(result).boxed();
    }
    let last = headers
        .get(LAST_EVENT_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| !id.is_empty());
    if let Some(last) = last {
        prepared.resume(last);
    }
    edge.executor.follow(prepared)
}

/// The event that a result is. Its JSON has no line breaks, so that it is one line of data.
fn next(result: &Outcome) -> String {
    let data = result.payload().get();
    match result.cursor() {
        Some(cursor) => format!("event: next\nid: {cursor}\ndata: {data}\n\n"),
        None => format!("event: next\ndata: {data}\n\n"),
    }
}

fn not_acceptable() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (
        StatusCode::NOT_ACCEPTABLE,
        headers,
        "Accept: text/event-stream\n",
    )
        .into_response()
}
