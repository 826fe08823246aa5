//! A server for each test, on a database of its own, and the clients that talk to it.

mod arrange;
mod client;
mod contents;
mod database;
mod events;
mod feed;
mod mutation;
mod postgres;
mod proxy;
mod socket;
mod stage;
mod surface;
mod tally;
mod updates;
mod world;

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use callboard::app::{App, Config};
use callboard::auth::Identity;
use callboard::auth::token::{self, NewToken};
use callboard::db::ConnectOptions;
use callboard::settings::Settings;
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use client::Client;
pub(crate) use database::TestDatabase;
pub(crate) use events::{Events, SentEvent};
pub(crate) use feed::{Feed, Seen};
pub(crate) use postgres::OwnPostgres;
pub(crate) use proxy::Proxy;
pub(crate) use socket::{PROTOCOL, Socket, Subscription};
pub(crate) use stage::Held;
pub(crate) use surface::{Field, Surface, put};
pub(crate) use world::{Claim, World, claim, merge, uuid};

/// The longest that a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a database of its own; stopped, checked and dropped at the end of the test.
pub(crate) struct TestApp {
    // In this order: the server lets go of the database before it is dropped.
    server: TestServer,
    pub(crate) database: TestDatabase,
}

impl TestApp {
    /// A server with the default settings.
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    /// A server with other thresholds.
    pub(crate) async fn with(settings: Settings) -> Self {
        let database = TestDatabase::create().await;
        let server = TestServer::start(&database, settings).await;
        Self { server, database }
    }

    /// A server with the default settings, on a Postgres of the test's own.
    pub(crate) async fn start_on(postgres: &OwnPostgres) -> Self {
        let database = TestDatabase::create_on(&postgres.url()).await;
        // What the numbers of a sequence are is not logged anew for its copy: a crash before the next checkpoint would
        // give them out again.
        database.execute("checkpoint").await;
        let server = TestServer::start(&database, Settings::default()).await;
        Self { server, database }
    }

    /// Another server on the same database.
    pub(crate) async fn second_server(&self) -> TestServer {
        TestServer::start(&self.database, Settings::default()).await
    }

    /// Another one, over a line that can be cut.
    pub(crate) async fn server_on_a_line(&self, settings: Settings) -> (Proxy, TestServer) {
        let line = Proxy::start(&self.database.options).await;
        let server = TestServer::on(line.options(&self.database.options), settings).await;
        (line, server)
    }

    /// The server.
    pub(crate) const fn server(&self) -> &TestServer {
        &self.server
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// A client with a token for somebody.
    pub(crate) async fn client(&self, identity: Identity) -> Client {
        let token = self.token(identity).await;
        Client::new(self.address(), &token)
    }

    /// A token for somebody.
    pub(crate) async fn token(&self, identity: Identity) -> String {
        let new = NewToken {
            name: "test".to_owned(),
            identity,
            expires_in: None,
        };
        token::create(&self.database.pool, new)
            .await
            .unwrap()
            .expose_secret()
            .to_owned()
    }
}

/// A server in a thread of its own, so that it can be stopped and waited for when the test ends, however it ends.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl TestServer {
    /// Starts one on a free port.
    pub(crate) async fn start(database: &TestDatabase, settings: Settings) -> Self {
        Self::on(database.options.clone(), settings).await
    }

    /// Starts one that reaches its database this way.
    pub(crate) async fn on(database: PgConnectOptions, settings: Settings) -> Self {
        let config = Config {
            database,
            listener_database: None,
            connect: ConnectOptions {
                max_connections: 10,
                statement_timeout: Duration::from_secs(10),
            },
            settings,
        };
        let stop = CancellationToken::new();
        let (listening, address) = mpsc::channel();
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()?;
                runtime.block_on(async {
                    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
                    listening.send(listener.local_addr()?)?;
                    App::new(config).run(listener, stop).await
                })
            }
        });
        let address = tokio::task::spawn_blocking(move || address.recv())
            .await
            .unwrap()
            .expect("the server listens");
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }

    /// Tells it to stop.
    pub(crate) fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// Stops it and waits until it has stopped.
    pub(crate) async fn stop(self) {
        self.begin_to_stop();
        let stopped = tokio::task::spawn_blocking(move || drop(self));
        tokio::time::timeout(PATIENCE, stopped)
            .await
            .expect("the server stops in time")
            .unwrap();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.cancel();
        let outcome = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            outcome
                .expect("a server has one thread")
                .expect("the server does not panic")
                .expect("the server stops");
        }
    }
}
