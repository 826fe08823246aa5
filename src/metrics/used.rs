//! The connections to the database, as they are when somebody looks.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The connections of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// How many there may be.
    pub most: usize,
    /// How many there are.
    pub open: usize,
    /// How many of them nobody uses.
    pub idle: usize,
    /// How many wait for one.
    pub waiting: usize,
}

/// Where they are shown.
#[derive(Clone, Debug)]
pub(super) struct Used {
    connections: Family<Labels, Gauge>,
    most: Gauge,
    waiting: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    state: &'static str,
}

impl Used {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let used = Self {
            connections: Family::default(),
            most: Gauge::default(),
            waiting: Gauge::default(),
        };
        registry.register(
            "database_connections",
            "Connections to the database that are open",
            used.connections.clone(),
        );
        registry.register(
            "database_connections_max",
            "How many connections to the database may be open",
            used.most.clone(),
        );
        registry.register(
            "database_waiting",
            "Statements and transactions that wait for a connection to the database",
            used.waiting.clone(),
        );
        used
    }

    pub(super) fn set(&self, connections: Connections) {
        let Connections {
            most,
            open,
            idle,
            waiting,
        } = connections;
        for (state, count) in [("idle", idle), ("busy", open.saturating_sub(idle))] {
            let gauge = self.connections.get_or_create(&Labels { state });
            gauge.set(shown(count));
        }
        self.most.set(shown(most));
        self.waiting.set(shown(waiting));
    }
}

fn shown(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
