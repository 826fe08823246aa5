//! Ringing for daemons: there is something to claim.

use std::collections::BTreeSet;
use std::sync::Arc;

use entity::id::RuntimeId;
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
    let waiting = until_answered(|| claim::runtimes_with_work(&db, &found)).await?;
    let later = batches(follower).flat_map(move |batch| stream::iter(concerned(&batch, &found)));
    Ok(stream::iter(waiting).chain(later).map(Ok))
}

/// The runtimes that may have something to claim after what happened.
fn concerned(batch: &Arc<Batch>, runtimes: &[RuntimeId]) -> BTreeSet<RuntimeId> {
    let events = batch.events.iter().filter(|event| may_free(event.row.kind));
    events
        .filter_map(|event| event.row.runtime_id)
        .filter(|id| runtimes.contains(id))
        .collect()
}

/// Whether an event of this kind can make something claimable.
const fn may_free(kind: Kind) -> bool {
    match kind {
        Kind::Queued
        | Kind::Requeued
        | Kind::Completed
        | Kind::Failed
        | Kind::Cancelled
        | Kind::AgentChanged => true,
        Kind::Dispatched
        | Kind::Running
        | Kind::Progress
        | Kind::SessionPinned
        | Kind::Linked
        | Kind::RuntimeChanged => false,
    }
}
