//! Presence: availability from an agent's runtime, workload from its tasks. Two dimensions that do not mix.
//!
//! What was read comes with the database's now in it, as a number of seconds of silence; nothing here reads a clock.

use std::collections::HashMap;
use std::time::Duration;

use entity::id::{AgentId, RuntimeId, WorkspaceId};
use entity::presence::{Availability, Workload};
use entity::{agent, runtime, task};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, raw_sql};
use uuid::Uuid;

use crate::error::Result;
use crate::event::Audience;
use crate::settings::Settings;
use crate::task::lock;

/// How an agent is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Whose.
    pub agent_id: AgentId,
    /// Whether its runtime is there.
    pub availability: Availability,
    /// What it has to do.
    pub workload: Workload,
    /// How many tasks run.
    pub running_count: i32,
    /// How many wait or are being handed over.
    pub queued_count: i32,
    /// How many it may work on at once.
    pub capacity: i32,
}

/// A presence, and when time alone will change it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The presence.
    pub presence: Presence,
    /// From when it was read until it will be another with nothing having happened.
    pub changes_in: Option<Duration>,
    /// Whether the agent is nobody's colleague any more.
    pub archived: bool,
    /// Where its tasks run.
    pub runtime_id: RuntimeId,
    /// Who may see it.
    pub audience: Audience,
}

/// Whose presence is looked for: an agent's for which any of these holds. Who may see them is decided before or after.
#[derive(Clone, Debug, Default)]
pub struct Whose {
    /// It is one of these.
    pub agents: Vec<AgentId>,
    /// It is on one of these runtimes.
    pub runtimes: Vec<RuntimeId>,
    /// It is in this workspace.
    pub workspace_id: Option<WorkspaceId>,
}

/// What presence is made of.
#[derive(Debug, FromQueryResult)]
struct Facts {
    agent_id: AgentId,
    capacity: i32,
    runtime_status: runtime::Status,
    silent_secs: Option<f64>,
    archived: bool,
    runtime_id: RuntimeId,
    #[sea_orm(nested)]
    audience: Audience,
    running_count: i32,
    queued_count: i32,
}

/// What the presence of a runtime's agents has from it.
#[derive(Debug, FromQueryResult)]
struct RuntimeFacts {
    id: RuntimeId,
    status: runtime::Status,
    silent_secs: Option<f64>,
    daemon_id: String,
}

/// How the agents are, in no particular order; who may see them was decided before.
pub async fn observe(
    db: &impl ConnectionTrait,
    settings: &Settings,
    agents: &[AgentId],
) -> Result<Vec<Observed>> {
    let whose = Whose {
        agents: agents.to_vec(),
        ..Whose::default()
    };
    observe_all(db, settings, &whose).await
}

/// How agents are, the archived ones included, in no particular order; for the service itself, which shows of it to each
/// viewer what they may see.
pub async fn observe_all(
    db: &impl ConnectionTrait,
    settings: &Settings,
    whose: &Whose,
) -> Result<Vec<Observed>> {
    let agents = lock::uuids(&whose.agents);
    let runtimes: Vec<Uuid> = whose.runtimes.iter().map(|id| id.0).collect();
    let workspace_id = whose.workspace_id;
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select agent.id as agent_id,
               agent.max_concurrent_tasks as capacity,
               runtime.status as runtime_status,
               extract(epoch from now() - runtime.last_seen_at)::float8 as silent_secs,
               agent.archived_at is not null as archived,
               agent.runtime_id,
               agent.visibility,
               agent.owner_id,
               runtime.daemon_id,
               tasks.running_count,
               tasks.queued_count
           from agent
           join agent_runtime as runtime on runtime.id = agent.runtime_id
           cross join lateral (
               select count(*) filter (where task.status = 'running')::int as running_count,
                   count(*) filter (where task.status <> 'running')::int as queued_count
               from agent_task_queue as task
               where task.workspace_id = agent.workspace_id and task.agent_id = agent.id
                   and by_index('active', task.status in ('queued', 'dispatched', 'running'))
           ) as tasks
           where agent.id in (
               select unnest({agents}::uuid[])
               union
               select id from agent where runtime_id = any({runtimes})
               union
               select id from agent where workspace_id = {workspace_id}
           )"#
    );
    let facts = Facts::find_by_statement(statement).all(db).await?;
    Ok(facts
        .into_iter()
        .map(|facts| observed(facts, settings.unstable_window))
        .collect())
}

/// How agents are that have been read with every active task of theirs, in the order of the agents. To count the tasks
/// here costs next to nothing; to have them counted would cost as much as reading them did.
pub async fn observe_read(
    db: &impl ConnectionTrait,
    settings: &Settings,
    agents: &[agent::Model],
    active: &[task::Model],
) -> Result<Vec<Observed>> {
    let runtimes = runtimes_of(db, agents).await?;
    let mut counts: HashMap<AgentId, (i32, i32)> = HashMap::with_capacity(agents.len());
    for task in active {
        let (running, queued) = counts.entry(task.agent_id).or_default();
        if task.status == task::Status::Running {
            *running += 1;
        } else {
            *queued += 1;
        }
    }
    let facts = agents.iter().filter_map(|agent| {
        let runtime = runtimes.get(&agent.runtime_id)?;
        let (running_count, queued_count) = counts.get(&agent.id).copied().unwrap_or_default();
        Some(Facts {
            agent_id: agent.id,
            capacity: agent.max_concurrent_tasks,
            runtime_status: runtime.status,
            silent_secs: runtime.silent_secs,
            archived: agent.archived_at.is_some(),
            runtime_id: agent.runtime_id,
            audience: Audience {
                visibility: Some(agent.visibility),
                owner_id: agent.owner_id,
                daemon_id: Some(runtime.daemon_id.clone()),
            },
            running_count,
            queued_count,
        })
    });
    Ok(facts
        .map(|facts| observed(facts, settings.unstable_window))
        .collect())
}

/// How the runtimes of these agents are.
async fn runtimes_of(
    db: &impl ConnectionTrait,
    agents: &[agent::Model],
) -> Result<HashMap<RuntimeId, RuntimeFacts>> {
    let mut ids: Vec<Uuid> = agents.iter().map(|agent| agent.runtime_id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select id, status, daemon_id,
               extract(epoch from now() - last_seen_at)::float8 as silent_secs
           from agent_runtime
           where id = any({ids})"#
    );
    let runtimes = RuntimeFacts::find_by_statement(statement).all(db).await?;
    Ok(runtimes
        .into_iter()
        .map(|runtime| (runtime.id, runtime))
        .collect())
}

/// The rule.
fn observed(facts: Facts, unstable_window: Duration) -> Observed {
    let (availability, changes_in) = match facts.runtime_status {
        runtime::Status::Online => (Availability::Online, None),
        runtime::Status::Offline => {
            let silent = facts.silent_secs.map_or(Duration::MAX, |secs| {
                Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or(Duration::MAX)
            });
            match unstable_window.checked_sub(silent) {
                Some(left) if !left.is_zero() => (Availability::Unstable, Some(left)),
                _ => (Availability::Offline, None),
            }
        }
    };
    let workload = match (facts.running_count, facts.queued_count) {
        (0, 0) => Workload::Idle,
        (0, _) => Workload::Queued,
        _ => Workload::Working,
    };
    Observed {
        presence: Presence {
            agent_id: facts.agent_id,
            availability,
            workload,
            running_count: facts.running_count,
            queued_count: facts.queued_count,
            capacity: facts.capacity,
        },
        changes_in,
        archived: facts.archived,
        runtime_id: facts.runtime_id,
        audience: facts.audience,
    }
}
