//! The edge that async-graphql brings for axum, over Callboard's schema: what Callboard's own is compared with.
//!
//! It has what resolvers need of the service, and finds out whose token it is as Callboard's edge does. All else is as it
//! comes.

use async_graphql::Data;
use async_graphql::http::ALL_WEBSOCKET_PROTOCOLS;
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::Router;
use axum::extract::{State, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use callboard::app::Config;
use callboard::auth::gate;
use callboard::db::{self, Pool};
use callboard::doorbell::Doorbell;
use callboard::graphql::context::Board;
use callboard::graphql::{self, Schema};
use callboard::metrics::Metrics;
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a socket needs.
#[derive(Clone)]
struct Edge {
    schema: Schema,
    db: Pool,
}

/// Serves sockets until told to stop.
pub(crate) async fn serve(
    config: Config,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let db = Pool::from(db::connect(&config.database, &config.connect));
    let metrics = Metrics::default();
    let (doorbell, tracker) = (Doorbell::new(&metrics.live), TaskTracker::new());
    let board = Board::new(db.clone(), &doorbell, metrics, config.settings, &tracker);
    tracker.spawn(board.hub.clone().run(doorbell.clone(), stop.clone()));
    tracker.spawn(doorbell.run_listener(db.clone(), config.database, stop.clone()));
    let edge = Edge {
        schema: graphql::schema(board),
        db,
    };
    let router = Router::new()
        .route("/graphql/ws", get(open))
        .with_state(edge);
    // As Callboard's listener does: otherwise latencies would be about this.
    let listener = listener.tap_io(|connection| {
        // What cannot be set is as slow as it is.
        let _unset = connection.set_nodelay(true);
    });
    tokio::select! {
        served = axum::serve(listener, router) => Ok(served?),
        () = stop.cancelled() => Ok(()),
    }
}

/// Opens a socket.
async fn open(
    State(edge): State<Edge>,
    protocol: GraphQLProtocol,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade
        .protocols(ALL_WEBSOCKET_PROTOCOLS)
        .on_upgrade(move |socket| {
            GraphQLWebSocket::new(socket, edge.schema, protocol)
                .on_connection_init(async move |payload: Value| {
                    let header = payload.get("authorization").and_then(Value::as_str);
                    let token = header.and_then(|header| header.strip_prefix("Bearer "));
                    let token = token.ok_or("a token is needed")?;
                    let viewer = gate::authenticate(&edge.db, &SecretString::from(token)).await?;
                    let mut data = Data::default();
                    data.insert(viewer);
                    Ok(data)
                })
                .serve()
        })
}
