//! Ringing for daemons: there is something to claim.

use std::collections::{BTreeSet, HashMap, HashSet};

use entity::id::{AgentId, RuntimeId};
use entity::task_event::Kind;
use futures::{Stream, StreamExt, stream};

use super::{Item, Shared};
use crate::auth::{Viewer, require_all_found};
use crate::db::{Pool, until_answered};
use crate::error::Result;
use crate::event::{Batch, Change, Watcher};
use crate::graphql::context::Board;
use crate::task::claim;
use crate::{limits, runtime};

/// Rings at once for each of the runtimes that has something to claim, then whenever that may have come about: not on an
/// enqueue alone, but on every end of a task as well, because that is what its successor waits for.
pub(super) async fn rings(
    board: &Board,
    viewer: &Viewer,
    runtime_ids: Vec<RuntimeId>,
) -> Result<impl Stream<Item = Item<RuntimeId>> + use<>> {
    limits::list("runtimeIds", &runtime_ids)?;
    let (db, viewer) = (board.db.clone(), viewer.clone());
    let finding = async move {
        let found = runtime::find_all(&db, &viewer, &runtime_ids).await?;
        require_all_found(&runtime_ids, &found)?;
        Ok(found)
    };
    let found = board.shared.beside(finding).await?;

    // The log is watched from before the look, so that nothing falls between the two.
    let ringer = Ringer {
        watcher: board.hub.watch().await?,
        db: board.db.clone(),
        shared: board.shared.clone(),
        lines: Lines::of(&found),
        runtimes: found,
        begun: false,
    };
    let rings = stream::unfold(ringer, |mut ringer| async move {
        let rings = ringer.next().await?;
        Some((stream::iter(rings), ringer))
    });
    Ok(rings.flatten())
}

/// Rings for a daemon.
struct Ringer {
    watcher: Watcher,
    db: Pool,
    shared: Shared,
    lines: Lines,
    runtimes: Vec<RuntimeId>,
    /// Whether it has looked for work that waits.
    begun: bool,
}

impl Ringer {
    /// For whom to ring next; none when the server stops.
    async fn next(&mut self) -> Option<Vec<Item<RuntimeId>>> {
        if self.begun {
            match self.watcher.next().await? {
                Change::Batch(batch) => {
                    let concerned = self.lines.concerned(&batch);
                    return Some(concerned.into_iter().map(Ok).collect());
                }
                // What has happened is not known, so it looks again.
                Change::Anything(_) => {}
            }
        }
        self.begun = true;
        Some(match self.look().await {
            Ok(with_work) => with_work.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    }

    /// The runtimes that have something to claim.
    async fn look(&mut self) -> Result<Vec<RuntimeId>> {
        let (db, runtimes) = (self.db.clone(), self.runtimes.clone());
        let looking = async move {
            let with_work = until_answered(|| claim::runtimes_with_work(&db, &runtimes)).await?;
            let waiting = until_answered(|| claim::agents_waiting(&db, &runtimes)).await?;
            Ok((with_work, waiting))
        };
        let (with_work, waiting) = self.shared.beside(looking).await?;
        for (runtime_id, agent_id) in waiting {
            self.lines.join(runtime_id, agent_id);
        }
        Ok(with_work)
    }
}

/// The agents whose tasks wait, or have waited, on each of the runtimes.
///
/// An agent's tasks can wait on another runtime than the one on which it works: they stay where they were put when the
/// agent moves on. What ends there makes room for them here.
struct Lines(HashMap<RuntimeId, HashSet<AgentId>>);

impl Lines {
    /// Those of the runtimes, with nobody in them.
    fn of(runtimes: &[RuntimeId]) -> Self {
        Self(runtimes.iter().map(|id| (*id, HashSet::new())).collect())
    }

    /// A task of the agent waits on the runtime. Nobody leaves again: a ring too many costs a claim in vain.
    fn join(&mut self, runtime_id: RuntimeId, agent_id: AgentId) {
        if let Some(line) = self.0.get_mut(&runtime_id) {
            line.insert(agent_id);
        }
    }

    /// The runtimes that may have something to claim after what happened.
    fn concerned(&mut self, batch: &Batch) -> BTreeSet<RuntimeId> {
        let mut concerned = BTreeSet::new();
        for event in batch.events.iter().filter(|event| may_free(event.row.kind)) {
            let (kind, agent_id) = (event.row.kind, event.row.agent_id);
            if let (Kind::Queued | Kind::Requeued, Some(runtime_id), Some(agent_id)) =
                (kind, event.row.runtime_id, agent_id)
            {
                self.join(runtime_id, agent_id);
            }
            // What is put on the board is claimable there and nowhere else.
            let freed = agent_id.filter(|_| kind != Kind::Queued);
            let rung = self.0.iter().filter(|(id, line)| {
                let here = event.row.runtime_id == Some(**id);
                if matches!(kind, Kind::AgentChanged | Kind::RuntimeChanged) {
                    // Room was made, or a runtime came back on line: that matters where somebody waits.
                    return here && !line.is_empty();
                }
                here || freed.is_some_and(|id| line.contains(&id))
            });
            concerned.extend(rung.map(|(id, _)| *id));
        }
        concerned
    }
}

/// Whether an event of this kind can make something claimable.
const fn may_free(kind: Kind) -> bool {
    match kind {
        Kind::Queued
        | Kind::Requeued
        | Kind::Completed
        | Kind::Failed
        | Kind::Cancelled
        // A task without an issue keeps others like it waiting until it gets one.
        | Kind::Linked
        | Kind::AgentChanged
        // A runtime that is off line is given nothing.
        | Kind::RuntimeChanged => true,
        Kind::Dispatched | Kind::Running | Kind::Progress | Kind::SessionPinned => false,
    }
}
