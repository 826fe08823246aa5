//! The rows and closed vocabularies of Callboard's database.
//!
//! Knows SeaORM, and of GraphQL only the derives that make an id a scalar and a vocabulary an enum; knows
//! nothing of the rules. A row is not an API type: what of it a client may see is decided in the service.

pub mod id;
pub mod secret;

pub mod workspace;

pub mod member;

pub mod api_token;

pub mod runtime;

pub mod agent;

pub mod presence;

pub mod waiting;

pub mod task;

pub mod task_event;

pub mod task_message;

pub mod task_usage;
