//! What is told of agents: presence and counts.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use entity::id::AgentId;

use super::Loaders;
use crate::agent::history;
use crate::error::Error;
use crate::presence::{self, Presence};

/// Names the presence of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct PresenceOf(pub(in super::super) AgentId);

/// Names how many of an agent's tasks are dispatched or running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct RunningOf(pub(in super::super) AgentId);

/// Names how many tasks an agent was given lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct RunsOf(pub(in super::super) AgentId);

/// Names what an agent finished lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct ActivityOf(pub(in super::super) AgentId);

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

impl Loader<RunsOf> for Loaders {
    type Value = i32;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[RunsOf]) -> Result<HashMap<RunsOf, Self::Value>, Self::Error> {
        let agents: Vec<AgentId> = keys.iter().map(|key| key.0).collect();
        let counts = history::run_counts_30d(&self.db, &agents)
            .await
            .map_err(Arc::new)?;
        Ok(counts
            .into_iter()
            .map(|(id, count)| (RunsOf(id), count))
            .collect())
    }
}

impl Loader<ActivityOf> for Loaders {
    type Value = Vec<history::Day>;
    type Error = Arc<Error>;

    async fn load(
        &self,
        keys: &[ActivityOf],
    ) -> Result<HashMap<ActivityOf, Self::Value>, Self::Error> {
        let agents: Vec<AgentId> = keys.iter().map(|key| key.0).collect();
        let days = history::activity_30d(&self.db, &agents)
            .await
            .map_err(Arc::new)?;
        Ok(days
            .into_iter()
            .map(|(id, days)| (ActivityOf(id), days))
            .collect())
    }
}
