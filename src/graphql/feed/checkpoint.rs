//! Cursors for those who are shown nothing: what is filtered out, or hidden from a viewer, moves them on too.

use std::time::Duration;

use async_graphql::SimpleObject;
use tokio::time::Instant;

use crate::event::{self, Batch};
use crate::graphql::scalar::Cursor;

/// How often a subscriber is told at most, while others' events pass it by.
const INTERVAL: Duration = Duration::from_secs(10);

/// After how many of them it is told at once.
const EVENTS: usize = 1000;

/// Up to where a subscription has come, though there was nothing to show of it. Whoever keeps it and resumes from it neither
/// waits while what does not concern them is read again, nor is told that it has expired. It comes now and then, and to
/// those who resumed as soon as they have caught up, unless what they were shown last says so already.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub(super) struct Checkpoint {
    /// Give it as `after` to continue behind it.
    cursor: Cursor,
}

impl From<event::Cursor> for Checkpoint {
    fn from(cursor: event::Cursor) -> Self {
        Self {
            cursor: Cursor(cursor),
        }
    }
}

/// When a subscriber is told next.
#[derive(Debug)]
pub(super) struct Pace {
    /// Up to where it knows that it has come.
    told: event::Cursor,
    /// When it was told.
    at: Instant,
    /// Up to where it has come.
    position: event::Cursor,
    /// How many events have passed it by meanwhile.
    passed: usize,
    /// Whether it is to be told at once when it has caught up.
    course: Course,
}

/// Where a subscriber is on its way to the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// It resumed, and reads what it missed.
    CatchingUp,
    /// It has come to the end, and has not been told.
    CaughtUp,
    /// It goes along with what happens.
    InStep,
}

impl Pace {
    /// The pace of a subscriber that knows where it begins.
    pub(super) fn from(told: event::Cursor) -> Self {
        Self {
            told,
            at: Instant::now(),
            position: told,
            passed: 0,
            course: Course::InStep,
        }
    }

    /// The pace of a subscriber that resumes, and wants to know when it has missed nothing any more.
    pub(super) fn resumed(told: event::Cursor) -> Self {
        Self {
            course: Course::CatchingUp,
            ..Self::from(told)
        }
    }

    /// It was shown something that has this cursor.
    pub(super) fn showed(&mut self, cursor: event::Cursor) {
        *self = Self {
            position: self.position.max(cursor),
            course: self.course,
            ..Self::from(cursor)
        };
    }

    /// It has come by a batch, whatever was shown of it.
    pub(super) fn passed(&mut self, batch: &Batch) {
        self.position = batch.through;
        let unseen = |event: &&std::sync::Arc<event::Event>| event.cursor() > self.told;
        self.passed += batch.events.iter().filter(unseen).count();
        if self.course == Course::CatchingUp && !batch.more {
            self.course = Course::CaughtUp;
        }
        // Where the last event was shown, that has told everything.
        if self.course == Course::CaughtUp && self.position <= self.told {
            self.course = Course::InStep;
        }
    }

    /// When to tell it; none while there is nothing to tell.
    pub(super) fn due(&self) -> Option<Instant> {
        let at_once = self.passed >= EVENTS || self.course == Course::CaughtUp;
        let wait = if at_once { Duration::ZERO } else { INTERVAL };
        (self.position > self.told).then(|| self.at + wait)
    }

    /// The checkpoint, if it is time for one.
    pub(super) fn checkpoint(&mut self) -> Option<Checkpoint> {
        self.due().filter(|due| *due <= Instant::now())?;
        self.showed(self.position);
        if self.course == Course::CaughtUp {
            self.course = Course::InStep;
        }
        Some(self.told.into())
    }
}

/// Waits until a moment; for ever where there is none.
pub(super) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
