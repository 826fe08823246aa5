//! `Workspace` and its snapshot.

use async_graphql::{Context, InputObject, Object, Result};
use entity::id::{AgentId, IssueId, RuntimeId, WorkspaceId};
use entity::workspace as row;

use super::agent::Agent;
use super::connection::{self, Page, TaskConnection};
use super::context;
use super::runtime::Runtime;
use super::snapshot::{Scope, WorkspaceSnapshot};
use super::task::columns_shown;
use crate::agent::{self, Archived};
use crate::{limits, runtime, task, workspace};

/// A tenant: its agents, runtimes and tasks.
#[derive(Debug)]
pub(super) struct Workspace(row::Model);

impl From<row::Model> for Workspace {
    fn from(row: row::Model) -> Self {
        Self(row)
    }
}

/// A tenant: its agents, runtimes and tasks.
#[Object]
impl Workspace {
    /// Its id.
    async fn id(&self) -> WorkspaceId {
        self.0.id
    }

    /// Its name in commands and addresses.
    async fn slug(&self) -> &str {
        &self.0.slug
    }

    /// Its name for people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The agents that the viewer may see, oldest first.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn agents(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Whether the archived ones are among them.")]
        include_archived: bool,
    ) -> Result<Vec<Agent>> {
        let archived = if include_archived {
            Archived::Included
        } else {
            Archived::LeftOut
        };
        let agents = agent::list(
            context::db(ctx)?,
            context::viewer(ctx)?,
            self.0.id,
            archived,
        )
        .await?;
        Ok(agents.into_iter().map(Agent::from).collect())
    }

    /// The runtimes that the viewer may see, oldest first.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn runtimes(&self, ctx: &Context<'_>) -> Result<Vec<Runtime>> {
        let runtimes = runtime::list(context::db(ctx)?, context::viewer(ctx)?, self.0.id).await?;
        Ok(runtimes.into_iter().map(Runtime::from).collect())
    }

    /// The tasks that the viewer may see, newest first.
    #[graphql(complexity = "connection::cost(first, child_complexity)")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tasks; all where it is absent.")] filter: Option<TaskFilter>,
        #[graphql(default = 50, desc = "How many, 200 at most.")] first: i32,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<TaskConnection> {
        let filter: task::Filter = filter.unwrap_or_default().into();
        limits::list(
            "filter.status",
            filter.status.as_deref().unwrap_or_default(),
        )?;
        Ok(connection::tasks(ctx, Some(self.0.id), &filter, Page { first, after }).await?)
    }

    /// Everything that a live view starts from, in one consistent read.
    async fn snapshot(&self, ctx: &Context<'_>) -> Result<WorkspaceSnapshot> {
        let (board, viewer) = (context::board(ctx)?, context::viewer(ctx)?);
        let scope = Scope {
            workspace_id: self.0.id,
            columns: columns_shown(ctx),
        };
        Ok(WorkspaceSnapshot::take(board, viewer, &scope).await?)
    }
}

/// Which tasks a list has; every condition that is given must hold.
#[derive(Debug, Default, InputObject)]
pub(super) struct TaskFilter {
    /// In one of these states.
    status: Option<Vec<entity::task::Status>>,
    /// Of this agent.
    agent_id: Option<AgentId>,
    /// Of this issue.
    issue_id: Option<IssueId>,
    /// Of this runtime.
    runtime_id: Option<RuntimeId>,
}

impl From<TaskFilter> for task::Filter {
    fn from(filter: TaskFilter) -> Self {
        let TaskFilter {
            status,
            agent_id,
            issue_id,
            runtime_id,
        } = filter;
        Self {
            status,
            agent_id,
            issue_id,
            runtime_id,
        }
    }
}

/// The query of a workspace.
#[derive(Debug, Default)]
pub(super) struct WorkspaceQuery;

#[Object]
impl WorkspaceQuery {
    /// A workspace; null where it does not exist or is not the viewer's.
    async fn workspace(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: WorkspaceId,
    ) -> Result<Option<Workspace>> {
        let found = workspace::find(context::db(ctx)?, context::viewer(ctx)?, id).await?;
        Ok(found.map(Workspace::from))
    }
}
