//! Rows by their ids.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use entity::id::{AgentId, RuntimeId, TaskId};
use entity::{agent, runtime, task};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{Loaders, shared};
use crate::error::Error;

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
