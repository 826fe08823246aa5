//! The schema: authorise, call a capability, wrap what it returns. No SQL here, and no rules.

mod agent;
pub mod connection;
pub mod context;
mod executor;
mod feed;
mod input;
mod issue;
mod loader;
mod nesting;
mod presence;
mod rows;
mod runtime;
mod scalar;
mod snapshot;
mod task;
mod transcript;
mod viewer;
mod waiting;
mod weight;
mod workspace;

use async_graphql::{MergedObject, MergedSubscription};

pub use executor::{Executor, Outcome, Payload, Prepared, code, is_request_error};
pub use feed::Shared;

/// What can be asked.
#[derive(Debug, Default, MergedObject)]
pub struct Query(
    viewer::ViewerQuery,
    workspace::WorkspaceQuery,
    agent::AgentQuery,
    runtime::RuntimeQuery,
    task::TaskQuery,
    issue::IssueQuery,
);

/// What can be done.
#[derive(Debug, Default, MergedObject)]
pub struct Mutation(
    agent::AgentMutation,
    runtime::RuntimeMutation,
    task::BoardMutation,
    task::DaemonMutation,
    transcript::TranscriptMutation,
);

/// What can be watched.
#[derive(Debug, Default, MergedSubscription)]
pub struct Subscription(feed::FeedSubscription);

/// The schema of the service.
pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// The deepest a query may nest.
const MAX_DEPTH: usize = 15;

/// The most that a query may ask for: each field is one, and those of a list count as often as it is reckoned to have rows.
const MAX_COMPLEXITY: usize = 1_800;

/// The most directives on one field.
const MAX_DIRECTIVES: usize = 10;

/// Makes the schema over what its resolvers need.
pub fn schema(board: context::Board) -> Schema {
    builder().data(board).finish()
}

/// The schema in the schema definition language, as `schema.graphql` has it.
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> async_graphql::SchemaBuilder<Query, Mutation, Subscription> {
    async_graphql::Schema::build(
        Query::default(),
        Mutation::default(),
        Subscription::default(),
    )
    .limit_depth(MAX_DEPTH)
    .limit_complexity(MAX_COMPLEXITY)
    .limit_directives(MAX_DIRECTIVES)
}
