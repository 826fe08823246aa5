//! Putting work on the board.

pub(super) mod together;

use entity::id::{AgentId, AutopilotRunId, ChatSessionId, CommentId, IssueId, TaskId};
use entity::{agent, task};
use sea_orm::sea_query::LockType;
use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, Statement, raw_sql};
use serde_json::{Value, json};

use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::limits;

/// A task to be put on the board.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Who is to do it.
    pub agent_id: AgentId,
    /// The issue that it belongs to.
    pub issue_id: Option<IssueId>,
    /// The chat session that it belongs to.
    pub chat_session_id: Option<ChatSessionId>,
    /// The run of an autopilot that it belongs to.
    pub autopilot_run_id: Option<AutopilotRunId>,
    /// Higher goes first; from 0.
    pub priority: i32,
    /// The comment that asked for it.
    pub trigger_comment_id: Option<CommentId>,
    /// What asked for it, in a line.
    pub trigger_summary: Option<String>,
    /// What the agent is to know.
    pub context: Option<Value>,
    /// Whether no earlier session may be resumed.
    pub force_fresh_session: bool,
    /// Whether the agent acts as the leader of a squad.
    pub is_leader_task: bool,
    /// How many tries the task may have.
    pub max_attempts: i32,
}

impl NewTask {
    /// How many tries a task may have where nobody says.
    pub const MAX_ATTEMPTS: i32 = 2;

    /// A task for an agent, linked to nothing.
    pub const fn of(agent_id: AgentId) -> Self {
        Self {
            agent_id,
            issue_id: None,
            chat_session_id: None,
            autopilot_run_id: None,
            priority: 0,
            trigger_comment_id: None,
            trigger_summary: None,
            context: None,
            force_fresh_session: false,
            is_leader_task: false,
            max_attempts: Self::MAX_ATTEMPTS,
        }
    }

    /// Refuses what can never be right.
    fn check(&self) -> Result<()> {
        limits::range("input.priority", self.priority, 0..=i32::MAX)?;
        limits::range("input.maxAttempts", self.max_attempts, 1..=100)?;
        limits::text("input.triggerSummary", self.trigger_summary.as_deref())?;
        limits::json("input.context", self.context.as_ref())
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Enqueued {
    /// The task on the board.
    pub task: task::Model,
    /// Whether it was there before: the issue and agent already had a queued or dispatched task.
    pub deduplicated: bool,
}

/// Puts a task on the board, unless the same issue and agent already have one that waits: then that one is the
/// answer.
pub async fn enqueue(txn: &DatabaseTransaction, viewer: &Viewer, new: NewTask) -> Result<Enqueued> {
    viewer.require_host()?;
    new.check()?;
    // Held until the task is on the board, so that whoever archives the agent meanwhile waits, and takes it off again. No
    // other verb waits for this, nor this for any other.
    let agent = agent::Entity::find_by_id(new.agent_id)
        .filter(viewer.agents())
        .lock(LockType::KeyShare)
        .one(txn)
        .await?
        .ok_or(Error::NotFound("agent"))?;
    if agent.archived_at.is_some() {
        return Err(archived());
    }
    loop {
        if let Some(task) = insert(txn, &agent, &new).await? {
            return Ok(Enqueued {
                task,
                deduplicated: false,
            });
        }
        // The one in the way may have been started or ended since: then there is room after all.
        if let Some(task) = pending(txn, &agent, new.issue_id).await? {
            return Ok(Enqueued {
                task,
                deduplicated: true,
            });
        }
    }
}

/// Why an archived agent is given nothing.
fn archived() -> Error {
    Error::precondition("the agent is archived")
}

/// A task whose whole description is in its context, to be put on the board without a link: the agent is to bring about
/// what it will be linked to.
#[derive(Clone, Debug)]
pub struct QuickCreate {
    /// Who is to do it.
    pub agent_id: AgentId,
    /// What to do.
    pub prompt: String,
    /// Higher goes first; from 0.
    pub priority: i32,
    /// What else the agent is to know; an object.
    pub context: Option<Value>,
}

impl QuickCreate {
    /// The task that it is. Its context says `type` and `prompt`, by which a daemon knows it.
    pub(super) fn into_task(self) -> Result<NewTask> {
        limits::name(
            "input.prompt",
            self.prompt.lines().next().unwrap_or_default(),
        )?;
        limits::text("input.prompt", Some(&self.prompt))?;
        let Some(mut context) = self
            .context
            .unwrap_or_else(|| json!({}))
            .as_object()
            .cloned()
        else {
            return Err(Error::bad_input("input.context", "must be an object"));
        };
        context.insert("type".to_owned(), json!("quick_create"));
        context.insert("prompt".to_owned(), json!(self.prompt));
        Ok(NewTask {
            priority: self.priority,
            context: Some(context.into()),
            ..NewTask::of(self.agent_id)
        })
    }
}

/// Inserts the task, unless the slot of its issue and agent is taken.
async fn insert(
    txn: &DatabaseTransaction,
    agent: &agent::Model,
    new: &NewTask,
) -> Result<Option<task::Model>> {
    let id = TaskId::generate();
    let (workspace_id, agent_id, runtime_id) = (agent.workspace_id, agent.id, agent.runtime_id);
    let NewTask {
        issue_id,
        chat_session_id,
        autopilot_run_id,
        priority,
        trigger_comment_id,
        trigger_summary,
        context,
        force_fresh_session,
        is_leader_task,
        max_attempts,
        ..
    } = new.clone();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"insert into agent_task_queue (
               id, workspace_id, agent_id, runtime_id, issue_id, chat_session_id, autopilot_run_id, status, priority,
               trigger_comment_id, trigger_summary, context, force_fresh_session, is_leader_task, max_attempts)
           values (
               {id}, {workspace_id}, {agent_id}, {runtime_id}, {issue_id}, {chat_session_id}, {autopilot_run_id},
               'queued', {priority}, {trigger_comment_id}, {trigger_summary}, {context}, {force_fresh_session},
               {is_leader_task}, {max_attempts})
           on conflict (issue_id, agent_id) where status in ('queued', 'dispatched') do nothing
           returning *"#
    );
    Ok(task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?)
}

/// The queued or dispatched task of the issue and agent.
async fn pending(
    txn: &DatabaseTransaction,
    agent: &agent::Model,
    issue_id: Option<IssueId>,
) -> Result<Option<task::Model>> {
    let (workspace_id, agent_id) = (agent.workspace_id, agent.id);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select * from agent_task_queue
           where issue_id = {issue_id} and agent_id = {agent_id} and workspace_id = {workspace_id}
               and status in ('queued', 'dispatched')"#
    );
    Ok(task::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?)
}
