//! Ringing for daemons: there is something to claim.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use entity::id::{AgentId, RuntimeId};
use entity::task_event::Kind;
use futures::{Stream, StreamExt, stream};

use super::{Item, batches};
use crate::auth::{Viewer, require_all_found};
use crate::db::until_answered;
use crate::error::Result;
use crate::event::Batch;
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
    let found = runtime::find_all(&board.db, viewer, &runtime_ids).await?;
    require_all_found(&runtime_ids, &found)?;

    // The log is followed from before the look, so that nothing falls between the two.
    let follower = board.hub.follow(None).await?;
    let db = board.db.clone();
    let with_work = until_answered(|| claim::runtimes_with_work(&db, &found)).await?;
    let mut lines = Lines::of(&found);
    for (runtime_id, agent_id) in until_answered(|| claim::agents_waiting(&db, &found)).await? {
        lines.join(runtime_id, agent_id);
    }
    let later = batches(follower).flat_map(move |batch| stream::iter(lines.concerned(&batch)));
    Ok(stream::iter(with_work).chain(later).map(Ok))
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
    fn concerned(&mut self, batch: &Arc<Batch>) -> BTreeSet<RuntimeId> {
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
