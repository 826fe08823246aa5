//! What can happen next: what somebody asks for, and what time brings about. Agents, issues and the like are named by
//! their numbers, runtimes by their slots, and the task that it is about by the [`Aim`](super::step::Aim).

use entity::task::Status;

use super::board::{Board, Silence};
use super::task::{Lease, Links, Task};

/// Whatever can happen.
#[derive(Clone, Debug)]
pub(super) enum Verb {
    Board(BoardVerb),
    Agent(AgentVerb),
    Runtime(RuntimeVerb),
    Claim(ClaimVerb),
    Time(TimeVerb),
}

/// Work onto the board and off it.
#[derive(Clone, Copy, Debug)]
pub(super) enum BoardVerb {
    Enqueue(New),
    QuickCreate { agent: usize },
    Link { issue: usize },
    Retry,
    Rerun { issue: usize, agent: usize },
    Cancel,
    CancelByIssue { issue: usize, agent: Option<usize> },
    CancelByAgent { agent: usize },
    CancelByComment { comment: usize },
    CancelByChat { chat: usize },
}

/// A task to be put on the board.
#[derive(Clone, Copy, Debug)]
pub(super) struct New {
    pub(super) agent: usize,
    pub(super) links: Links,
    pub(super) priority: i32,
    pub(super) max_attempts: i32,
    pub(super) fresh: bool,
}

/// What people do to agents.
#[derive(Clone, Copy, Debug)]
pub(super) enum AgentVerb {
    Archive { agent: usize },
    ArchiveByRuntime { slot: usize },
    Restore { agent: usize },
    Move { agent: usize, slot: usize },
    Resize { agent: usize, capacity: usize },
    SetStatus { agent: usize, status: &'static str },
}

/// What daemons say of their runtimes, and asking for work.
#[derive(Clone, Debug)]
pub(super) enum RuntimeVerb {
    Register {
        slot: usize,
    },
    Deregister {
        slot: usize,
    },
    Heartbeat {
        slot: usize,
    },
    Recover {
        slot: usize,
    },
    Claim {
        slot: usize,
        agent: Option<usize>,
        request: Option<usize>,
    },
    ClaimMany {
        slots: Vec<usize>,
        max: usize,
        request: Option<usize>,
    },
}

impl RuntimeVerb {
    /// The runtime that it is about, or the first of them.
    pub(super) fn slot(&self) -> usize {
        match self {
            Self::Register { slot }
            | Self::Deregister { slot }
            | Self::Heartbeat { slot }
            | Self::Recover { slot }
            | Self::Claim { slot, .. } => *slot,
            Self::ClaimMany { slots, .. } => slots[0],
        }
    }
}

/// What the holder of a claim says.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClaimVerb {
    Start,
    Pin {
        session: Option<u8>,
        work_dir: Option<u8>,
    },
    Progress,
    Append,
    Complete {
        session: Option<u8>,
    },
    Fail {
        reason: Option<&'static str>,
        error: &'static str,
        session: Option<u8>,
    },
}

/// What nobody asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum TimeVerb {
    /// The legacy form of a claim, in plain SQL.
    DispatchWithoutToken,
    ExpireLease,
    DispatchedLong,
    RunLong,
    WaitLong,
    BeSilent {
        slot: usize,
        silence: Silence,
    },
    Sweep,
}

impl Verb {
    /// Whether the task is one that something comes of.
    pub(super) fn is_made_for(&self, board: &Board, task: &Task) -> bool {
        match self {
            Self::Board(verb) => match verb {
                BoardVerb::Cancel => !task.status.is_terminal(),
                BoardVerb::Retry => matches!(task.status, Status::Failed | Status::Cancelled),
                BoardVerb::Link { .. } => task.links.issue.is_none(),
                BoardVerb::Enqueue(_)
                | BoardVerb::QuickCreate { .. }
                | BoardVerb::Rerun { .. }
                | BoardVerb::CancelByIssue { .. }
                | BoardVerb::CancelByAgent { .. }
                | BoardVerb::CancelByComment { .. }
                | BoardVerb::CancelByChat { .. } => true,
            },
            Self::Agent(_) | Self::Runtime(_) => true,
            Self::Claim(verb) => match verb {
                ClaimVerb::Start => task.status == Status::Dispatched,
                ClaimVerb::Complete { .. } => task.status == Status::Running,
                ClaimVerb::Pin { .. }
                | ClaimVerb::Progress
                | ClaimVerb::Append
                | ClaimVerb::Fail { .. } => task.is_at_work(),
            },
            Self::Time(verb) => verb.befalls(board, task),
        }
    }
}

impl TimeVerb {
    /// Whether it can happen to the task at all.
    pub(super) fn befalls(self, board: &Board, task: &Task) -> bool {
        match self {
            Self::DispatchWithoutToken => board.is_claimable(task),
            Self::ExpireLease => task.status == Status::Dispatched && task.lease != Lease::None,
            Self::DispatchedLong => task.status == Status::Dispatched,
            Self::RunLong => task.status == Status::Running,
            Self::WaitLong => task.status == Status::Queued,
            Self::BeSilent { .. } | Self::Sweep => true,
        }
    }
}
