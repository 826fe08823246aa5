//! Making an agent.

use entity::agent::{self, Visibility};
use entity::id::{AgentId, RuntimeId, WorkspaceId};
use entity::secret::SecretJson;
use entity::{runtime, workspace};
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement, raw_sql,
};
use serde_json::{Value, json};

use super::check;
use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::limits;

/// An agent to be made.
#[derive(Clone, Debug)]
pub struct NewAgent {
    /// In which workspace.
    pub workspace_id: WorkspaceId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Where its tasks run.
    pub runtime_id: RuntimeId,
    /// Where it lives.
    pub runtime_mode: runtime::Mode,
    /// What its runtime should know; an object.
    pub runtime_config: Option<Value>,
    /// Who may see it.
    pub visibility: Visibility,
    /// How many tasks it works on at once.
    pub max_concurrent_tasks: i32,
    /// What it is told before every task.
    pub instructions: String,
    /// Environment variables of its processes; an object of strings.
    pub custom_env: Option<SecretJson>,
    /// Arguments of its processes; an array of strings.
    pub custom_args: Option<Value>,
    /// Its MCP servers; an object.
    pub mcp_config: Option<SecretJson>,
    /// Which model it uses.
    pub model: Option<String>,
}

impl NewAgent {
    /// Refuses what can never be right.
    fn check(&self) -> Result<()> {
        limits::name("input.name", &self.name)?;
        limits::text("input.description", Some(&self.description))?;
        limits::line("input.avatarUrl", self.avatar_url.as_deref())?;
        limits::text("input.instructions", Some(&self.instructions))?;
        limits::line("input.model", self.model.as_deref())?;
        limits::range(
            "input.maxConcurrentTasks",
            self.max_concurrent_tasks,
            1..=1000,
        )?;
        check::object("input.runtimeConfig", self.runtime_config.as_ref())?;
        check::object("input.mcpConfig", check::secret(self.mcp_config.as_ref()))?;
        check::env("input.customEnv", check::secret(self.custom_env.as_ref()))?;
        check::args("input.customArgs", self.custom_args.as_ref())
    }
}

/// Makes an agent; a member's belongs to them.
pub async fn create(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    new: NewAgent,
) -> Result<agent::Model> {
    viewer.require_host()?;
    new.check()?;
    let workspace = workspace::Entity::find_by_id(new.workspace_id)
        .filter(viewer.workspaces())
        .one(db)
        .await?;
    let workspace_id = workspace.ok_or(Error::NotFound("workspace"))?.id;
    let runtime = runtime::Entity::find_by_id(new.runtime_id)
        .filter(viewer.runtimes())
        .filter(runtime::Column::WorkspaceId.eq(workspace_id))
        .one(db)
        .await?;
    let runtime_id = runtime.ok_or(Error::NotFound("runtime"))?.id;

    let id = AgentId::generate();
    let owner_id = viewer.member_id();
    let NewAgent {
        name,
        description,
        avatar_url,
        max_concurrent_tasks,
        instructions,
        mcp_config,
        model,
        ..
    } = new;
    let runtime_mode = new.runtime_mode.to_value();
    let visibility = new.visibility.to_value();
    let runtime_config = new.runtime_config.unwrap_or_else(|| json!({}));
    let custom_env = new.custom_env.unwrap_or_else(|| SecretJson(json!({})));
    let custom_args = new.custom_args.unwrap_or_else(|| json!([]));
    let statement: Statement = raw_sql!(
        Postgres,
        r#"insert into agent (
               id, workspace_id, name, description, avatar_url, runtime_mode, runtime_config, runtime_id, visibility,
               max_concurrent_tasks, owner_id, instructions, custom_env, custom_args, mcp_config, model)
           values (
               {id}, {workspace_id}, {name}, {description}, {avatar_url}, {runtime_mode}, {runtime_config},
               {runtime_id}, {visibility}, {max_concurrent_tasks}, {owner_id}, {instructions}, {custom_env},
               {custom_args}, {mcp_config}, {model})
           returning *"#
    );
    agent::Entity::find()
        .from_raw_sql(statement)
        .one(db)
        .await?
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("an insert returned no row")))
}
