//! The thresholds of the lifecycle: durations and bounds, with the defaults of the specification.

use std::time::Duration;

/// How long things may take, and how large they may be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Within which a claimed task must be started.
    pub claim_lease: Duration,
    /// How often a task may be handed out before it fails for want of a daemon that starts it.
    pub max_deliveries: i32,
    /// How many expired leases a claim takes back at most.
    pub requeue_batch: i64,
    /// For how long a runtime that went silent counts as unstable rather than offline.
    pub unstable_window: Duration,
    /// How long the event log reaches back, to the day.
    pub event_retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            claim_lease: Duration::from_mins(1),
            max_deliveries: 5,
            requeue_batch: 50,
            unstable_window: Duration::from_mins(5),
            event_retention: Duration::from_hours(7 * 24),
        }
    }
}
