//! `WorkspaceSnapshot`: everything that a live view starts from, in one consistent read.

use std::collections::HashMap;

use async_graphql::Object;
use entity::id::{AgentId, WorkspaceId};
use sea_orm::DatabaseTransaction;
use tokio::time::Instant;

use super::agent::Agent;
use super::connection;
use super::context::Board;
use super::presence::AgentPresence;
use super::rows::Rows;
use super::scalar::Cursor;
use super::task::Task;
use crate::agent::{self, Archived};
use crate::auth::Viewer;
use crate::error::Result;
use crate::event::Sight;
use crate::presence::{self, Observed};
use crate::task::Columns;
use crate::{event, runtime, task};

/// What a snapshot is of.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// Of which workspace.
    pub(super) workspace_id: WorkspaceId,
    /// With which columns of its tasks.
    pub(super) columns: Columns,
}

/// Everything that a live view starts from, in one consistent read; `taskEvents(after: cursor)` goes on from it without a
/// gap.
#[derive(Debug)]
pub(super) struct WorkspaceSnapshot {
    cursor: event::Cursor,
    active_tasks: Vec<Task>,
    latest_outcomes: Vec<Task>,
    /// Whom the viewer may see, the archived included.
    agents: HashMap<AgentId, Agent>,
    /// How everyone is whom the viewer may see, the archived included.
    everyone: Vec<Observed>,
    /// A moment before all this was read.
    as_of: Instant,
}

/// Everything that a live view starts from, in one consistent read; `taskEvents(after: cursor)` goes on from it without a
/// gap.
#[Object]
impl WorkspaceSnapshot {
    /// Up to where the event log is contained in it.
    async fn cursor(&self) -> Cursor {
        Cursor(self.cursor)
    }

    /// Every queued, dispatched and running task, oldest first.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn active_tasks(&self) -> Rows<Task> {
        self.active_tasks.iter().cloned().collect()
    }

    /// Each agent's last task that completed or failed; a cancelled one never hides it.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn latest_outcomes(&self) -> Rows<Task> {
        self.latest_outcomes.iter().cloned().collect()
    }

    /// Everyone's presence.
    #[graphql(complexity = "connection::list_cost(child_complexity)")]
    async fn presence(&self) -> Rows<AgentPresence> {
        let present = self.everyone.iter().filter(|observed| !observed.archived);
        present
            .map(|observed| {
                let presence = observed.presence.clone();
                match self.agents.get(&presence.agent_id) {
                    Some(agent) => AgentPresence::of(agent.clone(), presence),
                    None => AgentPresence::from(presence),
                }
            })
            .collect()
    }
}

impl WorkspaceSnapshot {
    /// Up to where the event log is contained in it.
    pub(super) const fn position(&self) -> event::Cursor {
        self.cursor
    }

    /// How everyone is whom the viewer may see, the archived included, and a moment before that was read.
    pub(super) const fn everyone(&self) -> (&Vec<Observed>, Instant) {
        (&self.everyone, self.as_of)
    }

    /// Takes one.
    ///
    /// The cursor comes first: what is committed between it and the rest is in the rest and in the events after the cursor
    /// too, which is harmless; the other way round it would be in neither. The rest is as it was at one moment.
    pub(super) async fn take(board: &Board, viewer: &Viewer, scope: &Scope) -> Result<Self> {
        let as_of = Instant::now();
        let cursor = event::tip(&board.db).await?;
        let txn = board.db.begin_snapshot().await?;
        let taken = Self::read(&txn, board, viewer, scope, cursor, as_of).await?;
        txn.commit().await?;
        Ok(taken)
    }

    async fn read(
        txn: &DatabaseTransaction,
        board: &Board,
        viewer: &Viewer,
        scope: &Scope,
        cursor: event::Cursor,
        as_of: Instant,
    ) -> Result<Self> {
        let (workspace_id, columns) = (scope.workspace_id, &scope.columns);
        // An archived agent is nobody's colleague any more, but what it last did is still what it last did.
        let agents = agent::list(txn, viewer, workspace_id, Archived::Included).await?;
        let ids: Vec<AgentId> = agents.iter().map(|agent| agent.id).collect();
        let mut latest_outcomes = task::latest_outcomes(txn, &ids, columns).await?;
        let active_tasks = task::active(txn, viewer, workspace_id, columns).await?;
        let settings = &board.settings;
        let everyone = if let Sight::Daemon(..) = Sight::from(viewer) {
            // An agent that has moved here may have done its last work on somebody else's runtime, and have more there.
            let own = runtime::list(txn, viewer, workspace_id).await?;
            latest_outcomes.retain(|task| own.iter().any(|runtime| runtime.id == task.runtime_id));
            presence::observe(txn, settings, &ids).await?
        } else {
            // Whoever sees an agent sees all of its tasks.
            presence::observe_read(txn, settings, &agents, &active_tasks).await?
        };
        Ok(Self {
            cursor,
            active_tasks: active_tasks.into_iter().map(Task::from).collect(),
            latest_outcomes: latest_outcomes.into_iter().map(Task::from).collect(),
            everyone,
            agents: agents
                .into_iter()
                .map(|agent| (agent.id, Agent::from(agent)))
                .collect(),
            as_of,
        })
    }
}
