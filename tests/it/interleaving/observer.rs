//! Somebody who looks at the board all the while, on a connection of their own: each look is at one committed state.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::TestDatabase;

/// What must be nowhere in any committed state. Written here, and not taken from the functions that the claim uses.
const BROKEN: &str = "
    with at_work as (select * from agent_task_queue where status in ('dispatched', 'running'))
    select 'agent ' || agent.id || ' has more to do than it may' as broken
    from agent
    where max_concurrent_tasks < (select count(*) from at_work where agent_id = agent.id)
    union all
    select 'tasks ' || a.id || ' and ' || b.id || ' are at work at once'
    from at_work as a join at_work as b on a.agent_id = b.agent_id and a.id < b.id
    where a.issue_id = b.issue_id
        or a.chat_session_id = b.chat_session_id
        or coalesce(a.issue_id, a.chat_session_id, a.autopilot_run_id,
                    b.issue_id, b.chat_session_id, b.autopilot_run_id) is null
    union all
    select 'agent ' || agent.id || ' is ' || agent.status
    from agent
    where agent.status <> case when exists (select from at_work where agent_id = agent.id) then 'working' else 'idle' end
    union all
    select 'task ' || id || ' is held by nobody' from at_work where claim_token is null
    union all
    select 'agent ' || agent.id || ' is archived and has a task ' || task.status
    from agent join agent_task_queue as task on task.agent_id = agent.id
    where agent.archived_at is not null and task.status in ('queued', 'dispatched', 'running')";

/// Whatever is known of tasks that have ended; the issue may still be attached.
const ENDED: &str = "
    select id, (to_jsonb(task) - 'issue_id')::text as record from agent_task_queue as task
    where status in ('completed', 'failed', 'cancelled')";

/// Looks until it is over, and once more. In words, what should not have been seen.
pub(super) async fn observe(
    database: &TestDatabase,
    over: &CancellationToken,
) -> Result<usize, String> {
    let mut looks = 0;
    loop {
        let last = over.is_cancelled();
        if let Some(row) = database.rows(BROKEN).await.first() {
            return Err(row.try_get("", "broken").unwrap());
        }
        looks += 1;
        if last {
            return Ok(looks);
        }
    }
}

/// What has ended, as it was when that was first seen.
#[derive(Debug, Default)]
pub(super) struct Ended(HashMap<Uuid, String>);

impl Ended {
    /// Looks again. In words, what is not as it was.
    pub(super) async fn compare(&mut self, database: &TestDatabase) -> Result<(), String> {
        for row in database.rows(ENDED).await {
            let (id, now): (Uuid, String) = (
                row.try_get("", "id").unwrap(),
                row.try_get("", "record").unwrap(),
            );
            let before = self.0.entry(id).or_insert_with(|| now.clone());
            if *before != now {
                return Err(format!("a task that had ended was {before} and is {now}"));
            }
        }
        Ok(())
    }
}
