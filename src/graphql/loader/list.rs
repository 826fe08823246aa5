//! Lists within lists: what a viewer may see of the agents and tasks of each of several owners.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use entity::id::{AgentId, RuntimeId};
use entity::{agent as agent_row, task as task_row};

use super::{Loaders, grouped};
use crate::agent;
use crate::auth::Viewer;
use crate::error::Error;
use crate::task::Place;
use crate::task::list::{self, Line};

/// Names the agents on a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct AgentsOn {
    /// On which.
    pub(in super::super) runtime_id: RuntimeId,
    /// Who asks.
    pub(in super::super) viewer: Viewer,
}

/// Names a runtime's line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct LineOf {
    /// Whose.
    pub(in super::super) runtime_id: RuntimeId,
    /// What of it.
    pub(in super::super) line: Line,
    /// Who asks.
    pub(in super::super) viewer: Viewer,
}

/// Names a page of an agent's tasks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct PageOf {
    /// Whose.
    pub(in super::super) agent_id: AgentId,
    /// Behind which place.
    pub(in super::super) after: Option<Place>,
    /// How many; one more is found where there are more.
    pub(in super::super) rows: u64,
    /// Who asks.
    pub(in super::super) viewer: Viewer,
}

impl Loader<AgentsOn> for Loaders {
    type Value = Vec<agent_row::Model>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[AgentsOn]) -> Result<HashMap<AgentsOn, Self::Value>, Self::Error> {
        let asked = grouped(keys.iter().map(|key| (&key.viewer, key.runtime_id)));
        let mut agents = HashMap::new();
        for (viewer, runtimes) in asked {
            let found = agent::of_runtimes(&self.db, viewer, &runtimes)
                .await
                .map_err(Arc::new)?;
            let named = found.into_iter().map(|agent| {
                let (runtime_id, viewer) = (agent.runtime_id, viewer.clone());
                (AgentsOn { runtime_id, viewer }, agent)
            });
            agents.extend(grouped(named));
        }
        Ok(agents)
    }
}

impl Loader<LineOf> for Loaders {
    type Value = Vec<task_row::Model>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[LineOf]) -> Result<HashMap<LineOf, Self::Value>, Self::Error> {
        let asked = grouped(
            keys.iter()
                .map(|key| ((&key.viewer, key.line), key.runtime_id)),
        );
        let mut lines = HashMap::new();
        for ((viewer, line), runtimes) in asked {
            let found = list::lines(&self.db, viewer, &runtimes, line)
                .await
                .map_err(Arc::new)?;
            let named = found.into_iter().map(|task| {
                let (runtime_id, viewer) = (task.runtime_id, viewer.clone());
                let key = LineOf {
                    runtime_id,
                    line,
                    viewer,
                };
                (key, task)
            });
            lines.extend(grouped(named));
        }
        Ok(lines)
    }
}

impl Loader<PageOf> for Loaders {
    type Value = Vec<task_row::Model>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[PageOf]) -> Result<HashMap<PageOf, Self::Value>, Self::Error> {
        let asked = grouped(
            keys.iter()
                .map(|key| ((&key.viewer, key.after, key.rows), key.agent_id)),
        );
        let mut pages = HashMap::new();
        for ((viewer, after, rows), agents) in asked {
            let found = list::pages(&self.db, viewer, &agents, after, rows)
                .await
                .map_err(Arc::new)?;
            let named = found.into_iter().map(|task| {
                let (agent_id, viewer) = (task.agent_id, viewer.clone());
                let key = PageOf {
                    agent_id,
                    after,
                    rows,
                    viewer,
                };
                (key, task)
            });
            pages.extend(grouped(named));
        }
        Ok(pages)
    }
}
