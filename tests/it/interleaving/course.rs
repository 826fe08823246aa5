//! The course of events, followed from the log in its order. Every state that was ever committed is passed through, so
//! what no observer caught is seen here.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use entity::id::TaskId;
use entity::task::Status;
use sea_orm::{ActiveEnum, FromQueryResult};
use uuid::Uuid;

use crate::crowd::Crowd;
use crate::harness::TestDatabase;

/// How far the log was followed, and where that led.
#[derive(Default)]
pub(super) struct Course {
    position: i64,
    tasks: HashMap<Uuid, Passing>,
    /// How many events of each kind were passed.
    passed: BTreeMap<String, usize>,
}

/// How much has happened.
impl fmt::Debug for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tasks, {:?}", self.tasks.len(), self.passed)
    }
}

/// A task on its way.
#[derive(Clone, Copy, Debug)]
struct Passing {
    status: Status,
    agent: Uuid,
    issue: Option<Uuid>,
    chat: Option<Uuid>,
    autopilot: Option<Uuid>,
    dispatched: i32,
}

#[derive(Debug, FromQueryResult)]
struct Event {
    position: i64,
    kind: String,
    task_id: Uuid,
    agent_id: Uuid,
    issue_id: Option<Uuid>,
    chat_session_id: Option<Uuid>,
    autopilot_run_id: Option<Uuid>,
    from_status: Option<String>,
    to_status: String,
}

/// A task as it is in the end, and what it is a retry of.
#[derive(Debug, FromQueryResult)]
struct Row {
    id: Uuid,
    status: String,
    deliveries: i32,
    attempt: i32,
    parent_task_id: Option<Uuid>,
    /// Whether the parent earned a retry of itself.
    earned: Option<bool>,
    parent_attempt: Option<i32>,
}

impl Course {
    /// Follows the log to its end, while nobody asks for anything. In words, what should not have happened.
    pub(super) async fn follow(
        &mut self,
        database: &TestDatabase,
        crowd: &Crowd<'_>,
    ) -> Result<(), String> {
        let capacity = capacities(database).await;
        let from = self.position;
        let events = database
            .rows(&format!(
                "select position, kind, task_id, event.agent_id, event.issue_id, chat_session_id, autopilot_run_id,
                     from_status, to_status
                 from task_event as event join agent_task_queue as task on task.id = event.task_id
                 where position > {from} order by position"
            ))
            .await;
        for row in events {
            let event = Event::from_query_result(&row, "").unwrap();
            self.position = event.position;
            *self.passed.entry(event.kind.clone()).or_default() += 1;
            self.step(&event, &capacity)
                .map_err(|broken| format!("{broken}: {event:?}"))?;
        }
        self.arrive(database, crowd).await
    }

    /// Passes on by an event.
    fn step(&mut self, event: &Event, capacity: &HashMap<Uuid, usize>) -> Result<(), String> {
        let to = Status::try_from_value(&event.to_status).unwrap();
        let before = self.tasks.get(&event.task_id).copied();
        let known = before.map(|task| task.status.to_value());
        if known != event.from_status {
            return Err(format!("the chain is broken: the task was {known:?}"));
        }
        match before {
            None if event.kind == "queued" && to == Status::Queued => {}
            None => {
                return Err(
                    "a task began with something else than being put on the board".to_owned(),
                );
            }
            // An issue may be attached after the end; the rest belongs to work.
            Some(task) if task.status == to => {
                let fits = match event.kind.as_str() {
                    "linked" => true,
                    "progress" | "session_pinned" => is_at_work(to),
                    _ => false,
                };
                if !fits {
                    return Err(format!("nothing that can happen to a task that is {to:?}"));
                }
            }
            Some(task) if !task.status.next().contains(&to) => {
                return Err(format!("no way leads from {:?}", task.status));
            }
            Some(_) => {}
        }
        let task = Passing {
            status: to,
            agent: event.agent_id,
            issue: event.issue_id,
            chat: event.chat_session_id,
            autopilot: event.autopilot_run_id,
            dispatched: before.map_or(0, |task| task.dispatched)
                + i32::from(event.kind == "dispatched"),
        };
        self.tasks.insert(event.task_id, task);
        self.check_agent(event.task_id, task, capacity)
    }

