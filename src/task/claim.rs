//! Claiming: who is given what.
//!
//! The rule, which task an agent may be given next, stands in the database, and so do the steps that make it hold under
//! concurrency (`task_claim_together`): one statement, one round trip, however many tasks are handed out to however many
//! daemons.

mod requeue;
pub(super) mod together;

use entity::id::{AgentId, ClaimRequestId, ClaimToken, RuntimeId};
use entity::{agent, task};
use sea_orm::{ConnectionTrait, Statement, raw_sql};
use uuid::Uuid;

use super::session;
use crate::error::Result;
use crate::limits;

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

/// The ids as the driver binds them.
fn uuids(runtimes: &[RuntimeId]) -> Vec<Uuid> {
    runtimes.iter().map(|id| id.0).collect()
}
