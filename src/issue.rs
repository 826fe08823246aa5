//! The projection of an issue: the tasks that name it. Callboard knows of an issue nothing else.

use entity::id::{AgentId, IssueId};
use entity::task;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::auth::Viewer;
use crate::error::Result;
use crate::task::is_active;

/// Whether any task that the viewer may see names the issue.
pub async fn exists(db: &impl ConnectionTrait, viewer: &Viewer, id: IssueId) -> Result<bool> {
    let newest = task::Entity::find()
        .filter(viewer.tasks())
        .filter(task::Column::IssueId.eq(id))
        .limit(1);
    Ok(newest.one(db).await?.is_some())
}

/// The issue's active tasks that the viewer may see, newest first.
pub async fn active_tasks(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    id: IssueId,
) -> Result<Vec<task::Model>> {
    Ok(task::Entity::find()
        .filter(viewer.tasks())
        .filter(task::Column::IssueId.eq(id))
        .filter(is_active())
        .order_by_desc(task::Column::CreatedAt)
        .order_by_desc(task::Column::Id)
        .all(db)
        .await?)
}

/// The same as a banner shows them: what runs, then what is dispatched, then what waits; newest first in each.
pub async fn banner(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    id: IssueId,
) -> Result<Vec<task::Model>> {
    let mut tasks = active_tasks(db, viewer, id).await?;
    tasks.sort_by_key(|task| match task.status {
        task::Status::Running => 0,
        task::Status::Dispatched => 1,
        task::Status::Queued
        | task::Status::Completed
        | task::Status::Failed
        | task::Status::Cancelled => 2,
    });
    Ok(tasks)
}

/// The agent's newest task on the issue, whatever became of it.
pub async fn latest_task(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    id: IssueId,
    agent_id: AgentId,
) -> Result<Option<task::Model>> {
    Ok(task::Entity::find()
        .filter(viewer.tasks())
        .filter(task::Column::IssueId.eq(id))
        .filter(task::Column::AgentId.eq(agent_id))
        .order_by_desc(task::Column::CreatedAt)
        .order_by_desc(task::Column::Id)
        .one(db)
        .await?)
}
