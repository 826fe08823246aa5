//! The thresholds of the lifecycle and of the edge: durations and bounds, with the defaults of the specification.

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
    /// How often every server sweeps.
    pub sweep_interval: Duration,
    /// After how much silence a runtime goes off line. For so long a server listens first, once it has begun or the database is
    /// back.
    pub runtime_silent_after: Duration,
    /// For how long, beyond that, the tasks of a runtime that went off line are left to it: a laptop that sleeps must not
    /// lose hours of work.
    pub reconnect_grace: Duration,
    /// How long a task may be dispatched without being started.
    pub dispatch_timeout: Duration,
    /// How long a task may run, once its runtime is silent too.
    pub running_timeout: Duration,
    /// How long a task may wait for a runtime that does not come.
    pub queue_ttl: Duration,
    /// After how long an offline runtime without agents is removed.
    pub runtime_retention: Duration,
    /// How many rows one step of a sweep touches at most.
    pub sweep_batch: i64,
    /// What one client may do.
    pub edge: Edge,
}

/// What one client may do, and how long is waited for it.
#[derive(Clone, Debug)]
pub struct Edge {
    /// How many requests a token may make in a second, those on its sockets included; 0 for as many as it likes.
    pub requests_per_second: u32,
    /// How many sockets and event streams a token may have open on a server.
    pub connections_per_token: usize,
    /// How many operations may be under way on a socket.
    pub operations_per_socket: usize,
    /// How long a socket may take to say whose it is.
    pub init_timeout: Duration,
    /// How often a socket is pinged, and how long it may take to answer; after how much silence an event stream has a
    /// comment.
    pub ping_interval: Duration,
    /// How long a client may take to accept the next bytes that are sent to it.
    pub write_timeout: Duration,
    /// How long the headers of a request may take to arrive, from when its connection was made or is free again. Proxies that
    /// keep connections for later are to let go of them before.
    pub header_timeout: Duration,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            requests_per_second: 1000,
            connections_per_token: 1000,
            operations_per_socket: 100,
            init_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(20),
            write_timeout: Duration::from_secs(15),
            header_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// Refuses thresholds that contradict one another.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.claim_lease < self.dispatch_timeout,
            "the claim lease must be shorter than the dispatch time-out, or tasks time out that may still be started"
        );
        anyhow::ensure!(
            self.dispatch_timeout < self.queue_ttl,
            "the dispatch time-out must be shorter than the time that a task may wait in the queue"
        );
        anyhow::ensure!(
            self.runtime_silent_after + self.reconnect_grace < self.runtime_retention,
            "a runtime must be kept for longer than its tasks are left to it"
        );
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            claim_lease: Duration::from_mins(1),
            max_deliveries: 5,
            requeue_batch: 50,
            unstable_window: Duration::from_mins(5),
            event_retention: Duration::from_hours(7 * 24),
            sweep_interval: Duration::from_secs(30),
            runtime_silent_after: Duration::from_secs(150),
            reconnect_grace: Duration::from_hours(2),
            dispatch_timeout: Duration::from_mins(5),
            running_timeout: Duration::from_mins(150),
            queue_ttl: Duration::from_hours(2),
            runtime_retention: Duration::from_hours(7 * 24),
            sweep_batch: 500,
            edge: Edge::default(),
        }
    }
}
