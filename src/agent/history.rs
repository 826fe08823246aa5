//! What agents have done: counts for many agents at once, who may see them was decided before.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::id::AgentId;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, raw_sql};

use crate::error::Result;
use crate::task::lock;

/// What an agent finished on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// The beginning of the day, UTC.
    pub day: DateTime<Utc>,
    /// How many tasks ended, the cancelled ones counted.
    pub task_count: i32,
    /// How many of them failed.
    pub failed_count: i32,
}

#[derive(Debug, FromQueryResult)]
struct Count {
    agent_id: AgentId,
    count: i32,
}

#[derive(Debug, FromQueryResult)]
struct Bucket {
    agent_id: AgentId,
    day: DateTime<Utc>,
    task_count: i32,
    failed_count: i32,
}

/// How many of their tasks are dispatched or running; agents without any are left out.
pub async fn running_task_counts(
    db: &impl ConnectionTrait,
    agents: &[AgentId],
) -> Result<HashMap<AgentId, i32>> {
    let agents = lock::uuids(agents);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select agent_id, count(*)::int as count from agent_task_queue
           where agent_id = any({agents}) and status in ('dispatched', 'running')
           group by agent_id"#
    );
    counts(db, statement).await
}

/// How many tasks they were given in the last 30 days, whatever became of these; agents without any are left out.
pub async fn run_counts_30d(
    db: &impl ConnectionTrait,
    agents: &[AgentId],
) -> Result<HashMap<AgentId, i32>> {
    let agents = lock::uuids(agents);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select agent_id, count(*)::int as count from agent_task_queue
           where agent_id = any({agents}) and created_at > now() - interval '30 days'
           group by agent_id"#
    );
    counts(db, statement).await
}

/// What they finished in the last 30 days by day, oldest first; days without any are left out.
pub async fn activity_30d(
    db: &impl ConnectionTrait,
    agents: &[AgentId],
) -> Result<HashMap<AgentId, Vec<Day>>> {
    let agents = lock::uuids(agents);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select agent_id,
               date_trunc('day', completed_at, 'UTC') as day,
               count(*)::int as task_count,
               (count(*) filter (where status = 'failed'))::int as failed_count
           from agent_task_queue
           where agent_id = any({agents}) and completed_at is not null
               and completed_at > now() - interval '30 days'
           group by agent_id, day
           order by agent_id, day"#
    );
    let mut days: HashMap<AgentId, Vec<Day>> = HashMap::new();
    for Bucket {
        agent_id,
        day,
        task_count,
        failed_count,
    } in Bucket::find_by_statement(statement).all(db).await?
    {
        days.entry(agent_id).or_default().push(Day {
            day,
            task_count,
            failed_count,
        });
    }
    Ok(days)
}

async fn counts(db: &impl ConnectionTrait, statement: Statement) -> Result<HashMap<AgentId, i32>> {
    let counts = Count::find_by_statement(statement).all(db).await?;
    Ok(counts
        .into_iter()
        .map(|Count { agent_id, count }| (agent_id, count))
        .collect())
}
