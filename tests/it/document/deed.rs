//! What happens in a history: a deed that both sides can do.

mod draw;

/// What a new task is linked to.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) issue: Option<String>,
    pub(super) chat: Option<String>,
    pub(super) run: Option<String>,
}

/// Which token a daemon shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// That of the row; none where it has none.
    Right,
    /// Another.
    Wrong,
    /// None.
    Missing,
}

/// What time is turned back of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Past {
    LeaseRanOut,
    DispatchedLongAgo,
    StartedLongAgo,
    PutOnBoardLongAgo,
    HandedOutOften,
}

/// What is changed of an agent.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Name(String),
    Capacity(i32),
    Runtime(String),
    NoMcpConfig,
}

/// Whose tasks are cancelled.
#[derive(Clone, Debug)]
pub(super) enum Whose {
    Issue(String),
    IssueAndAgent(String, String),
    Agent(String),
    Comment(String),
    Chat(String),
}

/// A deed. Things are called by their names.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Enqueue {
        agent: String,
        link: Link,
        priority: i32,
        comment: Option<String>,
        leader: bool,
        fresh: bool,
    },
    QuickCreate {
        agent: String,
        priority: i32,
    },
    Claim {
        runtime: String,
        agent: Option<String>,
        max: i32,
    },
    LegacyClaim {
        agent: String,
    },
    Start {
        task: String,
        token: Token,
    },
    Pin {
        task: String,
        token: Token,
        session: Option<String>,
    },
    Complete {
        task: String,
        token: Token,
        session: Option<String>,
    },
    Fail {
        task: String,
        token: Token,
        reason: Option<&'static str>,
        error: &'static str,
        session: Option<String>,
    },
    Cancel {
        task: String,
    },
    CancelAll(Whose),
    LinkToIssue {
        task: String,
        issue: String,
    },
    Rerun {
        issue: String,
        agent: String,
    },
    Retry {
        task: String,
    },
    Recover {
        runtime: String,
    },
    Archive {
        agent: String,
    },
    ArchiveAll {
        runtime: String,
    },
    Restore {
        agent: String,
    },
    Change {
        agent: String,
        change: Change,
    },
    SetStatus {
        agent: String,
        status: &'static str,
    },
    Heartbeat {
        runtime: String,
    },
    Silence {
        runtime: String,
        seconds: u32,
    },
    TurnBack {
        task: String,
        past: Past,
    },
    Sweep,
}
