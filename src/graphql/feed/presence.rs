//! Watching presence: what events change, and what time alone changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use entity::id::{AgentId, WorkspaceId};
use entity::task_event::Kind;
use futures::{Stream, stream};
use tokio::time::Instant;

use super::Item;
use crate::agent::{self, Archived};
use crate::auth::Viewer;
use crate::db::until_answered;
use crate::error::Result;
use crate::event::Batch;
use crate::event::hub::Follower;
use crate::graphql::context::Board;
use crate::presence::{self, Presence};

/// How long after the reckoned moment to look again, so that the database's clock agrees that it has passed.
const GRACE: Duration = Duration::from_millis(20);

/// A subscriber's view of a workspace's presence.
#[derive(Debug)]
pub(super) struct Watch {
    board: Board,
    viewer: Viewer,
    workspace_id: WorkspaceId,
    /// The agents asked for; all where it is none.
    only: Option<HashSet<AgentId>>,
    follower: Follower,
    /// What the subscriber was told, and when time alone will make it untrue.
    told: HashMap<AgentId, (Presence, Option<Instant>)>,
    /// Whether the subscriber was told anything.
    begun: bool,
}

/// Whose presence may have changed.
enum Concerned {
    Nobody,
    These(HashSet<AgentId>),
    Everybody,
}

impl Watch {
    /// Begins to follow the log; what is observed afterwards is not older.
    pub(super) async fn new(
        board: &Board,
        viewer: &Viewer,
        workspace_id: WorkspaceId,
        only: Option<Vec<AgentId>>,
    ) -> Result<Self> {
        Ok(Self {
            board: board.clone(),
            viewer: viewer.clone(),
            workspace_id,
            only: only.map(HashSet::from_iter),
            follower: board.hub.follow(None).await?,
            told: HashMap::new(),
            begun: false,
        })
    }

    /// Everyone's presence, then each change.
    pub(super) fn changes(self) -> impl Stream<Item = Item<Presence>> {
        use futures::StreamExt;
        stream::unfold(self, |mut watch| async move {
            let changes = watch.next().await?;
            Some((stream::iter(changes), watch))
        })
        .flatten()
    }

    /// Waits for changes; none when the server stops.
    async fn next(&mut self) -> Option<Vec<Item<Presence>>> {
        loop {
            let concerned = if self.begun {
                self.wait().await?
            } else {
                Concerned::Everybody
            };
            self.begun = true;
            let observed = match self.observe(&concerned).await {
                Ok(observed) => observed,
                Err(error) => return Some(vec![Err(error)]),
            };
            let now = Instant::now();
            let mut changes = Vec::new();
            for observed in observed {
                let presence = observed.presence;
                let due = observed.changes_in.map(|wait| now + wait + GRACE);
                let told = self.told.insert(presence.agent_id, (presence.clone(), due));
                if told.is_none_or(|(told, _)| told != presence) {
                    changes.push(Ok(presence));
                }
            }
            if !changes.is_empty() {
                return Some(changes);
            }
        }
    }

    /// Waits until somebody's presence may have changed.
    async fn wait(&mut self) -> Option<Concerned> {
        loop {
            let due = self.told.values().filter_map(|(_, due)| *due).min();
            let time = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let concerned = tokio::select! {
                batch = self.follower.next() => self.concerned(&batch?),
                // Somebody's time has come. What the viewer may see can have changed since they were told of it, and no
                // event that they may see has said so.
                () = time => Concerned::Everybody,
            };
            if !matches!(concerned, Concerned::Nobody) {
                return Some(concerned);
            }
        }
    }

    /// Whose presence the batch may have changed.
    fn concerned(&self, batch: &Arc<Batch>) -> Concerned {
        let mut agents = HashSet::new();
        for event in &batch.events {
            if event.row.workspace_id != self.workspace_id || !event.is_visible_to(&self.viewer) {
                continue;
            }
            match (event.row.kind, event.row.agent_id) {
                // A runtime's change is that of all its agents; an agent may have moved, or have become visible.
                (Kind::RuntimeChanged | Kind::AgentChanged, _) | (_, None) => {
                    return Concerned::Everybody;
                }
                (_, Some(agent_id)) => {
                    agents.insert(agent_id);
                }
            }
        }
        if agents.is_empty() {
            Concerned::Nobody
        } else {
            Concerned::These(agents)
        }
    }

    /// How those are that are concerned, asked for and visible.
    async fn observe(&mut self, concerned: &Concerned) -> Result<Vec<presence::Observed>> {
        let wanted = |id: &AgentId| self.only.as_ref().is_none_or(|only| only.contains(id));
        let agents: Vec<AgentId> = match concerned {
            Concerned::Nobody => Vec::new(),
            Concerned::These(agents) => agents.iter().copied().filter(wanted).collect(),
            Concerned::Everybody => {
                let agents = until_answered(|| {
                    agent::list(
                        &self.board.db,
                        &self.viewer,
                        self.workspace_id,
                        Archived::LeftOut,
                    )
                })
                .await?;
                let agents: HashSet<AgentId> =
                    agents.iter().map(|agent| agent.id).filter(wanted).collect();
                // Of whoever is gone, or hidden by now, nothing is told when their time comes.
                self.told.retain(|id, _| agents.contains(id));
                agents.into_iter().collect()
            }
        };
        if agents.is_empty() {
            return Ok(Vec::new());
        }
        until_answered(|| presence::observe(&self.board.db, &self.board.settings, &agents)).await
    }
}
