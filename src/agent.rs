//! Agents: making and finding them. What an agent is doing follows from its tasks; the database keeps it.

use entity::agent::{self, Visibility};
use entity::id::{AgentId, RuntimeId, WorkspaceId};
use entity::secret::SecretJson;
use entity::{runtime, workspace};
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement,
    raw_sql,
};
use serde_json::{Value, json};

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
        check_object("input.runtimeConfig", self.runtime_config.as_ref())?;
        check_object("input.mcpConfig", secret(self.mcp_config.as_ref()))?;
        check_env("input.customEnv", secret(self.custom_env.as_ref()))?;
        check_args("input.customArgs", self.custom_args.as_ref())
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

/// Finds an agent that the viewer may see.
pub async fn find(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    id: AgentId,
) -> Result<Option<agent::Model>> {
    Ok(agent::Entity::find_by_id(id)
        .filter(viewer.agents())
        .one(db)
        .await?)
}

/// The agents of a workspace that the viewer may see, oldest first.
pub async fn list(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    workspace_id: WorkspaceId,
    archived: Archived,
) -> Result<Vec<agent::Model>> {
    let mut agents = agent::Entity::find()
        .filter(viewer.agents())
        .filter(agent::Column::WorkspaceId.eq(workspace_id))
        .order_by_asc(agent::Column::CreatedAt)
        .order_by_asc(agent::Column::Id);
    if archived == Archived::LeftOut {
        agents = agents.filter(agent::Column::ArchivedAt.is_null());
    }
    Ok(agents.all(db).await?)
}

/// The agents on a runtime that the viewer may see and that are not archived, oldest first.
pub async fn of_runtime(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    runtime: &runtime::Model,
) -> Result<Vec<agent::Model>> {
    Ok(agent::Entity::find()
        .filter(viewer.agents())
        .filter(agent::Column::WorkspaceId.eq(runtime.workspace_id))
        .filter(agent::Column::RuntimeId.eq(runtime.id))
        .filter(agent::Column::ArchivedAt.is_null())
        .order_by_asc(agent::Column::CreatedAt)
        .order_by_asc(agent::Column::Id)
        .all(db)
        .await?)
}

/// Whether a list has the archived agents in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archived {
    /// It does.
    Included,
    /// It does not.
    LeftOut,
}

/// How many of the agent's tasks are dispatched or running.
pub async fn running_task_count(db: &impl ConnectionTrait, agent: &agent::Model) -> Result<i32> {
    let (id, workspace_id) = (agent.id, agent.workspace_id);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select count(*)::int from agent_task_queue
           where agent_id = {id} and workspace_id = {workspace_id} and status in ('dispatched', 'running')"#
    );
    let row = db.query_one_raw(statement).await?;
    Ok(row
        .map(|row| row.try_get_by_index(0))
        .transpose()?
        .unwrap_or(0))
}

/// The JSON of a secret.
fn secret(secret: Option<&SecretJson>) -> Option<&Value> {
    secret.map(|secret| &secret.0)
}

/// Refuses JSON that is not an object.
fn check_object(argument: &'static str, value: Option<&Value>) -> Result<()> {
    if value.is_some_and(|value| !value.is_object()) {
        return Err(Error::bad_input(argument, "must be an object"));
    }
    limits::json(argument, value)
}

/// Refuses what could not be the environment of a process.
fn check_env(argument: &'static str, value: Option<&Value>) -> Result<()> {
    check_object(argument, value)?;
    for (name, value) in value.and_then(Value::as_object).into_iter().flatten() {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Error::bad_input(
                argument,
                "a variable's name must not be empty or contain `=`",
            ));
        }
        if !value.is_string() {
            return Err(Error::bad_input(
                format!("{argument}.{name}"),
                "must be a string",
            ));
        }
    }
    Ok(())
}

/// Refuses what could not be the arguments of a process.
fn check_args(argument: &'static str, value: Option<&Value>) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    if !value
        .as_array()
        .is_some_and(|args| args.iter().all(Value::is_string))
    {
        return Err(Error::bad_input(argument, "must be an array of strings"));
    }
    limits::json(argument, Some(value))
}
