//! Claiming, starting and settling tasks: what daemons do.

use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::agent;
use entity::id::{AgentId, ClaimRequestId, ClaimToken, RuntimeId, TaskId};

use super::super::input::{JsonText, Text, json, text};
use super::super::issue::TaskSession;
use super::super::{connection, context};
use super::Task;
use crate::error::Error;
use crate::task::claim::{Claimed, Request};
use crate::task::settle::{Completion, Failure};
use crate::task::{Claim, session};

/// What a daemon asks for.
#[expect(clippy::struct_field_names, reason = "the contract's names")]
#[derive(Debug, InputObject)]
pub(super) struct ClaimTaskInput {
    /// For which of its runtimes.
    runtime_id: RuntimeId,
    /// Of which agent; of any where it is absent.
    agent_id: Option<AgentId>,
    /// Makes the claim repeatable: the same one again, after a lost answer, returns the same claim. Random, new with every
    /// claim.
    request_id: Option<ClaimRequestId>,
}

/// What a daemon asks for, for several of its runtimes.
#[derive(Debug, InputObject)]
pub(super) struct ClaimTasksInput {
    /// For which of its runtimes.
    runtime_ids: Vec<RuntimeId>,
    /// How many tasks at most, from 1 to 100.
    #[graphql(default = 1)]
    max: i32,
    /// Makes the claim repeatable: the same one again, after a lost answer, returns the same claims. Random, new with every
    /// claim.
    request_id: Option<ClaimRequestId>,
}

/// A claimed task to be started.
#[derive(Debug, InputObject)]
pub(super) struct StartTaskInput {
    /// Which task.
    task_id: TaskId,
    /// By which claim.
    claim_token: Option<ClaimToken>,
}

/// The resume pointer of a task under way. What is absent is kept.
#[derive(Debug, InputObject)]
pub(super) struct PinTaskSessionInput {
    /// Which task.
    task_id: TaskId,
    /// By which claim.
    claim_token: Option<ClaimToken>,
    /// The agent's own name for its session.
    session_id: Option<Text>,
    /// Where the agent works.
    work_dir: Option<Text>,
}

/// How a task ended well.
#[derive(Debug, InputObject)]
pub(super) struct CompleteTaskInput {
    /// Which task.
    task_id: TaskId,
    /// By which claim.
    claim_token: Option<ClaimToken>,
    /// What came of it.
    result: Option<JsonText>,
    /// The agent's own name for its session; absent keeps.
    session_id: Option<Text>,
    /// Where the agent worked; absent keeps.
    work_dir: Option<Text>,
}

/// How a task ended badly.
#[derive(Debug, InputObject)]
pub(super) struct FailTaskInput {
    /// Which task.
    task_id: TaskId,
    /// By which claim.
    claim_token: Option<ClaimToken>,
    /// In words; 65 536 bytes at most.
    error: Text,
    /// As a word; `agent_error` where it is absent. `timeout`, `runtime_offline` and `runtime_recovery` are retried.
    failure_reason: Option<Text>,
    /// The agent's own name for its session; absent keeps.
    session_id: Option<Text>,
    /// Where the agent worked; absent keeps.
    work_dir: Option<Text>,
}

/// A task in a daemon's hands.
#[derive(Debug, SimpleObject)]
pub(super) struct TaskClaim {
    /// The task.
    task: Task,
    /// The proof that the daemon holds it; every write on its behalf carries it.
    claim_token: ClaimToken,
    /// Until when the task must be started.
    lease_expires_at: DateTime<Utc>,
    /// The session to go on with; null for a fresh one.
    resume: Option<TaskSession>,
    /// Who is to work.
    agent: ClaimedAgent,
}

/// An agent as the daemon needs it, secrets included.
#[derive(Debug)]
pub(super) struct ClaimedAgent(agent::Model);

/// An agent as the daemon needs it, secrets included.
#[Object]
impl ClaimedAgent {
    /// Its id.
    async fn id(&self) -> AgentId {
        self.0.id
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is told before every task.
    async fn instructions(&self) -> &str {
        &self.0.instructions
    }

    /// Which model it uses.
    async fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// What its runtime should know; an object.
    async fn runtime_config(&self) -> &serde_json::Value {
        &self.0.runtime_config
    }

    /// Arguments of its processes; an array of strings.
    async fn custom_args(&self) -> &serde_json::Value {
        &self.0.custom_args
    }

    /// Environment variables of its processes; an object of strings. A secret.
    async fn custom_env(&self) -> &serde_json::Value {
        &self.0.custom_env.0
    }

    /// Its MCP servers; an object. A secret.
    async fn mcp_config(&self) -> Option<&serde_json::Value> {
        self.0.mcp_config.as_ref().map(|config| &config.0)
    }
}

impl TryFrom<Claimed> for TaskClaim {
    type Error = Error;

