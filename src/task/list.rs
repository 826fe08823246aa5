//! The lists of tasks of several agents or runtimes, each cut off by itself, in one statement for all of them.

use std::cmp::Reverse;
use std::collections::HashMap;

use entity::id::{AgentId, RuntimeId};
use entity::{agent, runtime, task};
use sea_orm::sea_query::{Asterisk, Condition, Expr, ExprTrait, JoinType, Order, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
    QueryTrait, Select,
};
use uuid::Uuid;

use super::{Place, behind, by_index, lock};
use crate::auth::Viewer;
use crate::error::Result;
use crate::limits;

/// How many tasks a page of a line has.
const PAGE: u32 = limits::PAGE_ROWS.unsigned_abs();

/// An order of tasks.
type By = [(task::Column, Order); 3];

/// As they are claimed.
const CLAIMING: By = [
    (task::Column::Priority, Order::Desc),
    (task::Column::CreatedAt, Order::Asc),
    (task::Column::Id, Order::Asc),
];

/// The newest first; what the agent is comes first in the index.
const NEWEST: By = [
    (task::Column::AgentId, Order::Asc),
    (task::Column::CreatedAt, Order::Desc),
    (task::Column::Id, Order::Desc),
];

/// Which of a runtime's tasks are in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// Those that can be claimed.
    Queued,
    /// Those and what is being handed over.
    Pending,
}

/// The lines of runtimes, as far as the viewer may see the tasks in them, in the order of claiming: of each the first page.
pub async fn lines(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    runtimes: &[RuntimeId],
    line: Line,
) -> Result<Vec<task::Model>> {
    let queued = by_index(
        "line_of_runtime",
        r#""agent_task_queue"."status" = 'queued'"#,
    );
    let mut tasks = of_runtimes(db, viewer, runtimes, queued).await?;
    if line == Line::Pending {
        // No index has both in one order.
        let held = r#""agent_task_queue"."status" in ('dispatched', 'running')"#;
        let dispatched = by_index("held_by_runtime", held).and(by_index(
            "none",
            r#""agent_task_queue"."status" = 'dispatched'"#,
        ));
        tasks.extend(of_runtimes(db, viewer, runtimes, dispatched).await?);
        tasks.sort_by_key(|task| (Reverse(task.priority), task.created_at, task.id));
        let mut listed: HashMap<RuntimeId, u32> = HashMap::new();
        tasks.retain(|task| {
            let listed = listed.entry(task.runtime_id).or_default();
            *listed += 1;
            *listed <= PAGE
        });
    }
    Ok(tasks)
}

/// Tasks of runtimes in some state, in the order of claiming: of each the first page.
async fn of_runtimes(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    runtimes: &[RuntimeId],
    state: Expr,
) -> Result<Vec<task::Model>> {
    let tasks = task::Entity::find()
        .filter(viewer.tasks())
        .filter(state)
        .limit(u64::from(PAGE));
    let ids = runtimes.iter().map(|id| id.0).collect();
    of_each::<runtime::Entity>(db, task::Column::RuntimeId, ids, tasks, CLAIMING).await
}

/// A page of the tasks of each agent that the viewer may see, newest first; of each one more than `rows` where there are
/// more.
pub async fn pages(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    agents: &[AgentId],
    after: Option<Place>,
    rows: u64,
) -> Result<Vec<task::Model>> {
    let mut tasks = task::Entity::find().filter(viewer.tasks()).limit(rows + 1);
    if let Some(place) = after {
        tasks = tasks.filter(behind(place)?);
    }
    let ids = lock::uuids(agents);
    of_each::<agent::Entity>(db, task::Column::AgentId, ids, tasks, NEWEST).await
}

/// Selects tasks for each owner by itself.
async fn of_each<O: EntityTrait>(
    db: &impl ConnectionTrait,
    owner: task::Column,
    ids: Vec<Uuid>,
    tasks: Select<task::Entity>,
    by: By,
) -> Result<Vec<task::Model>> {
    let mut tasks = tasks.into_query();
    tasks
        .and_where(owner.into_expr().equals(("owner", "id")))
        .and_where(
            task::Column::WorkspaceId
                .into_expr()
                .equals(("owner", "workspace_id")),
        );
    let mut each = Query::select();
    for (column, order) in by {
        tasks.order_by((task::Entity, column), order.clone());
        each.order_by(("found", column), order);
    }
    each.column(("found", Asterisk))
        .from_as(O::default(), "owner")
        .join_lateral(JoinType::InnerJoin, tasks, "found", Condition::all())
        .and_where(Expr::col(("owner", "id")).is_in(ids));
    let statement = db.get_database_backend().build(&each);
    Ok(task::Model::find_by_statement(statement).all(db).await?)
}
