//! The composition root: pool, doorbell, hub, schema, router, loops.

use std::time::Duration;

use sea_orm::DatabaseConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::background::{closer, marker, pruner, sweeper};
use crate::db::{self, ConnectOptions, Pool};
use crate::doorbell::Doorbell;
use crate::graphql::Executor;
use crate::graphql::context::Board;
use crate::http::{self, Edge, Quota, Sessions};
use crate::metrics::Metrics;
use crate::settings::Settings;

/// How long requests under way may take to finish when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the loops and the connections to the database may take to end after that.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// What a server is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database.
    pub database: PgConnectOptions,
    /// The way to Postgres itself, for LISTEN, where `database` leads through a pooler.
    pub listener_database: Option<PgConnectOptions>,
    /// The pool.
    pub connect: ConnectOptions,
    /// The thresholds.
    pub settings: Settings,
}

/// A server. Several can run in one process; nothing of it is global.
#[derive(Debug)]
pub struct App {
    config: Config,
    board: Board,
    doorbell: Doorbell,
    requests: TaskTracker,
}

impl App {
    /// Puts a server together; it does nothing before it runs.
    pub fn new(config: Config) -> Self {
        let db = Pool::from(db::connect(&config.database, &config.connect));
        let metrics = Metrics::default();
        let doorbell = Doorbell::new(&metrics.live);
        let requests = TaskTracker::new();
        let settings = config.settings.clone();
        let board = Board::new(db, &doorbell, metrics, settings, &requests);
        Self {
            config,
            board,
            doorbell,
            requests,
        }
    }

    /// Its pool, for what has to happen before it runs.
    pub const fn db(&self) -> &DatabaseConnection {
        self.board.db.connections()
    }

    /// What executes documents, for callers in this process.
    pub fn executor(&self) -> Executor {
        Executor::new(self.board.clone(), self.requests.clone())
    }

    /// Serves until told to stop, then finishes what is under way, within bounds.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
        let executor = self.executor();
        let Self {
            config,
            board,
            doorbell,
            requests,
        } = self;
        let tracker = TaskTracker::new();
        // The loops outlive the requests, so that what these commit is still rung for.
        let stop_loops = CancellationToken::new();
        let listener_database = config.listener_database.unwrap_or(config.database);
        tracker.spawn(board.hub.clone().run(doorbell.clone(), stop_loops.clone()));
        tracker.spawn(
            doorbell
                .clone()
                .run_ringer(board.db.clone(), stop_loops.clone()),
        );
        tracker.spawn(doorbell.run_listener(
            board.db.clone(),
            listener_database,
            stop_loops.clone(),
        ));
        tracker.spawn(pruner::run(
            board.db.clone(),
            config.settings.event_retention,
            stop_loops.clone(),
        ));
        tracker.spawn(closer::run(board.db.clone(), stop_loops.clone()));
        tracker.spawn(marker::run(
            board.db.clone(),
            board.hub.clone(),
            stop_loops.clone(),
        ));
        tracker.spawn(sweeper::run(
            board.writer.clone(),
            config.settings,
            board.metrics.sweeps.clone(),
            stop_loops.clone(),
        ));
        let bounds = board.settings.edge.clone();
        let quota = Quota::per_second(bounds.requests_per_second);
        let sessions = Sessions::new(bounds.connections_per_token);
        tracker.spawn(
            sessions
                .clone()
                .run(board.db.clone(), quota.clone(), stop_loops.clone()),
        );
        tracker.close();

        let db = board.db.clone();
        let edge = Edge {
            executor,
            board,
            bounds,
            quota,
            sessions,
            tracker: requests.clone(),
            stop: stop.clone(),
        };
        serve(listener, edge, stop).await;

        requests.close();
        // A database that has fallen silent would be waited for without end: closing waits for every connection in use.
        let closing = async {
            requests.wait().await;
            stop_loops.cancel();
            tracker.wait().await;
            db.close().await;
        };
        let closed = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
        stop_loops.cancel();
        if closed.is_err() {
            tracing::warn!("the database did not answer in time; leaving its connections to break");
        }
        Ok(())
    }
}

/// Serves requests until told to stop and for [`DRAIN_TIMEOUT`] beyond.
async fn serve(listener: TcpListener, edge: Edge, stop: CancellationToken) {
    let bounds = edge.bounds.clone();
    let serving = http::serve(listener, http::router(edge), &bounds, stop.clone());
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        () = serving => {}
        () = overdue => tracing::warn!("some requests did not finish in time"),
    }
}
