//! Table `agent`: the configured persona that tasks are addressed to.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::id::{AgentId, MemberId, RuntimeId, WorkspaceId};
use crate::runtime::Mode;
use crate::secret::SecretJson;

/// Who may see an agent.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, async_graphql::Enum,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Visibility {
    /// Everyone in the workspace.
    Workspace,
    /// Its owner, and the workspace's owners and admins.
    Private,
}

/// What an agent is doing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, async_graphql::Enum,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[graphql(name = "AgentStatus")]
pub enum Status {
    /// No task of its is dispatched or running.
    Idle,
    /// A task of its is dispatched or running.
    Working,
    /// Set from outside: it waits for somebody.
    Blocked,
    /// Set from outside: something is wrong with it.
    Error,
    /// Set from outside: it is not to be counted on.
    Offline,
}

/// The configured persona that tasks are addressed to.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agent")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AgentId,
    /// In which workspace.
    pub workspace_id: WorkspaceId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Where it lives.
    pub runtime_mode: Mode,
    /// What its runtime should know.
    pub runtime_config: serde_json::Value,
    /// Where its new tasks run.
    pub runtime_id: RuntimeId,
    /// Who may see it.
    pub visibility: Visibility,
    /// What it is doing.
    pub status: Status,
    /// How many tasks it works on at once.
    pub max_concurrent_tasks: i32,
    /// Whose it is.
    pub owner_id: Option<MemberId>,
    /// What it is told before every task.
    pub instructions: String,
    /// Environment variables of its processes; a secret.
    pub custom_env: SecretJson,
    /// Arguments of its processes.
    pub custom_args: serde_json::Value,
    /// Its MCP servers; a secret.
    pub mcp_config: Option<SecretJson>,
    /// Which model it uses.
    pub model: Option<String>,
    /// When it was archived.
    pub archived_at: Option<DateTime<Utc>>,
    /// Who archived it.
    pub archived_by: Option<MemberId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// None; statements join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
