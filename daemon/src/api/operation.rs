//! The operations of `graphql/daemon.graphql` as types, checked against the schema by the compiler.

use graphql_client::GraphQLQuery;

use self::scalar::{Cursor, JSON, UUID};

/// What the schema's scalars are in Rust.
#[expect(
    clippy::upper_case_acronyms,
    reason = "the generated code looks for the schema's own names"
)]
pub(crate) mod scalar {
    /// `UUID`.
    pub(crate) type UUID = uuid::Uuid;
    /// `JSON`.
    pub(crate) type JSON = serde_json::Value;
    /// `Cursor`: opaque, so only ever handed back as it came.
    pub(crate) type Cursor = String;
}

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct ViewerQuery;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct RegisterRuntime;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct RecoverOrphanedTasks;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct Heartbeat;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct ClaimTask;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct StartTask;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct PinTaskSession;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct ReportTaskProgress;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct AppendTaskMessages;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct ReportTaskUsage;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct CompleteTask;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct FailTask;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct TaskAvailable;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../schema.graphql",
    query_path = "graphql/daemon.graphql",
    skip_serializing_none
)]
pub(crate) struct TaskEvents;