    fn try_from(claimed: Claimed) -> std::result::Result<Self, Error> {
        let Claimed {
            task,
            claim_token,
            resume,
            agent,
        } = claimed;
        // A task that was started since has no lease; when it was handed over is the nearest truth.
        let lease_expires_at = task
            .claim_expires_at
            .or(task.dispatched_at)
            .ok_or_else(|| {
                Error::Internal(anyhow::anyhow!(
                    "claimed task {} was never dispatched",
                    task.id
                ))
            })?;
        Ok(Self {
            lease_expires_at,
            claim_token,
            resume: resume.map(TaskSession::from),
            agent: ClaimedAgent(agent),
            task: Task::from(task),
        })
    }
}

/// What came of failing a task.
#[derive(Debug, SimpleObject)]
pub(super) struct FailTaskPayload {
    /// The task.
    task: Task,
    /// The next try, if the failure earned one.
    retry: Option<Task>,
}

/// The mutations of daemons on tasks.
#[derive(Debug, Default)]
pub(in super::super) struct DaemonMutation;

#[Object]
impl DaemonMutation {
    /// Hands the runtime its best claimable task: highest priority, then oldest. Null: nothing to do for now.
    async fn claim_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is asked for.")] input: ClaimTaskInput,
    ) -> Result<Option<TaskClaim>> {
        let ClaimTaskInput {
            runtime_id,
            agent_id,
            request_id,
        } = input;
        let request = Request {
            runtime_ids: vec![runtime_id],
            agent_id,
            max: 1,
            request_id,
        };
        Ok(claim(ctx, request).await?.into_iter().next())
    }

    /// Hands the daemon the best claimable tasks of its runtimes, as many as are asked for and there are.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn claim_tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is asked for.")] input: ClaimTasksInput,
    ) -> Result<Vec<TaskClaim>> {
        let ClaimTasksInput {
            runtime_ids,
            max,
            request_id,
        } = input;
        let request = Request {
            runtime_ids,
            agent_id: None,
            max,
            request_id,
        };
        claim(ctx, request).await
    }

    /// Takes up a claimed task, within its lease. Repeated with the same token it returns the running task.
    async fn start_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which, by which claim.")] input: StartTaskInput,
    ) -> Result<Task> {
        let claim = Claim {
            task_id: input.task_id,
            token: input.claim_token,
        };
        let tasks = &context::board(ctx)?.tasks;
        Ok(Task::from(tasks.start(context::viewer(ctx)?, claim).await?))
    }

    /// Notes the session and directory of a task under way, so that they outlive a crash.
    async fn pin_task_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The resume pointer.")] input: PinTaskSessionInput,
    ) -> Result<Task> {
        let txn = context::write(ctx).await?;
        let claim = Claim {
            task_id: input.task_id,
            token: input.claim_token,
        };
        let (session_id, work_dir) = (text(input.session_id), text(input.work_dir));
        let task = session::pin(&txn, context::viewer(ctx)?, claim, session_id, work_dir).await?;
        txn.commit().await?;
        Ok(Task::from(task))
    }

    /// Ends a running task well. On one that has ended already it changes nothing and returns it as it is.
    async fn complete_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How it ended.")] input: CompleteTaskInput,
    ) -> Result<Task> {
        let claim = Claim {
            task_id: input.task_id,
            token: input.claim_token,
        };
        let completion = Completion {
            result: json(input.result),
            session_id: text(input.session_id),
            work_dir: text(input.work_dir),
        };
        let tasks = &context::board(ctx)?.tasks;
        let completed = tasks
            .complete(context::viewer(ctx)?, claim, completion)
            .await?;
        Ok(Task::from(completed))
    }

    /// Ends a dispatched or running task badly, and retries it where the failure lies outside the work. On one that has
    /// ended already it changes nothing and returns it as it is.
    async fn fail_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How it ended.")] input: FailTaskInput,
    ) -> Result<FailTaskPayload> {
        let claim = Claim {
            task_id: input.task_id,
            token: input.claim_token,
        };
        let failure = Failure {
            error: input.error.0,
            failure_reason: text(input.failure_reason),
            session_id: text(input.session_id),
            work_dir: text(input.work_dir),
        };
        let tasks = &context::board(ctx)?.tasks;
        let failed = tasks.fail(context::viewer(ctx)?, claim, failure).await?;
        Ok(FailTaskPayload {
            task: Task::from(failed.task),
            retry: failed.retry.map(Task::from),
        })
    }
}

/// Takes back what the runtimes did not start in time, then claims.
async fn claim(ctx: &Context<'_>, request: Request) -> Result<Vec<TaskClaim>> {
    let (board, viewer) = (context::board(ctx)?, context::viewer(ctx)?);
    let claimed = board.tasks.claim(viewer, request).await?;
    Ok(claimed
        .into_iter()
        .map(TaskClaim::try_from)
        .collect::<std::result::Result<_, Error>>()?)
}
