//! `taskMessages`: reading along in a transcript.
//!
//! Lines are not events: there are too many of them, and few are ever watched. Whoever commits some rings, though, as for
//! everything else, and whenever the hub hears that, one query finds the last lines of all transcripts in which somebody
//! on this server reads along. Who finds nothing new there asks no more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use entity::id::TaskId;
use entity::task_message;
use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Item;
use crate::auth::Viewer;
use crate::db::{Pool, until_answered};
use crate::error::{Error, Result};
use crate::graphql::context::Board;
use crate::task;
use crate::task::transcript::live;

/// How long after a look the next one may come: what is committed meanwhile is found by one.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How many lines are read at once.
const PAGE_LINES: i32 = 200;

/// Where the transcripts lie in which somebody reads along.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// By how many each is read.
    readers: Mutex<HashMap<TaskId, usize>>,
    /// Locked by tasks of its own only: a subscriber whose socket is stalled would hold up everyone.
    last: tokio::sync::Mutex<Last>,
}

/// The last lines, as a look found them.
#[derive(Debug, Default)]
struct Last {
    /// A moment before the look; none before the first.
    as_of: Option<Instant>,
    lines: HashMap<TaskId, i32>,
}

impl Desk {
    /// The last line of a transcript, with everything in it that was committed before the moment given.
    async fn last_line(&self, db: &Pool, task_id: TaskId, asked: Instant) -> Result<i32> {
        let mut last = self.last.lock().await;
        if last.as_of < Some(asked) {
            if let Some(as_of) = last.as_of {
                tokio::time::sleep_until(as_of + LOOK_INTERVAL).await;
            }
            let as_of = Instant::now();
            let tasks: Vec<TaskId> = self.lock().keys().copied().collect();
            last.lines = until_answered(|| live::last_lines(db, &tasks)).await?;
            last.as_of = Some(as_of);
        }
        Ok(last.lines.get(&task_id).copied().unwrap_or(0))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TaskId, usize>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who reads along.
#[derive(Debug)]
struct Reader {
    board: Board,
    viewer: Viewer,
    task_id: TaskId,
    /// Up to where they have read.
    after_seq: i32,
    /// Marked as changed whenever lines may have been committed.
    looks: watch::Receiver<()>,
    /// Whether there is more to read, for all that is known.
    more: bool,
}

impl Reader {
    /// Takes a seat.
    fn new(board: &Board, viewer: &Viewer, task_id: TaskId, after_seq: i32) -> Self {
        *board.shared.desk().lock().entry(task_id).or_default() += 1;
        Self {
            looks: board.hub.looks(),
            board: board.clone(),
            viewer: viewer.clone(),
            task_id,
            after_seq,
            more: true,
        }
    }

    /// The next lines; none when the server stops.
    async fn next(&mut self) -> Option<Item<Vec<task_message::Model>>> {
        loop {
            if !self.more {
                // An error says that the hub is gone.
                self.looks.changed().await.ok()?;
                match self.last_line().await {
                    Ok(last) => self.more = last > self.after_seq,
                    Err(error) => return Some(Err(error)),
                }
            }
            if self.more {
                match self.read().await {
                    Ok(lines) if lines.is_empty() => {}
                    read => return Some(read),
                }
            }
        }
    }

    /// The last line that was committed so far.
    async fn last_line(&self) -> Result<i32> {
        let (shared, db) = (self.board.shared.clone(), self.board.db.clone());
        let (task_id, asked) = (self.task_id, Instant::now());
        let looking = async move { shared.desk().last_line(&db, task_id, asked).await };
        self.board.shared.beside(looking).await
    }

    /// Reads a page, for as long as the viewer may see the task.
    async fn read(&mut self) -> Result<Vec<task_message::Model>> {
        let (db, viewer) = (self.board.db.clone(), self.viewer.clone());
        let (id, after_seq) = (self.task_id, self.after_seq);
        let reading = async move {
            until_answered(|| task::find(&db, &viewer, id))
                .await?
                .ok_or(Error::NotFound("task"))?;
            until_answered(|| live::page(&db, id, after_seq, PAGE_LINES)).await
        };
        let page = self.board.shared.beside(reading).await?;
        self.after_seq = page.lines.last().map_or(self.after_seq, |line| line.seq);
        self.more = page.more;
        Ok(page.lines)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut readers = self.board.shared.desk().lock();
        if let Some(count) = readers.get_mut(&self.task_id) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.task_id);
            }
        }
    }
}

/// The lines after one, then each new one.
pub(super) async fn lines(
    board: &Board,
    viewer: &Viewer,
    task_id: TaskId,
    after_seq: i32,
) -> Result<impl Stream<Item = Item<task_message::Model>> + use<>> {
    let (db, asking) = (board.db.clone(), viewer.clone());
    let finding = async move {
        let found = task::find(&db, &asking, task_id).await?;
        found.map(drop).ok_or(Error::NotFound("task"))
    };
    board.shared.beside(finding).await?;
    let reader = Reader::new(board, viewer, task_id, after_seq);
    let lines = stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await? {
            Ok(lines) => {
                let lines: Vec<_> = lines.into_iter().map(Ok).collect();
                Some((stream::iter(lines), Some(reader)))
            }
            // Whoever may not see the task any more is told so, and no more.
            Err(error) => Some((stream::iter(vec![Err(error)]), None)),
        }
    });
    Ok(lines.flatten())
}
