//! `Issue`: the tasks that name one.

use async_graphql::{Context, Object, Result, SimpleObject};
use entity::id::{AgentId, IssueId, RuntimeId};
use entity::task::Status;

use super::connection::{self, Page, TaskConnection};
use super::context;
use super::task::Task;
use crate::issue;
use crate::task::{Filter, session};

/// A projection: the tasks that name an issue of the host application. Callboard knows of the issue nothing else.
#[derive(Debug)]
pub(super) struct Issue(IssueId);

/// A projection: the tasks that name an issue of the host application. Callboard knows of the issue nothing else.
#[Object]
impl Issue {
    /// The host application's id.
    async fn id(&self) -> IssueId {
        self.0
    }

    /// Its queued, dispatched and running tasks, newest first.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn active_tasks(&self, ctx: &Context<'_>) -> Result<Vec<Task>> {
        let tasks = issue::active_tasks(context::db(ctx)?, context::viewer(ctx)?, self.0).await?;
        Ok(tasks.into_iter().map(Task::from).collect())
    }

    /// All of its tasks, newest first.
    #[graphql(complexity = "connection::cost(first, child_complexity)")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 50, desc = "How many, 200 at most.")] first: i32,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<TaskConnection> {
        let filter = Filter {
            issue_id: Some(self.0),
            ..Filter::default()
        };
        Ok(connection::tasks(
            ctx,
            context::viewer(ctx)?.workspace_id(),
            &filter,
            Page { first, after },
        )
        .await?)
    }

    /// Whether a task of its is queued, dispatched or running.
    async fn has_active_task(&self, ctx: &Context<'_>) -> Result<bool> {
        let active = issue::active_tasks(context::db(ctx)?, context::viewer(ctx)?, self.0).await?;
        Ok(!active.is_empty())
    }

    /// Whether a task of its is queued or dispatched.
    async fn has_pending_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of this agent; of any where it is absent.")] agent_id: Option<AgentId>,
    ) -> Result<bool> {
        let active = issue::active_tasks(context::db(ctx)?, context::viewer(ctx)?, self.0).await?;
        Ok(active.iter().any(|task| {
            task.status != Status::Running
                && agent_id.is_none_or(|agent_id| task.agent_id == agent_id)
        }))
    }

    /// Whether the agent's newest task on it is a leader's; null where it never had one.
    async fn latest_task_is_leader(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which agent.")] agent_id: AgentId,
    ) -> Result<Option<bool>> {
        let latest =
            issue::latest_task(context::db(ctx)?, context::viewer(ctx)?, self.0, agent_id).await?;
        Ok(latest.map(|task| task.is_leader_task))
    }

    /// The session that the agent would go on with.
    async fn last_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which agent.")] agent_id: AgentId,
    ) -> Result<Option<TaskSession>> {
        let db = context::db(ctx)?;
        let Some(agent) = crate::agent::find(db, context::viewer(ctx)?, agent_id).await? else {
            return Ok(None);
        };
        let last = session::last(db, agent.workspace_id, agent_id, self.0).await?;
        Ok(last.map(TaskSession::from))
    }
}

/// A session of an agent's own that can be gone on with.
#[derive(Debug, SimpleObject)]
pub(super) struct TaskSession {
    /// The agent's own name for it.
    session_id: String,
    /// Where the agent worked.
    work_dir: Option<String>,
    /// The runtime that it was made on; it is of use only there.
    runtime_id: RuntimeId,
}

impl From<session::Session> for TaskSession {
    fn from(session: session::Session) -> Self {
        let session::Session {
            session_id,
            work_dir,
            runtime_id,
        } = session;
        Self {
            session_id,
            work_dir,
            runtime_id,
        }
    }
}

/// The query of an issue.
#[derive(Debug, Default)]
pub(super) struct IssueQuery;

#[Object]
impl IssueQuery {
    /// An issue, as the tasks that name it; null where the viewer may see none.
    async fn issue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: IssueId,
    ) -> Result<Option<Issue>> {
        let exists = issue::exists(context::db(ctx)?, context::viewer(ctx)?, id).await?;
        Ok(exists.then_some(Issue(id)))
    }
}
