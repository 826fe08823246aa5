//! Tests through the front door: a real server, a real Postgres, clients that speak GraphQL.
//!
//! `cargo test` starts a Postgres of its own for them. Under a runner that gives each test a process of its own, such as
//! `cargo nextest`, set `CALLBOARD_TEST_DATABASE_URL` to a server on which databases may be made.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its helpers are tests too"
)]

mod harness;

mod schema;

mod tidy;

mod cli;

mod bad_input;

mod auth;

mod http;
mod metrics;
mod sse;
mod ws;

mod tenancy;

mod enqueue;

mod claim;

mod claim_race;

mod claim_cost;

mod low_water_mark;

mod heartbeat;

mod daemon;

mod agent;

mod cancel;

mod late;
mod lease;

mod lifecycle;

mod retry;

mod runtime;

mod session;

mod settle;

mod start;

mod storm;

mod chance;
mod crowd;
mod deadlock;
mod interleaving;
mod model;

mod together;
mod transcript;

mod agent_change;

mod board;

mod claim_many;

mod waiting;

mod sweeper;

mod unreadable;

mod history;

mod path;

mod alike;
mod audience;
mod banner;
mod chaos;
mod document;
mod doorbell;
mod event_log;
mod feed;
mod filter;
mod log_break;
mod missed_ring;
mod outage;
mod pool;
mod presence;

mod reading_along;
mod retention;
mod shutdown;
mod snapshot;
mod statements;
mod updates;
mod wakeup;
