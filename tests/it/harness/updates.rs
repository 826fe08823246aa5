//! Following a workspace as a front end does that keeps all of it on the screen.

use serde_json::{Value, json};

use super::{Client, Subscription, World};

/// What is asked of everything that is told.
const DOCUMENT: &str = "subscription($id: UUID!, $after: Cursor) {
    workspaceUpdates(workspaceId: $id, after: $after) {
        __typename
        ... on WorkspaceSnapshot { cursor activeTasks { id status } presence { agentId workload } latestOutcomes { id } }
        ... on TaskEvent { cursor kind task { id } }
        ... on AgentPresence { agentId availability workload runningCount queuedCount }
        ... on Checkpoint { cursor }
    } }";

/// A subscription to all that is new in a workspace.
pub(crate) struct Updates(Subscription);

impl Updates {
    /// What is told next.
    pub(crate) async fn next(&mut self) -> Value {
        self.0.next().await["workspaceUpdates"].clone()
    }

    /// What is told next, which is of this type.
    pub(crate) async fn expect(&mut self, name: &str) -> Value {
        let update = self.next().await;
        assert_eq!(update["__typename"], name, "{update}");
        update
    }

    /// What is told until an event of this kind, that included: no more than so much may come before it.
    pub(crate) async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut told = Vec::new();
        loop {
            told.push(self.next().await);
            if told.last().is_some_and(|update| update["kind"] == kind) {
                return told;
            }
        }
    }

    /// The code of the error that it ends with.
    pub(crate) async fn error(&mut self) -> String {
        self.0.error().await.code
    }
}

impl World<'_> {
    /// Follows the workspace from a snapshot, or from a cursor.
    pub(crate) async fn updates(&self, client: &Client, after: Option<&str>) -> Updates {
        let variables = json!({"id": self.workspace_id.0, "after": after});
        Updates(client.subscribe(DOCUMENT, variables).await)
    }
}
