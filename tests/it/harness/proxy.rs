//! A line to Postgres, or to a server, that can be cut: what is lost is the line, not what is at its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, split};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{oneshot, watch};

use super::tally::{Ear, Tally};

/// What the line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// It carries.
    Up,
    /// Everything on it breaks at once, and so does what is tried anew.
    Cut,
    /// Nothing breaks and nothing arrives.
    Silent,
}

/// The line. It works in a thread of its own, so that a test that is blocked, or fails, does not hold it up.
pub(crate) struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    /// What is executed on it.
    pub(crate) tally: Tally,
    /// How many connections were tried.
    tries: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A line to the database that the options lead to.
    pub(crate) async fn start(database: &PgConnectOptions) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = listener.into_std().unwrap();
        let (line, is) = watch::channel(Line::Up);
        let (stop, stopped) = oneshot::channel();
        let (tally, tries) = (Tally::default(), Arc::new(AtomicUsize::new(0)));
        let tried = Arc::clone(&tries);
        let heard = tally.clone();
        let database = database.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, database, is, heard, &tried) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            line,
            tally,
            tries,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The way to the database over the line.
    pub(crate) fn options(&self, database: &PgConnectOptions) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host(&self.address.ip().to_string())
            .port(self.address.port())
            .username(database.get_username())
            .database(database.get_database().unwrap())
            .ssl_mode(PgSslMode::Disable)
    }

    /// Where it begins.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were tried so far.
    pub(crate) fn tries(&self) -> usize {
        self.tries.load(Ordering::Relaxed)
    }

    /// Breaks every connection, and each that is tried.
    pub(crate) fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    /// Carries nothing any more, and says so to nobody.
    pub(crate) fn fall_silent(&self) {
        self.line.send_replace(Line::Silent);
    }

    /// Carries again.
    pub(crate) fn mend(&self) {
        self.line.send_replace(Line::Up);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        let outcome = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            outcome.expect("a thread").expect("the line does not panic");
        }
    }
}

async fn accept(
    listener: TcpListener,
    database: PgConnectOptions,
    line: watch::Receiver<Line>,
    tally: Tally,
    tries: &AtomicUsize,
) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        tries.fetch_add(1, Ordering::Relaxed);
        let ear = Ear::new(tally.clone());
        tokio::spawn(carry(client, database.clone(), line.clone(), ear));
    }
}

/// Carries one connection for as long as the line does.
async fn carry(
    mut client: TcpStream,
    database: PgConnectOptions,
    mut line: watch::Receiver<Line>,
    ear: Ear,
) {
    let is = *line.borrow_and_update();
    let carrying = async {
        if is == Line::Silent {
            return std::future::pending().await;
        }
        // That one side closes is not the test's business.
        if let Some(directory) = database.get_socket() {
            let socket = directory.join(format!(".s.PGSQL.{}", database.get_port()));
            let Ok(server) = UnixStream::connect(socket).await else {
                return;
            };
            exchange(&mut client, server, ear).await;
        } else {
            let way = (database.get_host(), database.get_port());
            let Ok(server) = TcpStream::connect(way).await else {
                return;
            };
            exchange(&mut client, server, ear).await;
        }
    };
    if is == Line::Cut {
        return;
    }
    tokio::select! {
        () = carrying => {}
        changed = line.changed() => {
            // What was on the line when it fell silent stays there until the line is cut.
            if changed.is_ok() && *line.borrow_and_update() == Line::Silent {
                let _cut = line.wait_for(|line| *line == Line::Cut).await;
            }
        }
    }
}

/// Carries both ways until either side closes.
async fn exchange(client: &mut TcpStream, server: impl AsyncRead + AsyncWrite, mut ear: Ear) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = split(server);
    let asking = async {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            ear.hear(&bytes[..count]);
            if to_server.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = asking => {}
        _closed = copy(&mut from_server, &mut to_client) => {}
    }
}
