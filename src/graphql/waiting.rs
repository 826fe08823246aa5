//! `TaskWaiting`, `ClaimCandidate`: why a queued task waits.

use async_graphql::{Context, Object, Result};
use entity::waiting::BlockReason;

use super::loader::WaitingOf;
use super::task::Task;
use super::{connection, context};
use crate::error::{self, Error};
use crate::task::waiting::{Blocker, Waiting};

/// Where a queued task stands, and what holds it back.
#[derive(Debug)]
pub(super) struct TaskWaiting(Waiting);

/// Where a queued task stands, and what holds it back.
#[Object]
impl TaskWaiting {
    /// Its place in the line of its runtime, from 1; those that are held back count.
    async fn position(&self) -> i32 {
        self.0.position
    }

    /// What holds it back; empty where it is only not its turn yet.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn blocked_by(&self) -> Vec<ClaimBlocker> {
        self.0
            .blocked_by
            .iter()
            .copied()
            .map(ClaimBlocker)
            .collect()
    }
}

/// Loads where a task stands; none unless it is queued.
pub(super) async fn load(
    ctx: &Context<'_>,
    task: &entity::task::Model,
) -> error::Result<Option<TaskWaiting>> {
    if task.status != entity::task::Status::Queued {
        return Ok(None);
    }
    Ok(context::loaders(ctx)?
        .load_one(WaitingOf(task.id))
        .await?
        .map(TaskWaiting))
}

/// What holds back a queued task.
#[derive(Debug)]
pub(super) struct ClaimBlocker(Blocker);

/// What holds back a queued task.
#[Object]
impl ClaimBlocker {
    /// In what way.
    async fn reason(&self) -> BlockReason {
        self.0.reason
    }

    /// The active task that it waits for, where it is one.
    async fn task(&self, ctx: &Context<'_>) -> Result<Option<Task>> {
        let Some(id) = self.0.task_id else {
            return Ok(None);
        };
        let task = context::loaders(ctx)?
            .load_one(id)
            .await
            .map_err(Error::from)?;
        Ok(task.map(Task::from))
    }
}

/// A queued task in the order of claiming.
#[derive(Debug)]
pub(super) struct ClaimCandidate(pub(super) Task);

/// A queued task in the order of claiming.
#[Object]
impl ClaimCandidate {
    /// The task.
    async fn task(&self) -> &Task {
        &self.0
    }

    /// Whether nothing holds it back.
    async fn claimable(&self, ctx: &Context<'_>) -> Result<bool> {
        let waiting = load(ctx, self.0.row()).await?;
        Ok(waiting.is_some_and(|waiting| waiting.0.blocked_by.is_empty()))
    }

    /// What holds it back.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn blocked_by(&self, ctx: &Context<'_>) -> Result<Vec<ClaimBlocker>> {
        let waiting = load(ctx, self.0.row()).await?;
        Ok(waiting
            .map(|waiting| waiting.0.blocked_by.into_iter().map(ClaimBlocker).collect())
            .unwrap_or_default())
    }
}
