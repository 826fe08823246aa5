//! Pages of tasks: cursors, once for every list.

use async_graphql::{Object, SimpleObject};
use entity::id::{AgentId, TaskId, WorkspaceId};
use uuid::Uuid;

use super::context;
use super::loader::PageOf;
use super::task::Task;
use crate::error::{Error, Result};
use crate::limits;
use crate::task::{self, Filter, Place};

/// Which page of a list.
#[derive(Debug)]
pub(super) struct Page {
    /// How many rows.
    pub(super) first: i32,
    /// After which `endCursor`.
    pub(super) after: Option<String>,
}

impl Page {
    /// How many rows behind which place, if that can be.
    fn check(&self) -> Result<(usize, Option<Place>)> {
        limits::range("first", self.first, 0..=limits::PAGE_ROWS)?;
        let after = self.after.as_deref().map(decode).transpose()?;
        Ok((usize::try_from(self.first).unwrap_or(0), after))
    }
}

/// A page of tasks, newest first.
#[derive(Debug)]
pub(super) struct TaskConnection {
    tasks: Vec<entity::task::Model>,
    has_next_page: bool,
}

impl TaskConnection {
    /// A page of so many rows; there may be one more, which says that the list goes on.
    fn of(mut tasks: Vec<entity::task::Model>, rows: usize) -> Self {
        let has_next_page = tasks.len() > rows;
        tasks.truncate(rows);
        Self {
            tasks,
            has_next_page,
        }
    }
}

/// A task on a page.
#[derive(Debug, SimpleObject)]
pub(super) struct TaskEdge {
    /// Where it stands in the list; give it as `after` to continue behind it.
    cursor: String,
    /// The task.
    node: Task,
}

/// Whether a list goes on, and from where.
#[derive(Debug, SimpleObject)]
pub(super) struct PageInfo {
    /// Whether there is a page after this one.
    has_next_page: bool,
    /// What to give as `after` for the next page; null on an empty page.
    end_cursor: Option<String>,
}

/// A page of tasks, newest first.
#[Object]
impl TaskConnection {
    /// The tasks, each with its cursor.
    async fn edges(&self) -> Vec<TaskEdge> {
        self.tasks
            .iter()
            .map(|task| TaskEdge {
                cursor: encode(Place::of(task)),
                node: Task::from(task.clone()),
            })
            .collect()
    }

    /// The tasks.
    async fn nodes(&self) -> Vec<Task> {
        self.tasks.iter().cloned().map(Task::from).collect()
    }

    /// Whether the list goes on.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_next_page: self.has_next_page,
            end_cursor: self.tasks.last().map(|task| encode(Place::of(task))),
        }
    }
}

/// How complex a page is: a tenth of what its rows would be one by one, as they are read at once. A page of more rows
/// than there may be is refused when it is read, so it is not reckoned with here, where it might not even fit.
pub(super) fn cost(first: i32, child_complexity: usize) -> usize {
    let rows = usize::try_from(first.clamp(0, limits::PAGE_ROWS)).unwrap_or(0);
    rows.saturating_mul(child_complexity) / 10 + 1
}

/// How complex a list is that has no pages: as if it had ten rows. So lists within lists, which multiply, soon come to
/// more than a query may.
pub(super) const fn list_cost(child_complexity: usize) -> usize {
    child_complexity.saturating_mul(10).saturating_add(1)
}

/// Reads a page of an agent's tasks that the viewer may see; of several agents at once.
pub(super) async fn tasks_of_agent(
    ctx: &async_graphql::Context<'_>,
    agent_id: AgentId,
    page: Page,
) -> Result<TaskConnection> {
    let (rows, after) = page.check()?;
    let key = PageOf {
        agent_id,
        after,
        rows: rows.try_into().unwrap_or(0),
        viewer: context::viewer(ctx)?.clone(),
    };
    let tasks = context::loaders(ctx)?.load_one(key).await?;
    Ok(TaskConnection::of(tasks.unwrap_or_default(), rows))
}

/// Reads a page of the tasks that the viewer may see.
pub(super) async fn tasks(
    ctx: &async_graphql::Context<'_>,
    workspace_id: Option<WorkspaceId>,
    filter: &Filter,
    page: Page,
) -> Result<TaskConnection> {
    let (rows, after) = page.check()?;
    let (db, viewer) = (context::db(ctx)?, context::viewer(ctx)?);
    let tasks = task::page(
        db,
        viewer,
        workspace_id,
        filter,
        after,
        rows.try_into().unwrap_or(0),
    )
    .await?;
    Ok(TaskConnection::of(tasks, rows))
}

fn encode(place: Place) -> String {
    format!("{:x}-{}", place.created_at_micros, place.id.0.simple())
}

fn decode(text: &str) -> Result<Place> {
    let place = text.split_once('-').and_then(|(micros, id)| {
        Some(Place {
            created_at_micros: i64::from_str_radix(micros, 16).ok()?,
            id: TaskId(Uuid::try_parse(id).ok()?),
        })
    });
    place.ok_or_else(|| Error::bad_input("after", "is not a cursor of this list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_the_way_through_text() {
        let place = Place {
            created_at_micros: 1_790_000_000_123_456,
            id: TaskId::generate(),
        };
        assert_eq!(decode(&encode(place)).unwrap(), place);
    }

    #[test]
    fn what_is_not_a_place_is_refused() {
        for text in ["", "-", "zz-00000000000000000000000000000000", "1f", "1f-x"] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}
