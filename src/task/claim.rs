//! Claiming: who is given what.
//!
//! The rule, which task an agent may be given next, stands in the database, and so do the steps that make it hold under
//! concurrency (`task_claim`): one statement, one round trip, however many tasks it hands out.

mod requeue;
pub(super) mod together;

use entity::id::{AgentId, ClaimRequestId, ClaimToken, RuntimeId};
use entity::{agent, task};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, raw_sql};
use uuid::Uuid;

use super::session;
use crate::auth::{Daemon, Viewer, require_all_found};
use crate::db::Writer;
use crate::error::{Error, Result};
use crate::limits;
use crate::settings::Settings;

/// The most tasks that one claim hands out.
pub const MOST_AT_ONCE: i32 = 100;

/// What a daemon asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// For which of its runtimes.
    pub runtime_ids: Vec<RuntimeId>,
    /// Of which agent; any where it is absent.
    pub agent_id: Option<AgentId>,
    /// How many at most.
    pub max: i32,
    /// Makes the claim repeatable.
    pub request_id: Option<ClaimRequestId>,
}

/// A task in a daemon's hands.
#[derive(Debug)]
pub struct Claimed {
    /// The task.
    pub task: task::Model,
    /// The proof, for every write that follows.
    pub claim_token: ClaimToken,
    /// The session to go on with.
    pub resume: Option<session::Session>,
    /// Who is to work, secrets included.
    pub agent: agent::Model,
}

/// Hands the daemon the best claimable tasks of its runtimes. The same request id again gets the same tasks, for as long
/// as that claim holds them.
///
/// What the runtimes were given and did not start is taken back before: by asking for work, the daemon shows that it
/// lives.
pub async fn claim(
    writer: &Writer,
    viewer: &Viewer,
    settings: &Settings,
    request: &Request,
) -> Result<Vec<Claimed>> {
    let daemon = viewer.require_daemon()?;
    limits::range("input.max", request.max, 1..=MOST_AT_ONCE)?;
    limits::list("input.runtimeIds", &request.runtime_ids)?;
    let runtimes = find_runtimes(writer.db(), daemon, &request.runtime_ids).await?;
    if runtimes.iter().any(|runtime| runtime.has_expired) {
        requeue::requeue_expired(writer, daemon, settings, &request.runtime_ids).await?;
    }
    let runtimes: Vec<Uuid> = runtimes.iter().map(|runtime| runtime.id.0).collect();
    let (agent_id, max, request_id) = (request.agent_id, request.max, request.request_id);
    let lease_secs = settings.claim_lease.as_secs_f64();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select task.*, resume.session_id as resume_session_id, resume.work_dir as resume_work_dir,
               resume.runtime_id as resume_runtime_id
           from task_claim({runtimes}, {agent_id}, {max}, make_interval(secs => {lease_secs}), {request_id}) as task
           left join lateral task_session_to_resume(task) as resume on true"#
    );
    claimed(writer.db(), writer.at_once(statement).await?).await
}

/// A runtime that a daemon asks for.
#[derive(Debug, FromQueryResult)]
struct Asked {
    id: RuntimeId,
    /// Whether it was given something that it did not start in time.
    has_expired: bool,
}

/// Finds the runtimes, and refuses those that are not the daemon's.
async fn find_runtimes(
    db: &impl ConnectionTrait,
    daemon: &Daemon,
    asked: &[RuntimeId],
) -> Result<Vec<Asked>> {
    let (workspace_id, daemon_id, ids) =
        (daemon.workspace_id, daemon.daemon_id.clone(), uuids(asked));
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select id, runtime_has_expired_claims(id) as has_expired from agent_runtime
           where id = any({ids}) and workspace_id = {workspace_id} and daemon_id = {daemon_id}"#
    );
    let found = Asked::find_by_statement(statement).all(db).await?;
    let own: Vec<RuntimeId> = found.iter().map(|runtime| runtime.id).collect();
    require_all_found(asked, &own)?;
    Ok(found)
}

/// Of these runtimes, those that would be given something if they asked; who may ask was decided before.
pub async fn runtimes_with_work(
    db: &impl ConnectionTrait,
    runtimes: &[RuntimeId],
) -> Result<Vec<RuntimeId>> {
    let runtimes = uuids(runtimes);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select runtime.id
           from unnest({runtimes}::uuid[]) as runtime (id)
           where exists (
                   select from task_agents_to_claim(array[runtime.id], null, array[]::uuid[], 1))
               or runtime_has_expired_claims(runtime.id)"#
    );
    let rows = db.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok(RuntimeId(row.try_get_by_index(0)?)))
        .collect()
}

/// On these runtimes, the agents that have tasks waiting there; who may ask was decided before.
pub async fn agents_waiting(
    db: &impl ConnectionTrait,
    runtimes: &[RuntimeId],
) -> Result<Vec<(RuntimeId, AgentId)>> {
    let runtimes = uuids(runtimes);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select runtime.id, waiting.agent_id
           from unnest({runtimes}::uuid[]) as runtime (id)
           cross join lateral task_agents_waiting(runtime.id) as waiting (agent_id)"#
    );
    let rows = db.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
        .collect()
}

/// A task that was handed out, and the session that it goes on with.
#[derive(Debug, FromQueryResult)]
struct HandedOut {
    #[sea_orm(nested)]
    task: task::Model,
    resume_session_id: Option<String>,
    resume_work_dir: Option<String>,
    resume_runtime_id: Option<RuntimeId>,
}

/// The tasks with what their daemon needs to work on them.
async fn claimed(db: &impl ConnectionTrait, tasks: Vec<HandedOut>) -> Result<Vec<Claimed>> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<AgentId> = tasks.iter().map(|handed| handed.task.agent_id).collect();
    let agents = agents(db, &ids).await?;
    let with_agent = |handed: HandedOut| {
        let agent = agents.iter().find(|agent| agent.id == handed.task.agent_id);
        handed.with(agent.cloned().ok_or(Error::NotFound("agent"))?)
    };
    tasks.into_iter().map(with_agent).collect()
}

impl HandedOut {
    /// The task with the agent that is to work on it.
    fn with(self, agent: agent::Model) -> Result<Claimed> {
        let Self {
            task,
            resume_session_id,
            resume_work_dir,
            resume_runtime_id,
        } = self;
        let claim_token = task.claim_token.ok_or_else(|| {
            Error::Internal(anyhow::anyhow!("a claim of task {} has no token", task.id))
        })?;
        let resume = resume_session_id.zip(resume_runtime_id);
        let resume = resume.map(|(session_id, runtime_id)| session::Session {
            session_id,
            work_dir: resume_work_dir,
            runtime_id,
        });
        Ok(Claimed {
            task,
            claim_token,
            resume,
            agent,
        })
    }
}

/// Agents by their ids; in one statement, however many there are, so that it is planned once.
async fn agents(db: &impl ConnectionTrait, ids: &[AgentId]) -> Result<Vec<agent::Model>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let statement: Statement = raw_sql!(Postgres, "select * from agent where id = any({ids})");
    Ok(agent::Model::find_by_statement(statement).all(db).await?)
}

/// The ids as the driver binds them.
fn uuids(runtimes: &[RuntimeId]) -> Vec<Uuid> {
    runtimes.iter().map(|id| id.0).collect()
}
