//! Claiming: who is given what.
//!
//! The rule, which task an agent may be given next, stands in the database, and so do the steps that make it hold under
//! concurrency: one statement, one round trip, however many tasks are handed out to however many daemons
//! (`task_claim_together`), or to one who has to ask once more (`task_claim`).

mod requeue;
pub(super) mod together;

use entity::id::{AgentId, ClaimRequestId, ClaimToken, RuntimeId};
use entity::{agent, task};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, raw_sql};
use uuid::Uuid;

use super::session;
use crate::auth::{Daemon, Viewer, require_all_found};
use crate::db::{Writer, columns_of};
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

impl Request {
    /// Refuses what can never be right.
    fn check(&self) -> Result<()> {
        limits::range("input.max", self.max, 1..=MOST_AT_ONCE)?;
        limits::list("input.runtimeIds", &self.runtime_ids)
    }
}

/// Hands the daemon the best claimable tasks of its runtimes, where it could not be done [together](together) with others: what
/// the runtimes were given and did not start is taken back before, and where somebody else is faster, other agents are looked
/// at.
pub(super) async fn claim_alone(
    writer: &Writer,
    viewer: &Viewer,
    settings: &Settings,
    request: &Request,
) -> Result<Vec<Claimed>> {
    let daemon = viewer.require_daemon()?;
    let runtimes = find_runtimes(writer.db(), daemon, &request.runtime_ids).await?;
    if runtimes.iter().any(|runtime| runtime.has_expired) {
        requeue::requeue_expired(writer, daemon, settings, &request.runtime_ids).await?;
    }
    let runtimes: Vec<Uuid> = runtimes.iter().map(|runtime| runtime.id.0).collect();
    let (agent_id, max, request_id) = (request.agent_id, request.max, request.request_id);
    let lease_secs = settings.claim_lease.as_secs_f64();
    let handed_out = HandedOut::columns("task", "answer.agent");
    let sql = format!(
        "select {handed_out}
         from task_claim($1, $2, $3, make_interval(secs => $4), $5) as task
         cross join lateral task_with_agent(array[(0, task)::task_claimed]) as answer
         left join lateral task_session_to_resume(task) as resume on true
         where task.claim_token is not null"
    );
    let values = [
        runtimes.into(),
        agent_id.map(|id| id.0).into(),
        max.into(),
        lease_secs.into(),
        request_id.map(|id| id.0).into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let handed_out: Vec<HandedOut> = writer.at_once(statement).await?;
    handed_out.into_iter().map(HandedOut::claimed).collect()
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

/// A task that was handed out, who is to work on it, and the session to go on with.
#[derive(Debug, FromQueryResult)]
struct HandedOut {
    #[sea_orm(nested)]
    task: task::Model,
    #[sea_orm(nested(prefix = "worker_"))]
    worker: agent::Model,
    resume_session_id: Option<String>,
    resume_work_dir: Option<String>,
    resume_runtime_id: Option<RuntimeId>,
}

impl HandedOut {
    /// What to select of these rows, and of a session to resume.
    fn columns(task: &str, agent: &str) -> String {
        let worker = columns_of::<agent::Entity>(agent, "worker_");
        format!(
            "({task}).*, {worker}, resume.session_id as resume_session_id, resume.work_dir as resume_work_dir, \
             resume.runtime_id as resume_runtime_id"
        )
    }

    /// The task as its daemon is given it.
    fn claimed(self) -> Result<Claimed> {
        let Self {
            task,
            worker,
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
            agent: worker,
        })
    }
}

/// The ids as the driver binds them.
fn uuids(runtimes: &[RuntimeId]) -> Vec<Uuid> {
    runtimes.iter().map(|id| id.0).collect()
}
