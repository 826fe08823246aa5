//! `AgentPresence`.

use async_graphql::{Context, Object, Result};
use entity::id::AgentId;
use entity::presence::{Availability, Workload};

use super::agent::{self, Agent};
use crate::presence::Presence;

/// How an agent is at one moment: whether its runtime is there, and what it has to do.
#[derive(Debug)]
pub(super) struct AgentPresence {
    presence: Presence,
    /// The agent, where it was read with it.
    agent: Option<Agent>,
}

impl From<Presence> for AgentPresence {
    fn from(presence: Presence) -> Self {
        Self {
            presence,
            agent: None,
        }
    }
}

impl AgentPresence {
    /// The presence of an agent that has been read.
    pub(super) const fn of(agent: Agent, presence: Presence) -> Self {
        Self {
            presence,
            agent: Some(agent),
        }
    }
}

/// How an agent is at one moment: whether its runtime is there, and what it has to do.
#[Object]
impl AgentPresence {
    /// Whose presence.
    async fn agent_id(&self) -> AgentId {
        self.presence.agent_id
    }

    /// The agent.
    async fn agent(&self, ctx: &Context<'_>) -> Result<Agent> {
        match &self.agent {
            Some(agent) => Ok(agent.clone()),
            None => Ok(agent::load(ctx, self.presence.agent_id).await?),
        }
    }

    /// Whether its runtime is there.
    async fn availability(&self) -> Availability {
        self.presence.availability
    }

    /// What it has to do.
    async fn workload(&self) -> Workload {
        self.presence.workload
    }

    /// How many of its tasks run.
    async fn running_count(&self) -> i32 {
        self.presence.running_count
    }

    /// How many of its tasks wait or are being handed over.
    async fn queued_count(&self) -> i32 {
        self.presence.queued_count
    }

    /// How many tasks it may work on at once.
    async fn capacity(&self) -> i32 {
        self.presence.capacity
    }
}
