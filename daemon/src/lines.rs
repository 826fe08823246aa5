//! The lines of a pipe, as they come.

mod cutter;

use std::{collections::VecDeque, future::Future, pin::Pin, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

use self::cutter::Cutter;

const CHUNK_BYTES: usize = 8 * 1024;

/// What is still read once the command has ended: a pipe's buffer with room to spare. Only a
/// process that has left the group could write more.
const LATE_BYTES: usize = 1024 * 1024;
const LATE_BOUND: Duration = Duration::from_secs(2);

/// Reads one pipe to its end, or until a while after the command's.
pub(crate) struct Lines<R> {
    pipe: R,
    chunk: Vec<u8>,
    cutter: Cutter,
    ready: VecDeque<String>,
    ended: CancellationToken,
    too_late: Pin<Box<dyn Future<Output = ()> + Send>>,
    late_bytes: usize,
    at_end: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The lines of a pipe whose command has ended once `ended` is cancelled.
    pub(crate) fn new(pipe: R, ended: CancellationToken) -> Self {
        let end = ended.clone();
        Self {
            pipe,
            chunk: vec![0; CHUNK_BYTES],
            cutter: Cutter::default(),
            ready: VecDeque::new(),
            ended,
            too_late: Box::pin(async move {
                end.cancelled().await;
                tokio::time::sleep(LATE_BOUND).await;
            }),
            late_bytes: 0,
            at_end: false,
        }
    }

    /// The next line without its end; none after the last.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.at_end {
                return None;
            }
            let bytes = self.read().await;
            match self.chunk.get(..bytes) {
                None | Some([]) => {
                    self.at_end = true;
                    self.ready.extend(self.cutter.finish());
                }
                Some(read) => self.ready.extend(self.cutter.push(read)),
            }
        }
    }

    /// Reads a chunk; nought at the end of the pipe, and where reading on makes no sense.
    async fn read(&mut self) -> usize {
        if self.late_bytes > LATE_BYTES {
            return 0;
        }
        let bytes = tokio::select! {
            biased;
            read = self.pipe.read(&mut self.chunk) => read.unwrap_or_default(),
            () = &mut self.too_late => 0,
        };
        if self.ended.is_cancelled() {
            self.late_bytes += bytes;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(mut lines: Lines<impl AsyncRead + Unpin>) -> Vec<String> {
        let mut read = Vec::new();
        while let Some(line) = lines.next().await {
            read.push(line);
        }
        read
    }

    #[tokio::test]
    async fn lines_come_in_order_and_the_last_needs_no_end() {
        let pipe: &[u8] = b"one\n\ntwo\r\nthree";
        let lines = Lines::new(pipe, CancellationToken::new());
        assert_eq!(all(lines).await, ["one", "", "two", "three"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_that_somebody_keeps_open_is_left() {
        let (pipe, mut kept_open) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut kept_open, b"said\nhalf")
            .await
            .unwrap();
        let ended = CancellationToken::new();
        ended.cancel();
        assert_eq!(all(Lines::new(pipe, ended)).await, ["said", "half"]);
    }

    #[tokio::test]
    async fn a_late_flood_is_not_read_for_ever() {
        let ended = CancellationToken::new();
        ended.cancel();
        let mut lines = Lines::new(tokio::io::repeat(b'\n'), ended);
        let mut count = 0;
        while lines.next().await.is_some() {
            count += 1;
        }
        assert!(count <= LATE_BYTES + 2 * CHUNK_BYTES);
    }
}
