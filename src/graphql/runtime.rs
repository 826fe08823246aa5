//! `Runtime` and what daemons do with theirs.

use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::id::{ClaimToken, RuntimeId, TaskId, WorkspaceId};
use entity::runtime::{self as row, Mode, Status};

use super::agent::Agent;
use super::input::{JsonText, Text, json, text};
use super::loader::{AgentsOn, LineOf};
use super::task::Task;
use super::waiting::ClaimCandidate;
use super::{connection, context};
use crate::error::{self, Error};
use crate::runtime::{self, Registration, heartbeat};
use crate::task::list::Line;

/// One provider on one daemon in one workspace: where an agent's tasks run.
#[derive(Debug)]
pub(super) struct Runtime(row::Model);

impl From<row::Model> for Runtime {
    fn from(row: row::Model) -> Self {
        Self(row)
    }
}

/// Loads a runtime that something visible refers to.
pub(super) async fn load(ctx: &Context<'_>, id: RuntimeId) -> error::Result<Runtime> {
    Ok(Runtime(
        context::loaders(ctx)?
            .load_one(id)
            .await?
            .ok_or(Error::NotFound("runtime"))?,
    ))
}

/// One provider on one daemon in one workspace: where an agent's tasks run.
#[Object]
impl Runtime {
    /// Its id.
    async fn id(&self) -> RuntimeId {
        self.0.id
    }

    /// The daemon that hosts it; its own name for itself.
    async fn daemon_id(&self) -> &str {
        &self.0.daemon_id
    }

    /// Its name for people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What runs the tasks: a coding agent's name.
    async fn provider(&self) -> &str {
        &self.0.provider
    }

    /// Where it lives.
    async fn runtime_mode(&self) -> Mode {
        self.0.runtime_mode
    }

    /// Whether its daemon is there.
    async fn status(&self) -> Status {
        self.0.status
    }

    /// What the daemon says of its machine.
    async fn device_info(&self) -> &str {
        &self.0.device_info
    }

    /// Whatever else the daemon says; an object.
    async fn metadata(&self) -> &serde_json::Value {
        &self.0.metadata
    }

    /// When its daemon was last heard of.
    async fn last_seen_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_seen_at
    }

    /// When it was first registered.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it was last changed; heartbeats do not count.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// The agents on it that the viewer may see and that are not archived, oldest first.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn agents(&self, ctx: &Context<'_>) -> Result<Vec<Agent>> {
        let key = AgentsOn {
            runtime_id: self.0.id,
            viewer: context::viewer(ctx)?.clone(),
        };
        let agents = context::loaders(ctx)?
            .load_one(key)
            .await
            .map_err(Error::from)?;
        Ok(agents
            .unwrap_or_default()
            .into_iter()
            .map(Agent::from)
            .collect())
    }

    /// Its queued and dispatched tasks that the viewer may see, in the order of claiming; the first 200.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn pending_tasks(&self, ctx: &Context<'_>) -> Result<Vec<Task>> {
        let tasks = line(ctx, self.0.id, Line::Pending).await?;
        Ok(tasks.into_iter().map(Task::from).collect())
    }

    /// Its queued tasks that the viewer may see, in the order of claiming, each with what holds it back; the first 200.
    #[graphql(complexity = "50 + connection::list_cost(child_complexity)")]
    async fn claim_candidates(&self, ctx: &Context<'_>) -> Result<Vec<ClaimCandidate>> {
        let tasks = line(ctx, self.0.id, Line::Queued).await?;
        Ok(tasks
            .into_iter()
            .map(|task| ClaimCandidate(Task::from(task)))
            .collect())
    }
}

/// Loads a runtime's line.
async fn line(
    ctx: &Context<'_>,
    runtime_id: RuntimeId,
    line: Line,
) -> error::Result<Vec<entity::task::Model>> {
    let key = LineOf {
        runtime_id,
        line,
        viewer: context::viewer(ctx)?.clone(),
    };
    Ok(context::loaders(ctx)?
        .load_one(key)
        .await?
        .unwrap_or_default())
}

/// The query of a runtime.
#[derive(Debug, Default)]
pub(super) struct RuntimeQuery;

#[Object]
impl RuntimeQuery {
    /// A runtime; null where it does not exist or the viewer may not see it.
    async fn runtime(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: RuntimeId,
    ) -> Result<Option<Runtime>> {
        let found = runtime::find(context::db(ctx)?, context::viewer(ctx)?, id).await?;
        Ok(found.map(Runtime::from))
    }
}

