//! Batched reads of what objects refer to. They authorise nothing: whoever may see a task may see its agent, its
//! parent and what it tells of itself.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use entity::id::{AgentId, RuntimeId, TaskId};
use entity::{agent, runtime, task, task_usage};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder};

use super::context::Board;
use crate::error::Error;
use crate::presence::{self, Presence};
use crate::settings::Settings;

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
