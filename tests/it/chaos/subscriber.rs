//! A front end that comes back with its cursor, however often it is thrown out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use entity::id::{TaskId, WorkspaceId};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::{PATIENCE, Seen, uuid};

/// What it follows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Feed {
    /// `taskEvents`.
    Events,
    /// `workspaceUpdates`.
    Updates,
}

impl Feed {
    const fn document(self) -> &'static str {
        match self {
            Self::Events => {
                "subscription($id: UUID!, $after: Cursor) {
                 told: taskEvents(workspaceId: $id, after: $after) { cursor kind task { id } } }"
            }
            Self::Updates => {
                "subscription($id: UUID!, $after: Cursor) {
                 told: workspaceUpdates(workspaceId: $id, after: $after) {
                     ... on TaskEvent { cursor kind task { id } } ... on Checkpoint { checkpoint: cursor } } }"
            }
        }
    }
}

/// Why a session ended.
type Ended = Box<dyn std::error::Error + Send + Sync>;

/// The front end.
pub(super) struct Subscriber {
    log: watch::Receiver<Log>,
    sessions: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// What it has been told, and from where it goes on.
#[derive(Clone, Debug)]
struct Log {
    seen: Vec<Seen>,
    cursor: String,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscriber {
    /// Begins to follow, at a server that comes and goes.
    pub(super) fn start(
        feed: Feed,
        mut address: watch::Receiver<Option<SocketAddr>>,
        token: &str,
        workspace_id: WorkspaceId,
        start: &str,
    ) -> Self {
        let (told, log) = watch::channel(Log {
            seen: Vec::new(),
            cursor: start.to_owned(),
        });
        let sessions = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn({
            let (token, sessions) = (token.to_owned(), Arc::clone(&sessions));
            async move {
                while let Ok(at) = address.wait_for(Option::is_some).await.map(|at| *at) {
                    let at = at.expect("a server");
                    sessions.fetch_add(1, Ordering::Relaxed);
                    let _ended = follow(feed, at, &token, workspace_id, &told).await;
                    tokio::task::yield_now().await;
                }
            }
        });
        Self {
            log,
            sessions,
            task,
        }
    }

    /// Waits until it has been told of what happened up to a cursor.
    pub(super) async fn until(&self, cursor: &str, when: &str) {
        let mut log = self.log.clone();
        let told = log.wait_for(|log| log.cursor.as_str() >= cursor);
        tokio::time::timeout(3 * PATIENCE, told)
            .await
            .unwrap_or_else(|_elapsed| panic!("{when}: not told in time of {cursor}"))
            .unwrap();
    }

    /// What it has been told.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.log.borrow().seen.clone()
    }

    /// How often it connected.
    pub(super) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }
}

/// Follows for as long as it lasts.
async fn follow(
    feed: Feed,
    address: SocketAddr,
    token: &str,
    workspace_id: WorkspaceId,
    told: &watch::Sender<Log>,
) -> Result<(), Ended> {
    let mut request = format!("ws://{address}/graphql/ws").into_client_request()?;
    request
        .headers_mut()
        .insert("sec-websocket-protocol", "graphql-transport-ws".parse()?);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
    let init =
        json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {token}")}});
    socket.send(Message::text(init.to_string())).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else {
            continue;
        };
        let message: Value = serde_json::from_str(&text)?;
        match message["type"].as_str() {
            Some("connection_ack") => {
                let variables = json!({"id": workspace_id.0, "after": told.borrow().cursor});
                let payload = json!({"query": feed.document(), "variables": variables});
                let subscribe = json!({"type": "subscribe", "id": "1", "payload": payload});
                socket.send(Message::text(subscribe.to_string())).await?;
            }
            Some("ping") => socket.send(Message::text(r#"{"type":"pong"}"#)).await?,
            Some("next") if message["payload"].get("errors").is_none() => {
                told.send_modify(|log| log.tell(&message["payload"]["data"]["told"]));
            }
            _ => {
                let unavailable = text.contains("UNAVAILABLE");
                assert!(unavailable, "{feed:?} is ended by {message}");
                return Err(message.to_string().into());
            }
        }
    }
    Ok(())
}

impl Log {
    /// Notes what it was told.
    fn tell(&mut self, told: &Value) {
        if let Some(cursor) = told["cursor"].as_str() {
            self.seen.push(Seen {
                cursor: cursor.to_owned(),
                kind: told["kind"].as_str().unwrap().to_owned(),
                task_id: TaskId(uuid(&told["task"]["id"])),
            });
        }
        let cursor = told["cursor"].as_str().or(told["checkpoint"].as_str());
        if let Some(cursor) = cursor {
            cursor.clone_into(&mut self.cursor);
        }
    }
}
