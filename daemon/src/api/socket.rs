//! The two subscriptions of a daemon, over one websocket.

use std::{fmt::Display, future::IntoFuture, sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, Fuse},
};
use graphql_client::Response;
use graphql_ws_client::{Client, Subscription, graphql::StreamingOperation};
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio_tungstenite::{
    Connector, connect_async_tls_with_config,
    tungstenite::{
        client::IntoClientRequest,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};
use uuid::Uuid;

pub(crate) use super::operation::task_events::TaskEventKind as EventKind;
use super::{
    Api, ApiError, error,
    operation::{TaskAvailable, TaskEvents, task_available, task_events},
};

/// Something that a daemon has subscribed to has happened.
pub(crate) enum Notice {
    /// There may be something to claim.
    Available {
        /// For this runtime.
        runtime_id: Uuid,
    },
    /// A task has changed in a way that was asked for.
    Changed {
        /// Where in the log this is.
        cursor: String,
        /// How.
        kind: EventKind,
        /// Which.
        task_id: Uuid,
    },
}

/// Both subscriptions; dropping it closes the websocket.
pub(crate) struct Feeds {
    available: Subscription<StreamingOperation<TaskAvailable>>,
    events: Subscription<StreamingOperation<TaskEvents>>,
    /// Reads and writes the socket for as long as it is polled.
    socket: Fuse<BoxFuture<'static, ()>>,
}

/// Several missed: the line is dead. The server pings every 20 s, and each resets this.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

impl Api {
    /// Connects and subscribes, to the events after a cursor where there is one.
    pub(crate) async fn subscribe(
        &self,
        workspace_id: Uuid,
        runtime_ids: &[Uuid],
        after: Option<String>,
    ) -> Result<Feeds, ApiError> {
        let (client, socket) = tokio::time::timeout(self.timeout, Box::pin(self.connect()))
            .await
            .map_err(broken)??;
        let available = StreamingOperation::new(task_available::Variables {
            runtime_ids: runtime_ids.to_vec(),
        });
        let events = StreamingOperation::new(task_events::Variables {
            workspace_id,
            filter: Some(endings()),
            after,
        });
        // The client's queue holds both requests until the socket is polled.
        Ok(Feeds {
            available: client.subscribe(available).await.map_err(broken)?,
            events: client.subscribe(events).await.map_err(broken)?,
            socket,
        })
    }

    async fn connect(&self) -> Result<(Client, Fuse<BoxFuture<'static, ()>>), ApiError> {
        let mut request = self
            .endpoint
            .socket
            .as_str()
            .into_client_request()
            .map_err(broken)?;
        request.headers_mut().insert(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static("graphql-transport-ws"),
        );
        // Events are small; the default buffer is 128 KiB.
        let config = WebSocketConfig::default()
            .read_buffer_size(8 * 1024)
            .max_message_size(Some(1024 * 1024));
        let (stream, _) = connect_async_tls_with_config(
            request,
            Some(config),
            true,
            Some(Connector::Rustls(Arc::clone(&self.tls))),
        )
        .await
        .map_err(broken)?;
        let bearer = format!("Bearer {}", self.token.expose_secret());
        let (client, actor) = Client::build(stream)
            .payload(json!({ "Authorization": bearer }))
            .map_err(broken)?
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_retries(1)
            .await
            .map_err(broken)?;
        Ok((client, actor.into_future().boxed().fuse()))
    }
}

impl Feeds {
    /// Waits for the next notice, or for the end of either subscription.
    pub(crate) async fn next(&mut self) -> Result<Notice, ApiError> {
        tokio::select! {
            biased;
            item = self.available.next() => {
                let data = payload(item)?.task_available;
                Ok(Notice::Available { runtime_id: data.runtime_id })
            }
            item = self.events.next() => {
                let data = payload(item)?.task_events;
                Ok(Notice::Changed { cursor: data.cursor, kind: data.kind, task_id: data.task.id })
            }
            () = &mut self.socket => Err(broken("it was closed")),
        }
    }
}

/// Whatever may end a task that somebody else decides about.
fn endings() -> task_events::TaskEventFilter {
    task_events::TaskEventFilter {
        issue_id: None,
        agent_id: None,
        runtime_id: None,
        task_id: None,
        kinds: Some(vec![
            EventKind::CANCELLED,
            EventKind::FAILED,
            EventKind::COMPLETED,
            EventKind::REQUEUED,
        ]),
    }
}

fn payload<T>(item: Option<Result<Response<T>, graphql_ws_client::Error>>) -> Result<T, ApiError> {
    let response = item
        .ok_or_else(|| broken("the server ended a subscription"))?
        .map_err(broken)?;
    error::unwrap_response(response, StatusCode::OK)
}

fn broken(cause: impl Display) -> ApiError {
    ApiError::Socket(cause.to_string())
}
