//! What happened because nobody did anything.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What this server's sweeps did; clones count together.
#[derive(Clone, Debug)]
pub struct Sweeps {
    /// Runtimes that went off line.
    pub silenced: Sweep,
    /// Tasks of lost runtimes that failed.
    pub lost: Sweep,
    /// Tasks that timed out.
    pub timed_out: Sweep,
    /// Tasks that expired in the queue.
    pub expired: Sweep,
    /// Runtimes that were removed.
    pub removed: Sweep,
}

/// One of the things that a sweep does.
#[derive(Clone, Debug)]
pub struct Sweep(Counter);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    what: &'static str,
}

impl Sweeps {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let swept = Family::<Labels, Counter>::default();
        let sweep = |what| Sweep(swept.get_or_create_owned(&Labels { what }));
        let sweeps = Self {
            silenced: sweep("runtime_silenced"),
            lost: sweep("task_lost"),
            timed_out: sweep("task_timed_out"),
            expired: sweep("task_expired"),
            removed: sweep("runtime_removed"),
        };
        registry.register(
            "swept",
            "Runtimes and tasks that were found to be out of time",
            swept,
        );
        sweeps
    }
}

impl Sweep {
    /// So many were swept.
    pub fn add(&self, count: usize) {
        self.0.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }
}
