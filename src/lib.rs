//! Callboard.

pub mod cli;
pub mod config;
pub mod telemetry;

pub mod demo;

pub mod app;

pub mod background;
pub mod http;

pub mod graphql;

pub mod agent;
pub mod issue;
pub mod presence;
pub mod runtime;
pub mod task;
pub mod workspace;

pub mod auth;
pub mod limits;
pub mod settings;

pub mod event;

pub mod doorbell;

pub mod db;

pub mod error;
