//! `/graphql/ws`, case by case against graphql-transport-ws.

mod bad_message;
mod drain;
mod init;
mod limit;
mod liveness;
mod operation;
mod token;

use std::time::Duration;

use callboard::settings::{Edge, Settings};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{PATIENCE, PROTOCOL, Socket, TestApp, World};

/// A moment that is over soon, for tests that wait until it is.
const MOMENT: Duration = Duration::from_millis(200);

/// A subscription to whatever happens to tasks.
const EVENTS: &str =
    "subscription($id: UUID!) { taskEvents(workspaceId: $id) { kind task { id } } }";

/// A subscription that has a first result at once.
const BANNER: &str =
    "subscription($issue: UUID!) { issueTasks(issueId: $issue) { activeTasks { id } } }";

/// The variables of [`BANNER`], of an issue that nobody else knows.
fn some_issue() -> Value {
    json!({"issue": Uuid::new_v4()})
}

/// The variables of [`EVENTS`].
fn of_workspace(world: &World<'_>) -> Value {
    json!({"id": world.workspace_id.0})
}

/// The default settings, with other bounds for clients.
fn bounded(edge: Edge) -> Settings {
    Settings {
        edge,
        ..Settings::default()
    }
}

/// Subscribes to [`BANNER`], and waits for its first result: from then on the server has the subscription.
async fn begin_banner(socket: &mut Socket, id: &str) {
    socket.subscribe(id, BANNER, some_issue()).await;
    let message = socket.receive().await;
    assert_eq!(
        (&message["type"], &message["id"]),
        (&json!("next"), &json!(id))
    );
    assert!(
        message["payload"]["data"]["issueTasks"].is_object(),
        "{message}"
    );
}

/// Tries to open a socket until there is room for one more of its token.
async fn until_admitted(app: &TestApp, token: &str) {
    let admitted = async {
        loop {
            let mut next = Socket::open(app.address(), Some(PROTOCOL)).await;
            next.initialise(token).await;
            match next.next().await {
                Ok(message) => return assert_eq!(message, json!({"type": "connection_ack"})),
                Err(close) => assert_eq!(close.map(|(code, _)| code), Some(1013)),
            }
        }
    };
    let admitted = tokio::time::timeout(PATIENCE, admitted).await;
    admitted.expect("there is room in time");
}
