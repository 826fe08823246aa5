//! Table `api_token`: hashed bearer tokens, and whom they speak for.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::id::{MemberId, TokenId, WorkspaceId};

/// Whom a token speaks for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, async_graphql::Enum,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[graphql(name = "ViewerKind")]
pub enum Kind {
    /// The operator: every workspace.
    Admin,
    /// The host application's backend: one workspace.
    Service,
    /// A person in a workspace.
    Member,
    /// A daemon in a workspace: its own runtimes.
    Daemon,
}

/// A bearer token, of which only the hash is kept.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_token")]
pub struct Model {
    /// Its id; not the token.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TokenId,
    /// Whom it speaks for.
    pub kind: Kind,
    /// In which workspace; none for an admin.
    pub workspace_id: Option<WorkspaceId>,
    /// For which person, if it is a member's.
    pub member_id: Option<MemberId>,
    /// For which daemon, if it is a daemon's.
    pub daemon_id: Option<String>,
    /// What the operator calls it.
    pub name: String,
    /// SHA-256 of the token.
    pub hash: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was ended.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last seen, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// None; statements join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
