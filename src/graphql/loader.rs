//! Batched reads of what objects refer to. They authorise nothing: whoever may see a task may see its agent, its
//! parent and what it tells of itself.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use entity::id::{AgentId, RuntimeId, TaskId};
use entity::{agent, runtime, task, task_usage};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder};

use super::context::Board;
use crate::agent::history::{self, History};
use crate::error::Error;
use crate::presence::{self, Presence};
use crate::settings::Settings;
use crate::task::waiting::Waiting;

/// The batched reads over one pool.
#[derive(Debug)]
pub(super) struct Loaders {
    db: DatabaseConnection,
    settings: Settings,
}

/// Makes the batched reads. They keep nothing, so that one value serves all requests.
pub(super) fn loaders(board: &Board) -> DataLoader<Loaders> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a batch lives no longer than the request that waits for it"
    )]
    let spawn = tokio::spawn;
    DataLoader::new(
        Loaders {
            db: board.db.clone(),
            settings: board.settings.clone(),
        },
        spawn,
    )
}

/// Names the presence of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PresenceOf(pub(super) AgentId);

/// Names what a task used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct UsageOf(pub(super) TaskId);

/// Names how many of an agent's tasks are dispatched or running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RunningOf(pub(super) AgentId);

/// Names what an agent was given and finished lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct HistoryOf(pub(super) AgentId);

/// Names where a queued task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct WaitingOf(pub(super) TaskId);

impl Loader<RunningOf> for Loaders {
    type Value = i32;
    type Error = Arc<Error>;

    async fn load(
        &self,
        keys: &[RunningOf],
    ) -> Result<HashMap<RunningOf, Self::Value>, Self::Error> {
        let agents: Vec<AgentId> = keys.iter().map(|key| key.0).collect();
        let counts = history::running_task_counts(&self.db, &agents)
            .await
            .map_err(Arc::new)?;
        Ok(counts
            .into_iter()
            .map(|(id, count)| (RunningOf(id), count))
            .collect())
    }
}

impl Loader<HistoryOf> for Loaders {
    type Value = Arc<History>;
    type Error = Arc<Error>;

    async fn load(
        &self,
        keys: &[HistoryOf],
    ) -> Result<HashMap<HistoryOf, Self::Value>, Self::Error> {
        let agents: Vec<AgentId> = keys.iter().map(|key| key.0).collect();
        let histories = history::last_30_days(&self.db, &agents)
            .await
            .map_err(Arc::new)?;
        Ok(histories
            .into_iter()
            .map(|(id, history)| (HistoryOf(id), Arc::new(history)))
            .collect())
    }
}

impl Loader<WaitingOf> for Loaders {
    type Value = Waiting;
    type Error = Arc<Error>;

    async fn load(
        &self,
        keys: &[WaitingOf],
    ) -> Result<HashMap<WaitingOf, Self::Value>, Self::Error> {
        let tasks: Vec<TaskId> = keys.iter().map(|key| key.0).collect();
        let waiting = crate::task::waiting::of_tasks(&self.db, &tasks)
            .await
            .map_err(Arc::new)?;
        Ok(waiting
            .into_iter()
            .map(|(id, waiting)| (WaitingOf(id), waiting))
            .collect())
    }
}

impl Loader<AgentId> for Loaders {
    type Value = agent::Model;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[AgentId]) -> Result<HashMap<AgentId, Self::Value>, Self::Error> {
        let agents = agent::Entity::find()
            .filter(agent::Column::Id.is_in(keys.iter().copied()))
            .all(&self.db)
            .await;
        Ok(agents
            .map_err(shared)?
            .into_iter()
            .map(|agent| (agent.id, agent))
            .collect())
    }
}

impl Loader<RuntimeId> for Loaders {
    type Value = runtime::Model;
    type Error = Arc<Error>;

    async fn load(
        &self,
        keys: &[RuntimeId],
    ) -> Result<HashMap<RuntimeId, Self::Value>, Self::Error> {
        let runtimes = runtime::Entity::find()
            .filter(runtime::Column::Id.is_in(keys.iter().copied()))
            .all(&self.db)
            .await;
        Ok(runtimes
            .map_err(shared)?
            .into_iter()
            .map(|runtime| (runtime.id, runtime))
            .collect())
    }
}

impl Loader<TaskId> for Loaders {
    type Value = task::Model;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[TaskId]) -> Result<HashMap<TaskId, Self::Value>, Self::Error> {
        let tasks = task::Entity::find()
            .filter(task::Column::Id.is_in(keys.iter().copied()))
            .all(&self.db)
            .await;
        Ok(tasks
            .map_err(shared)?
            .into_iter()
            .map(|task| (task.id, task))
            .collect())
    }
}

impl Loader<PresenceOf> for Loaders {
    type Value = Presence;
    type Error = Arc<Error>;

    async fn load(
        &self,
        keys: &[PresenceOf],
    ) -> Result<HashMap<PresenceOf, Self::Value>, Self::Error> {
        let agents: Vec<AgentId> = keys.iter().map(|key| key.0).collect();
        let observed = presence::observe(&self.db, &self.settings, &agents)
            .await
            .map_err(Arc::new)?;
        Ok(observed
            .into_iter()
            .map(|observed| (PresenceOf(observed.presence.agent_id), observed.presence))
            .collect())
    }
}

impl Loader<UsageOf> for Loaders {
    type Value = Vec<task_usage::Model>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[UsageOf]) -> Result<HashMap<UsageOf, Self::Value>, Self::Error> {
        let rows = task_usage::Entity::find()
            .filter(task_usage::Column::TaskId.is_in(keys.iter().map(|key| key.0)))
            .order_by_asc(task_usage::Column::Provider)
            .order_by_asc(task_usage::Column::Model)
            .all(&self.db)
            .await
            .map_err(shared)?;
        let mut usage: HashMap<UsageOf, Self::Value> = HashMap::new();
        for row in rows {
            usage.entry(UsageOf(row.task_id)).or_default().push(row);
        }
        Ok(usage)
    }
}

/// Everyone who waits for the batch gets the error.
fn shared(error: sea_orm::DbErr) -> Arc<Error> {
    Arc::new(Error::from(error))
}
