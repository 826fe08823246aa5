//! Table `agent_runtime`: one provider on one daemon in one workspace.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::id::{RuntimeId, WorkspaceId};

/// Where a runtime, and thus an agent, lives.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, async_graphql::Enum,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[graphql(name = "RuntimeMode")]
pub enum Mode {
    /// On somebody's machine.
    Local,
    /// On a machine that the host application provides.
    Cloud,
}

/// Whether a runtime's daemon is there.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, async_graphql::Enum,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[graphql(name = "RuntimeStatus")]
pub enum Status {
    /// Its daemon was heard of lately.
    Online,
    /// Its daemon signed off or fell silent.
    Offline,
}

/// Where an agent's tasks run.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agent_runtime")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RuntimeId,
    /// In which workspace.
    pub workspace_id: WorkspaceId,
    /// On which daemon; the daemon's own name for itself.
    pub daemon_id: String,
    /// Its name for people.
    pub name: String,
    /// Where it lives.
    pub runtime_mode: Mode,
    /// What runs the tasks: a coding agent's name.
    pub provider: String,
    /// Whether its daemon is there.
    pub status: Status,
    /// What the daemon says of its machine.
    pub device_info: String,
    /// Whatever else the daemon says.
    pub metadata: serde_json::Value,
    /// When the daemon was last heard of.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// When it was first registered.
    pub created_at: DateTime<Utc>,
    /// When it was last changed, heartbeats left out.
    pub updated_at: DateTime<Utc>,
}

/// None; statements join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