    /// What an agent has to do now: no more than it may, and no two that collide.
    fn check_agent(
        &self,
        id: Uuid,
        task: Passing,
        capacity: &HashMap<Uuid, usize>,
    ) -> Result<(), String> {
        if !is_at_work(task.status) {
            return Ok(());
        }
        let beside = self
            .tasks
            .iter()
            .filter(|(_, other)| other.agent == task.agent && is_at_work(other.status));
        let beside: Vec<_> = beside.collect();
        if beside.len() > capacity[&task.agent] {
            return Err(format!("the agent has {} tasks at once", beside.len()));
        }
        match beside
            .iter()
            .find(|(other_id, other)| **other_id != id && task.collides(other))
        {
            Some((other, _)) => Err(format!("beside {other}")),
            None => Ok(()),
        }
    }

    /// Compares where the log led with what is on the board, and the claims with what daemons were told.
    async fn arrive(&self, database: &TestDatabase, crowd: &Crowd<'_>) -> Result<(), String> {
        let rows = database
            .rows(
                "select task.id, task.status, task.deliveries, task.attempt, task.parent_task_id,
                     parent.attempt as parent_attempt,
                     parent.failure_reason in ('runtime_offline', 'runtime_recovery', 'timeout')
                         and parent.attempt < parent.max_attempts and parent.autopilot_run_id is null
                         and (parent.issue_id is not null or parent.chat_session_id is not null) as earned
                 from agent_task_queue as task left join agent_task_queue as parent on parent.id = task.parent_task_id",
            )
            .await;
        if rows.len() != self.tasks.len() {
            return Err(format!(
                "{} tasks are on the board, {} in the log",
                rows.len(),
                self.tasks.len()
            ));
        }
        let learned = crowd.learned();
        let (mut retried, mut handed_out) = (HashMap::new(), 0);
        for row in rows {
            let row = Row::from_query_result(&row, "").unwrap();
            let followed = self.tasks[&row.id];
            if (followed.status.to_value(), followed.dispatched)
                != (row.status.clone(), row.deliveries)
            {
                return Err(format!("the log led to {followed:?}: {row:?}"));
            }
            handed_out += row.deliveries;
            let Some(parent) = row.parent_task_id else {
                continue;
            };
            if row.parent_attempt != Some(row.attempt - 1) {
                return Err(format!("the tries are not counted: {row:?}"));
            }
            let by_hand = learned.by_hand.contains(&TaskId(row.id));
            if !by_hand && (row.earned != Some(true) || retried.insert(parent, row.id).is_some()) {
                return Err(format!("a retry that was not earned: {row:?}"));
            }
        }
        if usize::try_from(handed_out).unwrap() != learned.given.len() {
            return Err(format!(
                "{handed_out} claims for {} tokens",
                learned.given.len()
            ));
        }
        Ok(())
    }
}

impl Passing {
    /// Whether two tasks of one agent may not be at work at once.
    fn collides(&self, other: &Self) -> bool {
        let links = |task: &Self| task.issue.or(task.chat).or(task.autopilot);
        self.issue.is_some() && self.issue == other.issue
            || self.chat.is_some() && self.chat == other.chat
            || links(self).or(links(other)).is_none()
    }
}

fn is_at_work(status: Status) -> bool {
    matches!(status, Status::Dispatched | Status::Running)
}

/// How much each agent may do at once.
async fn capacities(database: &TestDatabase) -> HashMap<Uuid, usize> {
    let rows = database
        .rows("select id, max_concurrent_tasks from agent")
        .await;
    let capacity = |row: &sea_orm::QueryResult| {
        let most: i32 = row.try_get("", "max_concurrent_tasks").unwrap();
        (
            row.try_get("", "id").unwrap(),
            usize::try_from(most).unwrap(),
        )
    };
    rows.iter().map(capacity).collect()
}
