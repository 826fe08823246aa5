//! What may happen to a task: the verbs, one file each, and the finders.
//!
//! Every verb that changes what an agent is busy with locks the agent's row in a statement of its own before it
//! touches tasks ([`lock`]). That makes capacity and serialisation exact, and, being the one order in which rows are
//! locked, keeps any two verbs from waiting for each other.

pub mod cancel;
pub mod claim;
pub mod enqueue;
pub mod lapse;
pub mod link;
pub mod list;
pub(crate) mod lock;
mod many;
pub mod progress;
pub mod rerun;
pub mod retry;
pub mod session;
pub mod settle;
mod shown;
mod start;
pub mod together;
pub mod transcript;
pub mod waiting;

use entity::id::{AgentId, ClaimToken, IssueId, RuntimeId, TaskId, WorkspaceId};
use entity::task;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select, Statement, raw_sql,
};

use crate::auth::{Daemon, Viewer};
use crate::error::{Error, Result};

pub use many::Columns;

/// Proof that a daemon was given a task. Without a token only a task that has none is held: the legacy form.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Which task.
    pub task_id: TaskId,
    /// The fence: a later claim of the same task has another one.
    pub token: Option<ClaimToken>,
}

/// Finds a task that the viewer may see.
pub async fn find(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    id: TaskId,
) -> Result<Option<task::Model>> {
    Ok(task::Entity::find_by_id(id)
        .filter(viewer.tasks())
        .one(db)
        .await?)
}

/// Finds a task of the daemon's runtimes, whoever holds it.
pub(crate) async fn find_of_daemon(
    db: &impl ConnectionTrait,
    daemon: &Daemon,
    id: TaskId,
) -> Result<task::Model> {
    let (workspace_id, daemon_id) = (daemon.workspace_id, daemon.daemon_id.clone());
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select task.*
           from agent_task_queue as task
           join agent_runtime as runtime on runtime.id = task.runtime_id
           where task.id = {id} and task.workspace_id = {workspace_id} and runtime.daemon_id = {daemon_id}"#
    );
    task::Entity::find()
        .from_raw_sql(statement)
        .one(db)
        .await?
        .ok_or(Error::NotFound("task"))
}

/// Which tasks a list has.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In one of these states.
    pub status: Option<Vec<task::Status>>,
    /// Of this agent.
    pub agent_id: Option<AgentId>,
    /// Of this issue.
    pub issue_id: Option<IssueId>,
    /// Of this runtime.
    pub runtime_id: Option<RuntimeId>,
}

impl Filter {
    /// As a condition.
    fn condition(&self) -> Condition {
        Condition::all()
            .add_option(
                self.status
                    .as_ref()
                    .map(|status| task::Column::Status.is_in(status.iter().copied())),
            )
            .add_option(self.agent_id.map(|id| task::Column::AgentId.eq(id)))
            .add_option(self.issue_id.map(|id| task::Column::IssueId.eq(id)))
            .add_option(self.runtime_id.map(|id| task::Column::RuntimeId.eq(id)))
    }
}

/// Where a page ended: the place of its last task in the order of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// When that task was put on the board, in microseconds since 1970.
    pub created_at_micros: i64,
    /// That task.
    pub id: TaskId,
}

impl Place {
    /// The place of a task.
    pub const fn of(task: &task::Model) -> Self {
        Self {
            created_at_micros: task.created_at.timestamp_micros(),
            id: task.id,
        }
    }
}

/// A page of tasks that the viewer may see, newest first; one more than `rows` where there are more.
pub async fn page(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    workspace_id: Option<WorkspaceId>,
    filter: &Filter,
    after: Option<Place>,
    rows: u64,
) -> Result<Vec<task::Model>> {
    let mut tasks: Select<task::Entity> = task::Entity::find()
        .filter(viewer.tasks())
        .filter(filter.condition())
        .order_by_desc(task::Column::CreatedAt)
        .order_by_desc(task::Column::Id)
        .limit(rows + 1);
    if let Some(id) = workspace_id {
        tasks = tasks.filter(task::Column::WorkspaceId.eq(id));
    }
    if let Some(place) = after {
        tasks = tasks.filter(behind(place)?);
    }
    Ok(tasks.all(db).await?)
}

/// What comes behind a place in a list. A row comparison, so that the index is entered at the place.
fn behind(place: Place) -> Result<Expr> {
    let created_at = chrono::DateTime::from_timestamp_micros(place.created_at_micros)
        .ok_or_else(|| Error::bad_input("after", "is not a cursor of this list"))?;
    let columns =
        [task::Column::CreatedAt, task::Column::Id].map(|column| Expr::col((task::Entity, column)));
    Ok(Expr::tuple(columns).lt(Expr::tuple([Expr::val(created_at), Expr::val(place.id.0)])))
}

/// The agents' latest outcomes: for each the last task that completed or failed, a cancelled one never hiding it.
///
/// Postgres goes through all that a page of the index has of an agent, though it is asked for the first, and of a busy
/// agent that may be two hundred. So it is asked for the first of the last day, which are few, and only if there is none
/// for the first of all. Either way it is the same task.
pub async fn latest_outcomes(
    db: &impl ConnectionTrait,
    agents: &[AgentId],
    columns: &Columns,
) -> Result<Vec<task::Model>> {
    let read = columns.of("task");
    let latest = |since: &str| {
        format!(
            "(select {read} from agent_task_queue as task
              where task.agent_id = wanted.agent_id and task.status in ('completed', 'failed') {since}
              order by task.completed_at desc nulls last
              limit 1)"
        )
    };
    let of_the_day = latest("and task.completed_at > now() - interval '1 day'");
    let of_all = latest("");
    let sql = format!(
        "select latest.*
         from unnest($1::uuid[]) as wanted (agent_id)
         cross join lateral ({of_the_day} union all {of_all} limit 1) as latest"
    );
    let agents = [lock::uuids(agents).into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, agents);
    Ok(many::read(db, columns, statement).await?)
}

/// The active tasks of a workspace that the viewer may see, oldest first.
pub async fn active(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    workspace_id: WorkspaceId,
    columns: &Columns,
) -> Result<Vec<task::Model>> {
    let tasks = task::Entity::find()
        .select_only()
        .columns(columns.read())
        .filter(viewer.tasks())
        .filter(task::Column::WorkspaceId.eq(workspace_id))
        .filter(active_by("active"));
    let mut tasks = many::read(db, columns, tasks.build(DbBackend::Postgres)).await?;
    // Here, because Postgres would form every row anew to sort it.
    tasks.sort_unstable_by_key(|task| (task.created_at, task.id));
    Ok(tasks)
}

/// Queued, dispatched or running; in literals, because a generic plan cannot match a parameter with the condition of a
/// partial index.
const ACTIVE: &str = r#""agent_task_queue"."status" in ('queued', 'dispatched', 'running')"#;

/// Queued, dispatched or running.
pub(crate) fn is_active() -> Expr {
    Expr::cust(ACTIVE)
}

/// The same, by way of the index of this name.
pub(crate) fn active_by(index: &str) -> Expr {
    by_index(index, ACTIVE)
}

/// A condition on the status that leads to the index of this name.
fn by_index(name: &str, condition: &str) -> Expr {
    Expr::cust(format!("by_index('{name}', {condition})"))
}
