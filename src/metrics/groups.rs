//! What is done together.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// What is done together, by what it is; clones count together.
#[derive(Clone, Debug)]
pub struct Groups {
    together: Family<Labels, Histogram, fn() -> Histogram>,
    waiting: Family<Labels, Gauge>,
    refused: Family<Labels, Counter>,
    alone: Family<Labels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    verb: &'static str,
}

impl Groups {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let groups = Self {
            together: Family::new_with_constructor(together),
            waiting: Family::default(),
            refused: Family::default(),
            alone: Family::default(),
        };
        registry.register(
            "group_requests",
            "How many requests were done together, in one transaction",
            groups.together.clone(),
        );
        registry.register(
            "group_waiting",
            "Requests that wait for their turn",
            groups.waiting.clone(),
        );
        registry.register(
            "group_refused",
            "Requests that were refused because too many waited",
            groups.refused.clone(),
        );
        registry.register(
            "group_alone",
            "Requests that were done again, each alone, because together they failed or met a lock",
            groups.alone.clone(),
        );
        groups
    }

    /// What is counted of one verb.
    pub fn verb(&self, verb: &'static str) -> Verb {
        let labels = Labels { verb };
        Verb {
            together: self.together.get_or_create_owned(&labels),
            waiting: self.waiting.get_or_create_owned(&labels),
            refused: self.refused.get_or_create_owned(&labels),
            alone: self.alone.get_or_create_owned(&labels),
        }
    }
}

/// Up to as many as a group does at once.
fn together() -> Histogram {
    Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
}

/// What is counted of one verb; clones count together.
#[derive(Clone, Debug)]
pub struct Verb {
    together: Histogram,
    waiting: Gauge,
    refused: Counter,
    alone: Counter,
}

impl Verb {
    /// So many wait from here on.
    pub fn wait(&self, requests: usize) {
        self.waiting
            .set(i64::try_from(requests).unwrap_or(i64::MAX));
    }

    /// So many are done in one transaction.
    pub fn together(&self, requests: usize) {
        self.together
            .observe(u32::try_from(requests).unwrap_or(u32::MAX).into());
    }

    /// One finds no room.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// So many are done again, each alone.
    pub fn alone(&self, requests: usize) {
        self.alone
            .inc_by(u64::try_from(requests).unwrap_or(u64::MAX));
    }
}
