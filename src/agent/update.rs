//! Changing an agent: what is absent is kept.

use entity::agent::{self, Visibility};
use entity::id::{AgentId, RuntimeId};
use entity::runtime::{self, Mode};
use entity::secret::SecretJson;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveEnum, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, UpdateMany};
use serde_json::Value;

use super::{check, lock_to_change};
use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::limits;

/// What is to change. An outer `None` keeps; an inner one clears.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its picture.
    pub avatar_url: Option<Option<String>>,
    /// Where its new tasks run. Those on the board stay where they are.
    pub runtime_id: Option<RuntimeId>,
    /// Where it lives.
    pub runtime_mode: Option<Mode>,
    /// What its runtime should know; an object.
    pub runtime_config: Option<Value>,
    /// Who may see it.
    pub visibility: Option<Visibility>,
    /// How many tasks it works on at once.
    pub max_concurrent_tasks: Option<i32>,
    /// What it is told before every task.
    pub instructions: Option<String>,
    /// Environment variables of its processes; an object of strings.
    pub custom_env: Option<SecretJson>,
    /// Arguments of its processes; an array of strings.
    pub custom_args: Option<Value>,
    /// Its MCP servers; an object.
    pub mcp_config: Option<Option<SecretJson>>,
    /// Which model it uses.
    pub model: Option<Option<String>>,
}

impl Change {
    /// Refuses what can never be right.
    fn check(&self) -> Result<()> {
        if let Some(name) = &self.name {
            limits::name("input.name", name)?;
        }
        limits::text("input.description", self.description.as_deref())?;
        limits::line(
            "input.avatarUrl",
            self.avatar_url.as_ref().and_then(Option::as_deref),
        )?;
        limits::text("input.instructions", self.instructions.as_deref())?;
        limits::line(
            "input.model",
            self.model.as_ref().and_then(Option::as_deref),
        )?;
        limits::range(
            "input.maxConcurrentTasks",
            self.max_concurrent_tasks.unwrap_or(1),
            1..=1000,
        )?;
        check::object("input.runtimeConfig", self.runtime_config.as_ref())?;
        check::object(
            "input.mcpConfig",
            check::secret(self.mcp_config.as_ref().and_then(Option::as_ref)),
        )?;
        check::env("input.customEnv", check::secret(self.custom_env.as_ref()))?;
        check::args("input.customArgs", self.custom_args.as_ref())
    }

    /// As assignments.
    fn assign(self, update: UpdateMany<agent::Entity>) -> UpdateMany<agent::Entity> {
        use agent::Column;
        let mut update = update.col_expr(Column::UpdatedAt, Expr::cust("now()"));
        let mut set = |column: Column, value: Option<sea_orm::Value>| {
            if let Some(value) = value {
                update = update.clone().col_expr(column, Expr::val(value));
            }
        };
        set(Column::Name, self.name.map(Into::into));
        set(Column::Description, self.description.map(Into::into));
        set(Column::AvatarUrl, self.avatar_url.map(Into::into));
        set(Column::RuntimeId, self.runtime_id.map(Into::into));
        set(
            Column::RuntimeMode,
            self.runtime_mode.map(|mode| mode.to_value().into()),
        );
        set(Column::RuntimeConfig, self.runtime_config.map(Into::into));
        set(
            Column::Visibility,
            self.visibility
                .map(|visibility| visibility.to_value().into()),
        );
        set(
            Column::MaxConcurrentTasks,
            self.max_concurrent_tasks.map(Into::into),
        );
        set(Column::Instructions, self.instructions.map(Into::into));
        set(Column::CustomEnv, self.custom_env.map(Into::into));
        set(Column::CustomArgs, self.custom_args.map(Into::into));
        set(Column::McpConfig, self.mcp_config.map(Into::into));
        set(Column::Model, self.model.map(Into::into));
        update
    }
}

/// Changes an agent.
pub async fn update(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    id: AgentId,
    change: Change,
) -> Result<agent::Model> {
    change.check()?;
    let agent = lock_to_change(txn, viewer, id).await?;
    if let Some(runtime_id) = change.runtime_id {
        let runtime = runtime::Entity::find_by_id(runtime_id)
            .filter(viewer.runtimes())
            .filter(runtime::Column::WorkspaceId.eq(agent.workspace_id))
            .one(txn)
            .await?;
        runtime.ok_or(Error::NotFound("runtime"))?;
    }
    let changed = change
        .assign(agent::Entity::update_many())
        .filter(agent::Column::Id.eq(id))
        .filter(agent::Column::WorkspaceId.eq(agent.workspace_id))
        .exec_with_returning(txn)
        .await?;
    changed.into_iter().next().ok_or(Error::NotFound("agent"))
}
