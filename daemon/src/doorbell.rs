//! Wake-ups for the claim loops: they carry nothing, and many are as good as one.

use std::collections::HashMap;

use tokio::sync::Notify;
use uuid::Uuid;

/// One bell for each runtime.
pub(crate) struct Doorbells(HashMap<Uuid, Notify>);

impl Doorbells {
    /// Bells that nobody has rung.
    pub(crate) fn new(runtime_ids: &[Uuid]) -> Self {
        Self(runtime_ids.iter().map(|id| (*id, Notify::new())).collect())
    }

    /// There may be something to claim for this runtime. Remembered until somebody waits.
    pub(crate) fn ring(&self, runtime_id: Uuid) {
        if let Some(bell) = self.0.get(&runtime_id) {
            bell.notify_one();
        }
    }

    /// Waits until this runtime's bell is rung, or has been since the last wait.
    pub(crate) async fn rung(&self, runtime_id: Uuid) {
        match self.0.get(&runtime_id) {
            Some(bell) => bell.notified().await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_ring_is_remembered_once_and_for_its_runtime() {
        let (mine, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let bells = Doorbells::new(&[mine, other]);
        bells.ring(mine);
        bells.ring(mine);
        assert!(bells.rung(other).now_or_never().is_none());
        assert!(bells.rung(mine).now_or_never().is_some());
        assert!(bells.rung(mine).now_or_never().is_none());
    }
}
