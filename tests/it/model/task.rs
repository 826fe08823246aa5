//! The lifecycle as a specification that can be read: a task, and what can be told from it alone.

use std::cmp::Reverse;

use entity::task::Status;

/// Until when a dispatched task must be started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lease {
    #[default]
    None,
    Holds,
    /// Since when.
    Expired(i64),
}

/// Since when something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    Never,
    Lately,
    /// For longer than it may be.
    LongAgo,
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) agent: usize,
    pub(super) runtime: usize,
    pub(super) links: Links,
    pub(super) status: Status,
    pub(super) priority: i32,
    /// When it was put on the board; of several at once, which was first.
    pub(super) created: (i64, usize),
    pub(super) token: Option<usize>,
    pub(super) lease: Lease,
    pub(super) request: Option<usize>,
    pub(super) deliveries: usize,
    pub(super) attempt: i32,
    pub(super) max_attempts: i32,
    pub(super) parent: Option<usize>,
    pub(super) failure_reason: Option<&'static str>,
    pub(super) error: Option<&'static str>,
    pub(super) session: Option<String>,
    pub(super) work_dir: Option<String>,
    pub(super) fresh: bool,
    /// Since when it is or was dispatched, and running.
    pub(super) dispatched: Since,
    pub(super) started: Since,
    pub(super) ended: Option<i64>,
    /// Since when it waits.
    pub(super) waits: Since,
    pub(super) events: Vec<&'static str>,
}

/// What a task belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) issue: Option<usize>,
    pub(super) chat: Option<usize>,
    pub(super) autopilot: Option<usize>,
    pub(super) comment: Option<usize>,
}

impl Links {
    /// Without any of the links that a line is formed by.
    fn is_bare(self) -> bool {
        self.issue.is_none() && self.chat.is_none() && self.autopilot.is_none()
    }

    /// Whether two tasks of one agent with these may not be at work at once.
    pub(super) fn collide(self, other: Self) -> bool {
        self.issue.is_some() && self.issue == other.issue
            || self.chat.is_some() && self.chat == other.chat
            || self.is_bare() && other.is_bare()
    }
}

impl Task {
    /// A task that waits.
    pub(super) fn queued(agent: usize, runtime: usize, links: Links) -> Self {
        Self {
            agent,
            runtime,
            links,
            status: Status::Queued,
            priority: 0,
            created: (0, 0),
            token: None,
            lease: Lease::None,
            request: None,
            deliveries: 0,
            attempt: 1,
            max_attempts: 2,
            parent: None,
            failure_reason: None,
            error: None,
            session: None,
            work_dir: None,
            fresh: false,
            dispatched: Since::Never,
            started: Since::Never,
            ended: None,
            waits: Since::Lately,
            events: vec!["queued"],
        }
    }

    pub(super) fn is_at_work(&self) -> bool {
        matches!(self.status, Status::Dispatched | Status::Running)
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self.status, Status::Queued | Status::Dispatched)
    }

    pub(super) fn is_active(&self) -> bool {
        !self.status.is_terminal()
    }

    /// Its place in the order of claiming.
    pub(super) fn place(&self) -> (Reverse<i32>, (i64, usize)) {
        (Reverse(self.priority), self.created)
    }

    /// Whether whoever resumed its session would be poisoned.
    pub(super) fn is_poisoned(&self) -> bool {
        self.status == Status::Failed
            && (matches!(
                self.failure_reason,
                Some("iteration_limit" | "agent_fallback_message" | "api_invalid_request")
            ) || self.error.is_some_and(|error| {
                error.contains("400") && error.contains("invalid_request_error")
            }))
    }

    /// Whether its failure is one that is tried again by itself.
    pub(super) fn earns_retry(&self) -> bool {
        matches!(
            self.failure_reason,
            Some("runtime_offline" | "runtime_recovery" | "timeout")
        ) && self.attempt < self.max_attempts
            && self.links.autopilot.is_none()
            && !self.links.is_bare()
    }
}
