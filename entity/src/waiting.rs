//! What can hold back a queued task; derived, not stored.

use sea_orm::entity::prelude::*;

/// What holds back a queued task.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, async_graphql::Enum,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[graphql(name = "ClaimBlockReason")]
pub enum BlockReason {
    /// Its agent works on as many tasks as it may.
    AgentAtCapacity,
    /// Its agent is archived.
    AgentArchived,
    /// Its agent works on the same issue.
    SameIssueActive,
    /// Its agent works on the same chat session.
    SameChatActive,
    /// Its agent works on another task without a link, and this one has none.
    QuickCreateActive,
    /// Its runtime's daemon is not there.
    RuntimeOffline,
}
