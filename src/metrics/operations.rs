//! Operations of GraphQL, by their root field and by what came of them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::seconds;

/// The code of what went well.
const OK: &str = "OK";

/// The code of what was given up by whoever did it.
const GIVEN_UP: &str = "INTERNAL";

/// What clients ask for; clones count together.
#[derive(Clone, Debug)]
pub struct Operations {
    ended: Family<Ended, Counter>,
    duration: Family<Operation, Histogram, fn() -> Histogram>,
    subscriptions: Family<Subscription, Gauge>,
    refusals: Family<Refusal, Counter>,
}

/// The kinds of operation that are executed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Asks.
    Query,
    /// Does.
    Mutation,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    kind: &'static str,
    field: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    kind: &'static str,
    field: Arc<str>,
    code: Cow<'static, str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Subscription {
    field: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    code: Cow<'static, str>,
}

impl Operations {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let operations = Self {
            ended: Family::default(),
            duration: Family::new_with_constructor(seconds),
            subscriptions: Family::default(),
            refusals: Family::default(),
        };
        registry.register(
            "operations",
            "Operations that have ended",
            operations.ended.clone(),
        );
        registry.register_with_unit(
            "operation_duration",
            "How long queries and mutations took to execute",
            Unit::Seconds,
            operations.duration.clone(),
        );
        registry.register(
            "subscriptions",
            "Subscriptions that are open",
            operations.subscriptions.clone(),
        );
        registry.register(
            "refusals",
            "Requests and sockets that were refused with a code before anything was executed",
            operations.refusals.clone(),
        );
        operations
    }

    /// What is counted of the queries or mutations with a root field, which must be one of the schema's or of a few words.
    pub fn executions(&self, kind: Kind, field: &str) -> Executions {
        let kind = kind.name();
        let operation = Operation {
            kind,
            field: Arc::from(field),
        };
        Executions {
            duration: self.duration.get_or_create_owned(&operation),
            endings: self.endings(kind, operation.field),
        }
    }

    /// What is counted of the subscriptions with a root field, which must be one of the schema's or of a few words.
    pub fn subscriptions(&self, field: &str) -> Subscriptions {
        let subscription = Subscription {
            field: Arc::from(field),
        };
        Subscriptions {
            open: self.subscriptions.get_or_create_owned(&subscription),
            endings: self.endings("subscription", subscription.field),
        }
    }

    /// Counts a request that is refused before anything is executed.
    pub fn refused(&self, code: impl Into<Cow<'static, str>>) {
        let refusal = Refusal { code: code.into() };
        self.refusals.get_or_create(&refusal).inc();
    }

    fn endings(&self, kind: &'static str, field: Arc<str>) -> Endings {
        let ended = Ended {
            kind,
            field,
            code: Cow::Borrowed(OK),
        };
        Endings {
            well: self.ended.get_or_create_owned(&ended),
            of: ended,
            all: self.ended.clone(),
        }
    }
}

/// How operations with the same root field end.
#[derive(Debug)]
struct Endings {
    /// By far the most, so that nothing is looked up for them.
    well: Counter,
    of: Ended,
    all: Family<Ended, Counter>,
}

impl Endings {
    /// Counts one that ended with a code, or well.
    fn count(&self, code: Option<Cow<'static, str>>) {
        match code {
            None => {
                self.well.inc();
            }
            Some(code) => {
                let ended = Ended {
                    code,
                    ..self.of.clone()
                };
                self.all.get_or_create(&ended).inc();
            }
        }
    }
}

/// Queries or mutations with the same root field.
#[derive(Debug)]
pub struct Executions {
    duration: Histogram,
    endings: Endings,
}

impl Executions {
    /// One begins.
    pub fn begin(self: &Arc<Self>) -> Execution {
        Execution {
            of: Arc::clone(self),
            began: Instant::now(),
            code: Some(Cow::Borrowed(GIVEN_UP)),
        }
    }
}

/// A query or mutation under way. It is counted when this is dropped: given up, unless it was said to have ended.
#[derive(Debug)]
pub struct Execution {
    of: Arc<Executions>,
    began: Instant,
    code: Option<Cow<'static, str>>,
}

impl Execution {
    /// It ended with a code, or well.
    pub fn end(mut self, code: Option<&str>) {
        self.code = code.map(|code| Cow::Owned(code.to_owned()));
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        self.of.endings.count(self.code.take());
        self.of.duration.observe(self.began.elapsed().as_secs_f64());
    }
}

/// Subscriptions with the same root field.
#[derive(Debug)]
pub struct Subscriptions {
    open: Gauge,
    endings: Endings,
}

impl Subscriptions {
    /// One begins.
    pub fn begin(self: &Arc<Self>) -> Subscribed {
        self.open.inc();
        Subscribed {
            of: Arc::clone(self),
            code: None,
        }
    }
}

/// A subscription, open until this is dropped. Whoever leaves it leaves it in order.
#[derive(Debug)]
pub struct Subscribed {
    of: Arc<Subscriptions>,
    code: Option<Cow<'static, str>>,
}

impl Subscribed {
    /// It had a result, which has a code or is in order. The last one is what it ends with.
    pub fn came_to(&mut self, code: Option<&str>) {
        self.code = code.map(|code| Cow::Owned(code.to_owned()));
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.of.endings.count(self.code.take());
        self.of.open.dec();
    }
}
