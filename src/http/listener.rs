//! Connections that do not wait for ever, neither for a request nor to be written to.
//!
//! Who stops reading would otherwise keep a socket, an event stream or half an answer for as long as they like, and what
//! they watch with it; and who never says what they want, a connection.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::settings;

/// How many connections may wait to be accepted; the kernel's own bound may be less. A server that is killed is come back to
/// by everybody at the same moment, and whoever finds no room tries again only after a second or more.
const BACKLOG: u32 = 4096;

/// Opens an address for [`serve`]; port 0 is any that is free.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A server that is started again need not wait for the connections of the one before to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves connections until told to stop, and then until each has answered what it was asked.
///
/// It is what `axum::serve` does, which bounds no request's headers.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: &settings::Edge,
    stop: CancellationToken,
) {
    let mut listener = BoundedListener::new(listener, bounds.write_timeout);
    let connections = TaskTracker::new();
    while let Some((stream, _)) = stop.run_until_cancelled(listener.accept()).await {
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(converse(stream, router, bounds.header_timeout, stop));
    }
    // Nobody new is let in, and who waits to be is told so.
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Answers the requests of a connection.
async fn converse(
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    router: Router,
    header_timeout: Duration,
    stop: CancellationToken,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection has broken off");
    }
}

/// Accepts connections; each ends when nothing could be written to it for so long.
#[derive(Debug)]
struct BoundedListener {
    inner: TcpListener,
    write_timeout: Duration,
}

impl BoundedListener {
    /// Bounds the connections of a listener.
    const fn new(inner: TcpListener, write_timeout: Duration) -> Self {
        Self {
            inner,
            write_timeout,
        }
    }
}

impl Listener for BoundedListener {
    type Io = Pin<Box<TimeoutStream<TcpStream>>>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The trait's own, which waits when there are too many open files.
        let (stream, address) = Listener::accept(&mut self.inner).await;
        // Events are small, and each is late that waits for the next.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = %error, "a connection cannot be told not to wait");
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.write_timeout));
        (Box::pin(stream), address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}
