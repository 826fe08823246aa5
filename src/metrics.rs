//! What a server counts and measures of itself, for those who operate it: the page `/metrics`.
//!
//! Each server has its own, made with it and handed down; nothing is global. What is measured knows its counters and adds to
//! them; who reads the page asks nobody, the database least of all. Every label is one of a set that the program knows:
//! nothing that a client can choose, no id and nothing of a tenant.
//!
//! `docs/metrics.md` has a table of them, which is tested to be what the page says.

mod groups;
mod live;
mod operations;
mod sweeps;
mod used;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use groups::{Groups, Verb};
pub use live::{Live, Open};
pub use operations::{Execution, Executions, Kind, Operations, Subscribed, Subscriptions};
pub use sweeps::{Sweep, Sweeps};
pub use used::Connections;
use used::Used;

/// How the page is written.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// What every name begins with.
const PREFIX: &str = "callboard";

/// What one server counts; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// What clients ask for.
    pub operations: Operations,
    /// What is done together.
    pub groups: Groups,
    /// How changes come to those who watch.
    pub live: Live,
    /// What happened because nobody did anything.
    pub sweeps: Sweeps,
    /// The connections to the database.
    used: Used,
    registry: Arc<Registry>,
}

impl Metrics {
    /// The page, with what is to be had only by looking: the connections to the database.
    pub fn page(&self, connections: Connections) -> Result<String, fmt::Error> {
        self.used.set(connections);
        let mut page = String::new();
        prometheus_text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

impl Default for Metrics {
    /// Nothing has happened yet.
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        Self {
            operations: Operations::new(&mut registry),
            groups: Groups::new(&mut registry),
            live: Live::new(&mut registry),
            sweeps: Sweeps::new(&mut registry),
            used: Used::new(&mut registry),
            registry: Arc::new(registry),
        }
    }
}

/// How long something took: from what a client does not notice to what the database does not allow a statement to take.
fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
    ])
}
