//! How changes come to those who watch: from the log, by way of the doorbell and the hub, to open sockets and streams.

use std::collections::HashMap;
use std::sync::Arc;

use entity::task_event::Kind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use sea_orm::{ActiveEnum, Iterable};

use super::seconds;

/// How changes come to those who watch; clones count together.
#[derive(Clone, Debug)]
pub struct Live {
    sockets: Gauge,
    event_streams: Gauge,
    events: Arc<HashMap<Kind, Counter>>,
    delay: Histogram,
    lagged: Counter,
    connected: Gauge,
    connects: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Event {
    kind: String,
}

impl Live {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let events = Family::<Event, Counter>::default();
        let counter = |kind: Kind| {
            let label = Event {
                kind: kind.to_value(),
            };
            (kind, events.get_or_create_owned(&label))
        };
        let live = Self {
            sockets: Gauge::default(),
            event_streams: Gauge::default(),
            events: Arc::new(Kind::iter().map(counter).collect()),
            delay: seconds(),
            lagged: Counter::default(),
            connected: Gauge::default(),
            connects: Counter::default(),
        };
        registry.register("sockets", "Sockets that are open", live.sockets.clone());
        registry.register(
            "event_streams",
            "Event streams that are open",
            live.event_streams.clone(),
        );
        registry.register(
            "events_read",
            "Events that the server has read from the log, which are those of all servers",
            events,
        );
        registry.register_with_unit(
            "event_delay",
            "How old the oldest event of each batch was when it was read from the log",
            Unit::Seconds,
            live.delay.clone(),
        );
        registry.register(
            "subscribers_lagged",
            "How often a subscriber fell behind and had to read what it had missed",
            live.lagged.clone(),
        );
        registry.register(
            "listener_connected",
            "Whether the server hears at once of what others commit",
            live.connected.clone(),
        );
        registry.register(
            "listener_connects",
            "How often the server began to listen to what others commit",
            live.connects.clone(),
        );
        live
    }

    /// A socket, for as long as what is returned is held.
    pub fn socket(&self) -> Open {
        Open::one_of(&self.sockets)
    }

    /// An event stream, for as long as what is returned is held.
    pub fn event_stream(&self) -> Open {
        Open::one_of(&self.event_streams)
    }

    /// An event was read from the log.
    pub fn read(&self, kind: Kind) {
        if let Some(counter) = self.events.get(&kind) {
            counter.inc();
        }
    }

    /// A batch was read whose oldest event was so many seconds old.
    pub fn delayed(&self, seconds: f64) {
        // A clock that is set back makes nothing younger than it is.
        self.delay.observe(seconds.max(0.0));
    }

    /// A subscriber has fallen behind.
    pub fn lagged(&self) {
        self.lagged.inc();
    }

    /// The listener hears others, for as long as what is returned is held.
    pub fn listen(&self) -> Open {
        self.connects.inc();
        Open::one_of(&self.connected)
    }
}

/// One of those that are open, until it is dropped.
#[derive(Debug)]
pub struct Open(Gauge);

impl Open {
    fn one_of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
