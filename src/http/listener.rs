//! Connections that do not wait for ever to be written to.
//!
//! Who stops reading would otherwise keep a socket, an event stream or half an answer for as long as they like, and what
//! they watch with it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;

/// Accepts connections; each ends when nothing could be written to it for so long.
#[derive(Debug)]
pub(crate) struct BoundedListener {
    inner: TcpListener,
    write_timeout: Duration,
}

impl BoundedListener {
    /// Bounds the connections of a listener.
    pub(crate) const fn new(inner: TcpListener, write_timeout: Duration) -> Self {
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
