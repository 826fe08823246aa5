//! What is told of agents: presence, counts and history.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use entity::id::AgentId;

use super::Loaders;
use crate::agent::history::{self, History};
use crate::error::Error;
use crate::presence::{self, Presence};

/// Names the presence of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct PresenceOf(pub(in super::super) AgentId);

/// Names how many of an agent's tasks are dispatched or running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct RunningOf(pub(in super::super) AgentId);

/// Names what an agent was given and finished lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct HistoryOf(pub(in super::super) AgentId);

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