/// A runtime as its daemon describes it.
#[derive(Debug, InputObject)]
pub(super) struct RegisterRuntimeInput {
    /// In which workspace.
    workspace_id: WorkspaceId,
    /// The daemon's own name for itself, as its token has it.
    daemon_id: Text,
    /// What runs the tasks: a coding agent's name.
    provider: Text,
    /// Its name for people.
    name: Text,
    /// Where it lives.
    #[graphql(default_with = "Mode::Local")]
    runtime_mode: Mode,
    /// What the daemon says of its machine; absent keeps.
    device_info: Option<Text>,
    /// Whatever else it says, an object; absent keeps.
    metadata: Option<JsonText>,
}

/// A daemon's sign of life.
#[derive(Debug, InputObject)]
pub(super) struct HeartbeatInput {
    /// All of the daemon's runtimes.
    runtime_ids: Vec<RuntimeId>,
    /// The tasks that it believes it holds.
    #[graphql(default)]
    holding: Vec<HeldTaskInput>,
}

/// A task that a daemon believes it holds.
#[derive(Debug, InputObject)]
pub(super) struct HeldTaskInput {
    /// Which task.
    task_id: TaskId,
    /// By which claim.
    claim_token: ClaimToken,
}

/// The answer to a heartbeat.
#[derive(Debug, SimpleObject)]
pub(super) struct HeartbeatPayload {
    /// The runtimes, as they are.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    runtimes: Vec<Runtime>,
    /// Of the tasks that the daemon holds, those that it no longer does: cancelled, failed from outside, or claimed anew.
    /// Stop them.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    lost: Vec<Task>,
}

/// What came of the tasks that an earlier life of the daemon left behind.
#[derive(Debug, SimpleObject)]
pub(super) struct RecoverOrphanedTasksPayload {
    /// The tasks that were under way, and have failed.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    failed: Vec<Task>,
    /// The next tries of those that earned one.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    retried: Vec<Task>,
}

/// The mutations on runtimes; daemons call them.
#[derive(Debug, Default)]
pub(super) struct RuntimeMutation;

#[Object]
impl RuntimeMutation {
    /// Registers a runtime and brings it on line; the same workspace, daemon and provider again updates it.
    async fn register_runtime(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The runtime.")] input: RegisterRuntimeInput,
    ) -> Result<Runtime> {
        let txn = context::write(ctx).await?;
        let registration = Registration {
            workspace_id: input.workspace_id,
            daemon_id: input.daemon_id.0,
            provider: input.provider.0,
            name: input.name.0,
            runtime_mode: input.runtime_mode,
            device_info: text(input.device_info),
            metadata: json(input.metadata),
        };
        let runtime = runtime::register(&*txn, context::viewer(ctx)?, registration).await?;
        txn.commit().await?;
        Ok(Runtime(runtime))
    }

    /// Records that the daemon lives: one call for all of its runtimes. Says which of its tasks it no longer holds.
    async fn heartbeat(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What lives, and what it holds.")] input: HeartbeatInput,
    ) -> Result<HeartbeatPayload> {
        let holding: Vec<heartbeat::Held> = input
            .holding
            .iter()
            .map(|held| heartbeat::Held {
                task_id: held.task_id,
                claim_token: held.claim_token,
            })
            .collect();
        let heartbeats = &context::board(ctx)?.heartbeats;
        let viewer = context::viewer(ctx)?;
        let answer = heartbeats.beat(viewer, input.runtime_ids, &holding).await?;
        Ok(HeartbeatPayload {
            runtimes: answer.runtimes.into_iter().map(Runtime::from).collect(),
            lost: answer.lost.into_iter().map(Task::from).collect(),
        })
    }

    /// Signs a runtime off; its tasks stay as they are.
    async fn deregister_runtime(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: RuntimeId,
    ) -> Result<Runtime> {
        let txn = context::write(ctx).await?;
        let runtime = runtime::deregister(&*txn, context::viewer(ctx)?, id).await?;
        txn.commit().await?;
        Ok(Runtime(runtime))
    }

    /// Fails what an earlier life of the daemon was working on, and retries what may be retried. A daemon calls it when it
    /// starts, before it claims.
    async fn recover_orphaned_tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "On which of the daemon's runtimes.")] runtime_id: RuntimeId,
    ) -> Result<RecoverOrphanedTasksPayload> {
        let txn = context::write(ctx).await?;
        let recovered = runtime::recover_orphans(&txn, context::viewer(ctx)?, runtime_id).await?;
        txn.commit().await?;
        Ok(RecoverOrphanedTasksPayload {
            failed: recovered.failed.into_iter().map(Task::from).collect(),
            retried: recovered.retried.into_iter().map(Task::from).collect(),
        })
    }
}
