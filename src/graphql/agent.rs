//! `Agent` and the mutations on it.

mod mutation;

use std::sync::Arc;

use async_graphql::{Context, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::agent::{self as row, Status, Visibility};
use entity::id::{AgentId, MemberId};
use entity::runtime::Mode;

use super::connection::{self, Page, TaskConnection};
use super::context;
use super::loader::{HistoryOf, PresenceOf, RunningOf};
use super::presence::AgentPresence;
use super::runtime::{self, Runtime};
use crate::agent;
use crate::error::{self, Error};

pub(super) use mutation::AgentMutation;

/// The configured persona that tasks are addressed to.
#[derive(Clone, Debug)]
pub(super) struct Agent(Arc<row::Model>);

impl From<row::Model> for Agent {
    fn from(row: row::Model) -> Self {
        Self(Arc::new(row))
    }
}

/// Loads an agent that something visible refers to.
pub(super) async fn load(ctx: &Context<'_>, id: AgentId) -> error::Result<Agent> {
    let row = context::loaders(ctx)?.load_one(id).await?;
    Ok(Agent::from(row.ok_or(Error::NotFound("agent"))?))
}

/// The configured persona that tasks are addressed to.
#[Object]
impl Agent {
    /// Its id.
    async fn id(&self) -> AgentId {
        self.0.id
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is for.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// The address of its picture.
    async fn avatar_url(&self) -> Option<&str> {
        self.0.avatar_url.as_deref()
    }

    /// Where its new tasks run.
    async fn runtime(&self, ctx: &Context<'_>) -> Result<Runtime> {
        Ok(runtime::load(ctx, self.0.runtime_id).await?)
    }

    /// Where it lives.
    async fn runtime_mode(&self) -> Mode {
        self.0.runtime_mode
    }

    /// What its runtime should know; an object.
    async fn runtime_config(&self) -> &serde_json::Value {
        &self.0.runtime_config
    }

    /// Who may see it.
    async fn visibility(&self) -> Visibility {
        self.0.visibility
    }

    /// What it is doing: working while a task of its is dispatched or running.
    async fn status(&self) -> Status {
        self.0.status
    }

    /// How many tasks it works on at once.
    async fn max_concurrent_tasks(&self) -> i32 {
        self.0.max_concurrent_tasks
    }

    /// The member whose it is; null for one that belongs to nobody.
    async fn owner_id(&self) -> Option<MemberId> {
        self.0.owner_id
    }

    /// What it is told before every task.
    async fn instructions(&self) -> &str {
        &self.0.instructions
    }

    /// Which model it uses.
    async fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// Arguments of its processes; an array of strings.
    async fn custom_args(&self) -> &serde_json::Value {
        &self.0.custom_args
    }

    /// The names of its processes' environment variables, sorted. The values reach daemons in a claim, and nobody else.
    async fn custom_env_keys(&self) -> Vec<&str> {
        let variables = self.0.custom_env.0.as_object();
        let mut names: Vec<&str> = variables
            .into_iter()
            .flat_map(|object| object.keys().map(String::as_str))
            .collect();
        names.sort_unstable();
        names
    }

    /// Whether MCP servers are configured. What they are reaches daemons in a claim, and nobody else.
    async fn has_mcp_config(&self) -> bool {
        self.0.mcp_config.is_some()
    }

    /// When it was archived; null while it can be given work.
    async fn archived_at(&self) -> Option<DateTime<Utc>> {
        self.0.archived_at
    }

    /// The member who archived it.
    async fn archived_by(&self) -> Option<MemberId> {
        self.0.archived_by
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// How it is: whether its runtime is there, and what it has to do.
    async fn presence(&self, ctx: &Context<'_>) -> Result<AgentPresence> {
        let presence = context::loaders(ctx)?
            .load_one(PresenceOf(self.0.id))
            .await
            .map_err(Error::from)?;
        Ok(AgentPresence::from(
            presence.ok_or(Error::NotFound("agent"))?,
        ))
    }

    /// How many of its tasks are dispatched or running.
    async fn running_task_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let count = context::loaders(ctx)?
            .load_one(RunningOf(self.0.id))
            .await
            .map_err(Error::from)?;
        Ok(count.unwrap_or(0))
    }

    /// How many tasks it was given in the last 30 days, whatever became of them.
    #[graphql(name = "runCount30d")]
    async fn run_count_30d(&self, ctx: &Context<'_>) -> Result<i32> {
        let history = context::loaders(ctx)?
            .load_one(HistoryOf(self.0.id))
            .await
            .map_err(Error::from)?;
        Ok(history.map_or(0, |history| history.run_count))
    }

    /// What it finished in the last 30 days: the UTC days with a finished task, oldest first.
    #[graphql(name = "activity30d")]
    async fn activity_30d(&self, ctx: &Context<'_>) -> Result<Vec<ActivityBucket>> {
        let history = context::loaders(ctx)?
            .load_one(HistoryOf(self.0.id))
            .await
            .map_err(Error::from)?;
        let days = history.map_or_else(Vec::new, |history| history.days.clone());
        Ok(days.into_iter().map(ActivityBucket::from).collect())
    }

    /// Its tasks that the viewer may see, newest first.
    #[graphql(complexity = "connection::cost(first, child_complexity)")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 50, desc = "How many, 200 at most.")] first: i32,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<TaskConnection> {
        Ok(connection::tasks_of_agent(ctx, self.0.id, Page { first, after }).await?)
    }
}

/// What an agent finished on one day.
#[derive(Debug, SimpleObject)]
pub(super) struct ActivityBucket {
    /// The beginning of the day, UTC.
    day: DateTime<Utc>,
    /// How many of its tasks ended, the cancelled ones counted.
    task_count: i32,
    /// How many of them failed.
    failed_count: i32,
}

impl From<agent::history::Day> for ActivityBucket {
    fn from(day: agent::history::Day) -> Self {
        let agent::history::Day {
            day,
            task_count,
            failed_count,
        } = day;
        Self {
            day,
            task_count,
            failed_count,
        }
    }
}

/// The query of an agent.
#[derive(Debug, Default)]
pub(super) struct AgentQuery;

#[Object]
impl AgentQuery {
    /// An agent; null where it does not exist or the viewer may not see it.
    async fn agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: AgentId,
    ) -> Result<Option<Agent>> {
        let found = agent::find(context::db(ctx)?, context::viewer(ctx)?, id).await?;
        Ok(found.map(Agent::from))
    }
}
