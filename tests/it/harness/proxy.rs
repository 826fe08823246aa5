//! A line to Postgres that can be cut, with a server on it: what is lost is the line, not the database.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{oneshot, watch};

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
        let database = database.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, database, is) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            line,
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

async fn accept(listener: TcpListener, database: PgConnectOptions, line: watch::Receiver<Line>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        tokio::spawn(carry(client, database.clone(), line.clone()));
    }
}

/// Carries one connection for as long as the line does.
async fn carry(mut client: TcpStream, database: PgConnectOptions, mut line: watch::Receiver<Line>) {
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
            copy(&mut client, server).await;
        } else {
            let way = (database.get_host(), database.get_port());
            let Ok(server) = TcpStream::connect(way).await else {
                return;
            };
            copy(&mut client, server).await;
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

async fn copy(client: &mut TcpStream, mut server: impl AsyncRead + AsyncWrite + Unpin) {
    let _closed = copy_bidirectional(client, &mut server).await;
}
