//! What this daemon holds: every claim from its arrival until it is settled or let go.
//!
//! Heartbeats name what is here; whoever learns that a claim is lost says so here, and the task's
//! run hears of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::claim::{ClaimProof, ClaimToken};

/// The claims of one daemon.
#[derive(Default)]
pub(crate) struct Held {
    /// At most one claim a task: a newer one proves that the older is superseded.
    claims: Mutex<HashMap<Uuid, Entry>>,
}

struct Entry {
    claim_token: ClaimToken,
    lost: CancellationToken,
}

/// One claim while it is held; ends with its drop.
pub(crate) struct Hold {
    held: Arc<Held>,
    proof: ClaimProof,
    lost: CancellationToken,
}

impl Held {
    /// Holds a claim, and stops the run of an older one on the same task.
    pub(crate) fn hold(self: &Arc<Self>, proof: ClaimProof) -> Hold {
        let lost = CancellationToken::new();
        let older = self.lock().insert(
            proof.task_id,
            Entry {
                claim_token: proof.claim_token,
                lost: lost.clone(),
            },
        );
        if let Some(older) = older {
            older.lost.cancel();
        }
        Hold {
            held: Arc::clone(self),
            proof,
            lost,
        }
    }

    /// Everything that is held.
    pub(crate) fn proofs(&self) -> Vec<ClaimProof> {
        self.lock()
            .iter()
            .map(|(task_id, entry)| ClaimProof {
                task_id: *task_id,
                claim_token: entry.claim_token,
            })
            .collect()
    }

    /// This claim is lost; a newer one on the same task is not.
    pub(crate) fn lose(&self, proof: ClaimProof) {
        if let Some(entry) = self.lock().get(&proof.task_id)
            && entry.claim_token == proof.claim_token
        {
            entry.lost.cancel();
        }
    }

    /// This task has ended, by whatever claim.
    pub(crate) fn lose_task(&self, task_id: Uuid) {
        if let Some(entry) = self.lock().get(&task_id) {
            entry.lost.cancel();
        }
    }

    fn release(&self, proof: ClaimProof) {
        let mut claims = self.lock();
        if claims
            .get(&proof.task_id)
            .is_some_and(|entry| entry.claim_token == proof.claim_token)
        {
            claims.remove(&proof.task_id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Entry>> {
        // Each use leaves the map whole, whatever became of its thread.
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Cancelled when the claim is lost.
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.release(self.proof);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(task: u128, token: u128) -> ClaimProof {
        ClaimProof {
            task_id: Uuid::from_u128(task),
            claim_token: ClaimToken::new(Uuid::from_u128(token)),
        }
    }

    #[test]
    fn a_loss_concerns_the_claim_that_was_named() {
        let held = Arc::new(Held::default());
        let hold = held.hold(proof(1, 10));
        held.lose(proof(1, 9));
        held.lose(proof(2, 10));
        assert!(!hold.lost().is_cancelled());
        held.lose(proof(1, 10));
        assert!(hold.lost().is_cancelled());
    }

    #[test]
    fn a_newer_claim_supersedes_and_survives_the_older() {
        let held = Arc::new(Held::default());
        let older = held.hold(proof(1, 10));
        let newer = held.hold(proof(1, 11));
        assert!(older.lost().is_cancelled());
        drop(older);
        assert_eq!(held.proofs(), [proof(1, 11)]);
        assert!(!newer.lost().is_cancelled());
        drop(newer);
        assert!(held.proofs().is_empty());
    }

    #[test]
    fn a_task_that_has_ended_is_lost_by_any_claim() {
        let held = Arc::new(Held::default());
        let hold = held.hold(proof(1, 10));
        held.lose_task(Uuid::from_u128(1));
        assert!(hold.lost().is_cancelled());
    }
}
