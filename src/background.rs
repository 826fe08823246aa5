//! The loops of a server. Each has a `run_once` that a test can call.

pub mod closer;
pub mod marker;
pub mod pruner;
pub mod sweeper;
