//! The mutations on agents.

use async_graphql::{Context, InputObject, MaybeUndefined, Object, Result};
use entity::agent::{Status, Visibility};
use entity::id::{AgentId, RuntimeId, WorkspaceId};
use entity::runtime::Mode;
use entity::secret::SecretJson;

use super::super::input::{JsonText, Text, json, text};
use super::super::{connection, context};
use super::Agent;
use crate::agent;
use crate::agent::create::NewAgent;
use crate::agent::update::Change;

/// An agent to be made.
#[derive(Debug, InputObject)]
pub(super) struct CreateAgentInput {
    /// In which workspace.
    workspace_id: WorkspaceId,
    /// Its name.
    name: Text,
    /// What it is for.
    description: Option<Text>,
    /// The address of its picture.
    avatar_url: Option<Text>,
    /// Where its tasks run.
    runtime_id: RuntimeId,
    /// Where it lives.
    #[graphql(default_with = "Mode::Local")]
    runtime_mode: Mode,
    /// What its runtime should know; an object.
    runtime_config: Option<JsonText>,
    /// Who may see it.
    #[graphql(default_with = "Visibility::Private")]
    visibility: Visibility,
    /// How many tasks it works on at once, from 1 to 1000.
    #[graphql(default = 6)]
    max_concurrent_tasks: i32,
    /// What it is told before every task.
    instructions: Option<Text>,
    /// Environment variables of its processes; an object of strings. A secret: nobody can read it back.
    custom_env: Option<JsonText>,
    /// Arguments of its processes; an array of strings.
    custom_args: Option<JsonText>,
    /// Its MCP servers; an object. A secret: nobody can read it back.
    mcp_config: Option<JsonText>,
    /// Which model it uses.
    model: Option<Text>,
}

impl From<CreateAgentInput> for NewAgent {
    fn from(input: CreateAgentInput) -> Self {
        Self {
            workspace_id: input.workspace_id,
            name: input.name.0,
            description: text(input.description).unwrap_or_default(),
            avatar_url: text(input.avatar_url),
            runtime_id: input.runtime_id,
            runtime_mode: input.runtime_mode,
            runtime_config: json(input.runtime_config),
            visibility: input.visibility,
            max_concurrent_tasks: input.max_concurrent_tasks,
            instructions: text(input.instructions).unwrap_or_default(),
            custom_env: json(input.custom_env).map(SecretJson),
            custom_args: json(input.custom_args),
            mcp_config: json(input.mcp_config).map(SecretJson),
            model: text(input.model),
        }
    }
}

/// What is to change of an agent. What is absent is kept; null clears `avatarUrl`, `mcpConfig` and `model`, and keeps
/// everything else.
#[derive(Debug, InputObject)]
pub(super) struct UpdateAgentInput {
    /// Its name.
    name: Option<Text>,
    /// What it is for.
    description: Option<Text>,
    /// The address of its picture; null removes it.
    avatar_url: MaybeUndefined<Text>,
    /// Where its new tasks run. Those on the board stay where they are.
    runtime_id: Option<RuntimeId>,
    /// Where it lives.
    runtime_mode: Option<Mode>,
    /// What its runtime should know; an object.
    runtime_config: Option<JsonText>,
    /// Who may see it.
    visibility: Option<Visibility>,
    /// How many tasks it works on at once, from 1 to 1000.
    max_concurrent_tasks: Option<i32>,
    /// What it is told before every task.
    instructions: Option<Text>,
    /// Environment variables of its processes; an object of strings, which replaces the one before. A secret: nobody can
    /// read it back.
    custom_env: Option<JsonText>,
    /// Arguments of its processes; an array of strings.
    custom_args: Option<JsonText>,
    /// Its MCP servers, an object; null removes them. A secret: nobody can read it back.
    mcp_config: MaybeUndefined<JsonText>,
    /// Which model it uses; null leaves it to the runtime.
    model: MaybeUndefined<Text>,
}

impl From<UpdateAgentInput> for Change {
    fn from(input: UpdateAgentInput) -> Self {
        Self {
            name: text(input.name),
            description: text(input.description),
            avatar_url: clearable(input.avatar_url, |text| text.0),
            runtime_id: input.runtime_id,
            runtime_mode: input.runtime_mode,
            runtime_config: json(input.runtime_config),
            visibility: input.visibility,
            max_concurrent_tasks: input.max_concurrent_tasks,
            instructions: text(input.instructions),
            custom_env: json(input.custom_env).map(SecretJson),
            custom_args: json(input.custom_args),
            mcp_config: clearable(input.mcp_config, |json| SecretJson(json.0)),
            model: clearable(input.model, |text| text.0),
        }
    }
}

/// An argument that null clears: an outer `None` keeps, an inner one clears.
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three things"
)]
fn clearable<T, U>(value: MaybeUndefined<T>, inner: impl FnOnce(T) -> U) -> Option<Option<U>> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(inner(value))),
    }
}

/// The mutations on agents.
#[derive(Debug, Default)]
pub(in super::super) struct AgentMutation;

#[Object]
impl AgentMutation {
    /// Makes an agent. One that a member makes is theirs.
    async fn create_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it is to be.")] input: CreateAgentInput,
    ) -> Result<Agent> {
        let txn = context::write(ctx).await?;
        let agent = agent::create::create(&*txn, context::viewer(ctx)?, input.into()).await?;
        txn.commit().await?;
        Ok(Agent::from(agent))
    }

    /// Changes an agent.
    async fn update_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: AgentId,
        #[graphql(desc = "What of it.")] input: UpdateAgentInput,
    ) -> Result<Agent> {
        let txn = context::write(ctx).await?;
        let agent = agent::update::update(&txn, context::viewer(ctx)?, id, input.into()).await?;
        txn.commit().await?;
        Ok(Agent::from(agent))
    }

    /// Archives an agent and cancels its active tasks. One that is archived already is returned as it is.
    async fn archive_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: AgentId,
    ) -> Result<Agent> {
        let txn = context::write(ctx).await?;
        let agent = agent::archive::archive(&txn, context::viewer(ctx)?, id).await?;
        txn.commit().await?;
        Ok(Agent::from(agent))
    }

    /// Archives every agent of the runtimes and cancels their active tasks; returns those that it archived. One that the
    /// viewer may not change refuses the whole.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn archive_agents_by_runtime(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which runtimes.")] runtime_ids: Vec<RuntimeId>,
    ) -> Result<Vec<Agent>> {
        let txn = context::write(ctx).await?;
        let agents =
            agent::archive::archive_of_runtimes(&txn, context::viewer(ctx)?, &runtime_ids).await?;
        txn.commit().await?;
        Ok(agents.into_iter().map(Agent::from).collect())
    }

    /// Makes an archived agent available again.
    async fn restore_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: AgentId,
    ) -> Result<Agent> {
        let txn = context::write(ctx).await?;
        let agent = agent::archive::restore(&txn, context::viewer(ctx)?, id).await?;
        txn.commit().await?;
        Ok(Agent::from(agent))
    }

    /// Sets an agent's status until its tasks change it. `IDLE` and `WORKING` both mean whichever follows from its tasks.
    async fn set_agent_status(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: AgentId,
        #[graphql(desc = "To what.")] status: Status,
    ) -> Result<Agent> {
        let txn = context::write(ctx).await?;
        let agent = agent::status::set(&txn, context::viewer(ctx)?, id, status).await?;
        txn.commit().await?;
        Ok(Agent::from(agent))
    }
}
