//! The two dimensions of presence; derived, not stored.

/// Whether an agent's runtime is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
pub enum Availability {
    /// Its daemon was heard of lately.
    Online,
    /// Its daemon went away within the last minutes, and may be back soon.
    Unstable,
    /// Its daemon is gone.
    Offline,
}

/// What an agent has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
pub enum Workload {
    /// A task is running.
    Working,
    /// Tasks wait, or are being handed over.
    Queued,
    /// Nothing.
    Idle,
}
