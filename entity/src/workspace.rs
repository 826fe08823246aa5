//! Table `workspace`: the tenant.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::id::WorkspaceId;

/// A tenant: whatever belongs to one is invisible from every other.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "workspace")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WorkspaceId,
    /// Its name in commands and addresses: lower case, digits, hyphens.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// None; statements join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
