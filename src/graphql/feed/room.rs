//! Everyone's presence in a workspace, observed once for all who watch it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use entity::id::{AgentId, RuntimeId, WorkspaceId};
use entity::task_event::Kind;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::db::until_answered;
use crate::error::Result;
use crate::event::{Batch, Change, Cursor, Event};
use crate::graphql::context::Board;
use crate::presence::{self, Observed, Whose};

/// How long after the reckoned moment to look again, so that the database's clock agrees that it has passed.
const GRACE: Duration = Duration::from_millis(20);

/// A workspace whose presence is watched.
#[derive(Debug)]
pub(super) struct Room {
    workspace_id: WorkspaceId,
    /// Locked by tasks of its own only: a subscriber whose socket is stalled would hold up everyone.
    seen: Mutex<Arc<Seen>>,
}

/// How everyone in it is, whoever may see them.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// What is contained in it; nothing is before the first look.
    through: Option<Cursor>,
    agents: HashMap<AgentId, Known>,
}

/// How an agent is.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// What was observed.
    pub(super) observed: Observed,
    /// Before which moment nothing is missing from it.
    pub(super) as_of: Instant,
    /// When time alone will make it untrue.
    pub(super) due: Option<Instant>,
}

impl Known {
    /// What was observed by a statement that began not before `as_of`.
    pub(super) fn new(observed: Observed, as_of: Instant) -> Self {
        let due = observed.changes_in.map(|wait| as_of + wait + GRACE);
        Self {
            observed,
            as_of,
            due,
        }
    }
}

/// Whom a batch concerns.
#[derive(Debug, Default)]
struct Concerned {
    /// These agents.
    agents: HashSet<AgentId>,
    /// Everyone on these runtimes.
    runtimes: HashSet<RuntimeId>,
}

impl Concerned {
    /// By what happened in the workspace.
    fn by(batch: &Batch, workspace_id: WorkspaceId) -> Self {
        let mut concerned = Self::default();
        for event in batch.of(workspace_id) {
            concerned.agents.extend(event.row.agent_id);
            concerned.runtimes.extend(changed_runtime(event));
        }
        concerned
    }

    fn is_nobody(&self) -> bool {
        self.agents.is_empty() && self.runtimes.is_empty()
    }
}

/// The runtime on which everyone is concerned, if that is what happened.
pub(super) fn changed_runtime(event: &Event) -> Option<RuntimeId> {
    event
        .row
        .runtime_id
        .filter(|_| event.row.kind == Kind::RuntimeChanged)
}

impl Room {
    /// A workspace of which nothing is known as yet.
    pub(super) fn new(workspace_id: WorkspaceId) -> Self {
        Self {
            workspace_id,
            seen: Mutex::default(),
        }
    }

    /// How everyone is, with a change contained in it. Of those who ask at once one observes.
    pub(super) async fn after(
        self: &Arc<Self>,
        board: &Board,
        change: &Change,
    ) -> Result<Arc<Seen>> {
        let (room, reader, change) = (Arc::clone(self), board.clone(), change.clone());
        let observing = async move {
            let mut seen = room.seen.lock().await;
            if seen.through < Some(change.through()) {
                let known = Arc::make_mut(&mut seen);
                known.take_in(&reader, room.workspace_id, &change).await?;
            }
            Ok(Arc::clone(&seen))
        };
        board.shared.beside(observing).await
    }

    /// How everyone is, with what time has brought about: of these agents nothing older than the moment given with each.
    pub(super) async fn since(
        self: &Arc<Self>,
        board: &Board,
        due: &HashMap<AgentId, Instant>,
    ) -> Result<Arc<Seen>> {
        let (room, reader, due) = (Arc::clone(self), board.clone(), due.clone());
        let observing = async move {
            let mut seen = room.seen.lock().await;
            let is_stale = |(id, due): &(&AgentId, &Instant)| {
                seen.of(**id).is_none_or(|known| known.as_of < **due)
            };
            let agents: HashSet<AgentId> = due.iter().filter(is_stale).map(|(id, _)| *id).collect();
            if !agents.is_empty() {
                let runtimes = HashSet::new();
                let concerned = Concerned { agents, runtimes };
                Arc::make_mut(&mut seen).observe(&reader, concerned).await?;
            }
            Ok(Arc::clone(&seen))
        };
        board.shared.beside(observing).await
    }
}

impl Seen {
    /// How an agent is; none where it is gone.
    pub(super) fn of(&self, id: AgentId) -> Option<&Known> {
        self.agents.get(&id)
    }

    /// Everyone.
    pub(super) fn everyone(&self) -> impl Iterator<Item = AgentId> {
        self.agents.keys().copied()
    }

    /// Everyone on a runtime.
    pub(super) fn on(&self, runtime_id: RuntimeId) -> impl Iterator<Item = AgentId> {
        let there = move |known: &Known| known.observed.runtime_id == runtime_id;
        let agents = self.agents.iter().filter(move |(_, known)| there(known));
        agents.map(|(id, _)| *id)
    }

    /// Observes what a change may have brought about.
    async fn take_in(
        &mut self,
        board: &Board,
        workspace_id: WorkspaceId,
        change: &Change,
    ) -> Result<()> {
        match change {
            Change::Batch(batch) if self.through >= Some(batch.after) => {
                let concerned = Concerned::by(batch, workspace_id);
                if !concerned.is_nobody() {
                    self.observe(board, concerned).await?;
                }
            }
            Change::Batch(_) | Change::Anything(_) => {
                self.observe_everyone(board, workspace_id).await?;
            }
        }
        self.through = Some(change.through());
        Ok(())
    }

    async fn observe(&mut self, board: &Board, concerned: Concerned) -> Result<()> {
        let whose = Whose {
            agents: concerned.agents.iter().copied().collect(),
            runtimes: concerned.runtimes.into_iter().collect(),
            workspace_id: None,
        };
        let (as_of, observed) = observe(board, &whose).await?;
        // Who is asked for and not found is gone.
        self.agents.retain(|id, _| !concerned.agents.contains(id));
        self.remember(as_of, observed);
        Ok(())
    }

    async fn observe_everyone(&mut self, board: &Board, workspace_id: WorkspaceId) -> Result<()> {
        let whose = Whose {
            workspace_id: Some(workspace_id),
            ..Whose::default()
        };
        let (as_of, observed) = observe(board, &whose).await?;
        self.agents.clear();
        self.remember(as_of, observed);
        Ok(())
    }

    fn remember(&mut self, as_of: Instant, observed: Vec<Observed>) {
        for observed in observed {
            let id = observed.presence.agent_id;
            self.agents.insert(id, Known::new(observed, as_of));
        }
    }
}

/// Observes, with the moment before.
async fn observe(board: &Board, whose: &Whose) -> Result<(Instant, Vec<Observed>)> {
    until_answered(|| async {
        let as_of = Instant::now();
        let observed = presence::observe_all(&board.db, &board.settings, whose).await?;
        Ok((as_of, observed))
    })
    .await
}
