//! A socket of the protocol graphql-transport-ws, read as cheaply as can be: of a frame nothing is looked at but where it
//! ends, whether it is an event, and the event's cursor.

use std::net::SocketAddr;

use anyhow::Context;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where Callboard's sockets are opened.
pub(crate) const PATH: &str = "/graphql/ws";

/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;

/// What is before the digits of an event's cursor.
const CURSOR: &[u8] = br#""cursor":"c"#;

/// How many digits a cursor has.
const CURSOR_DIGITS: usize = 16;

/// The first byte of a frame that is a whole text.
const TEXT: u8 = 0x81;

/// The same of a farewell.
const CLOSE: u8 = 0x88;

/// The same of a question whether the other side is there, by the protocol of sockets itself.
const PING: u8 = 0x89;

/// The same of the answer to that.
const PONG: u8 = 0x8a;

/// The length of a frame that has its length in the two bytes after it.
const LONGER: u8 = 126;

/// The same in the eight bytes after it.
const LONGEST: u8 = 127;

/// Beside the length, that there is a mask.
const MASKED: u8 = 0x80;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// An event with this cursor, in a message of so many bytes.
    Event { cursor: i64, bytes: usize },
    /// That a task waits for a daemon.
    Available,
    /// That the client may ask.
    Ack,
    /// Whether the client is there.
    Ping,
    /// The same, by the protocol of sockets itself.
    SocketPing,
    /// That the server is there.
    Pong,
}

/// A socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    received: Vec<u8>,
    /// How much of it was looked at.
    seen: usize,
}

impl Socket {
    /// Opens one at a path and says whose token it is; returns when that was acknowledged.
    pub(crate) async fn open(address: SocketAddr, path: &str, token: &str) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut socket = Self {
            stream,
            received: Vec::new(),
            seen: 0,
        };
        socket.switch().await?;
        let payload = json!({"authorization": format!("Bearer {token}")});
        socket
            .say(&json!({"type": "connection_init", "payload": payload}).to_string())
            .await?;
        loop {
            match socket.next()? {
                Some(Said::Ack) => return Ok(socket),
                Some(other) => anyhow::bail!("{other:?} instead of an acknowledgement"),
                None => socket.read().await?,
            }
        }
    }

    /// Reads the answer to the request for a socket.
    async fn switch(&mut self) -> anyhow::Result<()> {
        const END: &[u8] = b"\r\n\r\n";
        loop {
            self.read().await?;
            if let Some(end) = find(&self.received, END) {
                let accepted = self.received.starts_with(b"HTTP/1.1 101 ");
                anyhow::ensure!(accepted, "a socket was refused");
                self.seen = end + END.len();
                return Ok(());
            }
        }
    }

    /// Says something.
    pub(crate) async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        // With a mask of zeros, which leaves the text as it is.
        let mut frame = vec![TEXT];
        if let Ok(length @ ..LONGER) = u8::try_from(text.len()) {
            frame.push(MASKED | length);
        } else {
            frame.push(MASKED | LONGER);
            frame.extend(u16::try_from(text.len())?.to_be_bytes());
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        Ok(self.stream.write_all(&frame).await?)
    }

    /// Answers a ping of the protocol of sockets itself, which has nothing in it.
    pub(crate) async fn answer_ping(&mut self) -> anyhow::Result<()> {
        Ok(self.stream.write_all(&[PONG, MASKED, 0, 0, 0, 0]).await?)
    }

    /// Waits until there is more to look at. What is dropped while it waits has read nothing.
    pub(crate) async fn read(&mut self) -> anyhow::Result<()> {
        self.received.drain(..self.seen);
        self.seen = 0;
        self.received.reserve(READ_BYTES);
        let count = self.stream.read_buf(&mut self.received).await?;
        anyhow::ensure!(count > 0, "a socket has ended");
        Ok(())
    }

    /// What was said next, of what has been read.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Said>> {
        let unseen = self.received.get(self.seen..).unwrap_or_default();
        let Some((first, content, rest)) = frame(unseen) else {
            return Ok(None);
        };
        self.seen = self.received.len() - rest.len();
        if first == CLOSE {
            anyhow::bail!(
                "a socket was closed: {}",
                String::from_utf8_lossy(content).escape_debug()
            );
        }
        let said = match first {
            TEXT => said(content),
            PING if content.is_empty() => Some(Said::SocketPing),
            _ => None,
        };
        let said = said.with_context(|| String::from_utf8_lossy(content).into_owned())?;
        Ok(Some(said))
    }
}

/// The first byte of a frame, its content, and what comes after it; none where it is not all there.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([first, length], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match length {
        &LONGER => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        &LONGEST => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
        }
        length => (usize::from(*length), rest),
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*first, content, rest))
}

/// What a message says; none where that is not what is expected of a server.
fn said(message: &[u8]) -> Option<Said> {
    if let Some(place) = find(message, CURSOR) {
        let digits = message.get(place + CURSOR.len()..)?.get(..CURSOR_DIGITS)?;
        let digits = std::str::from_utf8(digits).ok()?;
        return Some(Said::Event {
            cursor: i64::from_str_radix(digits, 16).ok()?,
            bytes: message.len(),
        });
    }
    let says = |kind: &[u8]| find(message, kind).is_some();
    if says(br#"{"taskAvailable":{"#) {
        Some(Said::Available)
    } else if says(br#""type":"connection_ack""#) {
        Some(Said::Ack)
    } else if says(br#""type":"ping""#) {
        Some(Said::Ping)
    } else if says(br#""type":"pong""#) {
        Some(Said::Pong)
    } else {
        None
    }
}

/// Where the bytes are for the first time.
fn find(within: &[u8], bytes: &[u8]) -> Option<usize> {
    within
        .windows(bytes.len())
        .position(|window| window == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_when_all_of_it_is_there() {
        let short = [&[TEXT, 3][..], b"abc", b"more"].concat();
        assert_eq!(frame(&short), Some((TEXT, &b"abc"[..], &b"more"[..])));
        let long = [&[TEXT, 126, 1, 0][..], &[b'x'; 256]].concat();
        assert_eq!(frame(&long), Some((TEXT, &[b'x'; 256][..], &b""[..])));
        for end in 0..long.len() {
            assert_eq!(frame(&long[..end]), None, "{end}");
        }
    }

    #[test]
    fn messages_are_told_apart_by_what_they_say() {
        let message =
            br#"{"id":"1","type":"next","payload":{"data":{"s":{"cursor":"c00000000000000ff"}}}}"#;
        let event = Said::Event {
            cursor: 255,
            bytes: message.len(),
        };
        assert_eq!(said(message), Some(event));
        assert_eq!(said(br#"{"type":"ping"}"#), Some(Said::Ping));
        let available =
            br#"{"type":"next","id":"1","payload":{"data":{"taskAvailable":{"runtimeId":"a"}}}}"#;
        assert_eq!(said(available), Some(Said::Available));
        assert_eq!(said(br#"{"type":"complete","id":"1"}"#), None);
    }
}
