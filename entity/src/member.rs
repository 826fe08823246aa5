//! Table `member`: a person in a workspace.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::id::{MemberId, WorkspaceId};

/// What a member may do beyond what is their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Role {
    /// Changes every agent of the workspace.
    Owner,
    /// Changes every agent of the workspace.
    Admin,
    /// Changes their own agents.
    Member,
}

/// A person in a workspace.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "member")]
pub struct Model {
    /// In which workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// Who; the id is the host application's.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MemberId,
    /// What they may do.
    pub role: Role,
    /// When they were made known.
    pub created_at: DateTime<Utc>,
}

/// None; statements join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
