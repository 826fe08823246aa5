//! Batches on their way from the hub to those who follow: those who are late do not keep more of them than the server has
//! room for.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use super::{Batch, Cursor};

/// A batch on its way. It is emptied before everyone has taken it where there is too much on the way: who comes late reads
/// the log.
#[derive(Debug)]
pub(super) struct Parcel {
    /// Where the batch begins, exclusive.
    pub(super) after: Cursor,
    /// Where it ends, inclusive.
    pub(super) through: Cursor,
    bytes: usize,
    batch: RwLock<Option<Arc<Batch>>>,
}

impl Parcel {
    fn of(batch: Arc<Batch>) -> Self {
        Self {
            after: batch.after,
            through: batch.through,
            bytes: batch.bytes(),
            batch: RwLock::new(Some(batch)),
        }
    }

    /// The batch, if it is still there.
    pub(super) fn open(&self) -> Option<Arc<Batch>> {
        self.batch
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn bytes(&self) -> usize {
        self.open().map_or(0, |_batch| self.bytes)
    }

    fn empty(&self) {
        let mut batch = self.batch.write().unwrap_or_else(PoisonError::into_inner);
        *batch = None;
    }
}

/// All that is on its way, oldest first. What everyone has taken is gone by itself.
#[derive(Debug, Default)]
pub(super) struct Parcels(VecDeque<Weak<Parcel>>);

impl Parcels {
    /// Sends a batch on its way, and empties the oldest parcels until all of them together are within the bound. The new
    /// one goes whatever its size: who keeps up takes it at once.
    pub(super) fn send(&mut self, batch: Arc<Batch>, bound: usize) -> Arc<Parcel> {
        let parcel = Arc::new(Parcel::of(batch));
        self.0.retain(|parcel| parcel.strong_count() > 0);
        let mut bytes = self.bytes() + parcel.bytes;
        for old in self.0.iter().filter_map(Weak::upgrade) {
            if bytes <= bound {
                break;
            }
            bytes = bytes.saturating_sub(old.bytes());
            old.empty();
        }
        self.0.push_back(Arc::downgrade(&parcel));
        parcel
    }

    /// About how much memory all of it takes.
    pub(super) fn bytes(&self) -> usize {
        let parcels = self.0.iter().filter_map(Weak::upgrade);
        parcels.map(|parcel| parcel.bytes()).sum()
    }
}
