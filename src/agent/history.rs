//! What agents have done: counts for many agents at once, who may see them was decided before.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::id::AgentId;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, raw_sql};

use crate::error::Result;
use crate::task::lock;

/// What an agent was given and finished in the last 30 days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// How many tasks were put on the board for it, whatever became of these.
    pub run_count: i32,
    /// The UTC days with a finished task, oldest first.
    pub days: Vec<Day>,
}

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
struct Running {
    agent_id: AgentId,
    count: i32,
}

#[derive(Debug, FromQueryResult)]
struct Counted {
    agent_id: AgentId,
    day: DateTime<Utc>,
    run_count: i32,
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
           where agent_id = any({agents}) and by_index('at_work', status in ('dispatched', 'running'))
           group by agent_id"#
    );
    let counts = Running::find_by_statement(statement).all(db).await?;
    Ok(counts
        .into_iter()
        .map(|Running { agent_id, count }| (agent_id, count))
        .collect())
}

/// What they did in the last 30 days; agents without anything are left out.
pub async fn last_30_days(
    db: &impl ConnectionTrait,
    agents: &[AgentId],
) -> Result<HashMap<AgentId, History>> {
    let agents = lock::uuids(agents);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select agent_id, utc_midnight(day) as day,
               run_count::int as run_count, task_count::int as task_count, failed_count::int as failed_count
           from agent_activity_30d({agents})
           order by agent_id, day"#
    );
    let mut histories: HashMap<AgentId, History> = HashMap::new();
    for counted in Counted::find_by_statement(statement).all(db).await? {
        let history = histories.entry(counted.agent_id).or_default();
        history.run_count += counted.run_count;
        if counted.task_count > 0 {
            history.days.push(Day {
                day: counted.day,
                task_count: counted.task_count,
                failed_count: counted.failed_count,
            });
        }
    }
    Ok(histories)
}
