//! What is said on one socket.

use std::ops::ControlFlow;
use std::sync::Arc;

use async_graphql::Request;
use async_graphql::parser::types::OperationType;
use axum::extract::ws::{Message, WebSocket};
use futures::{FutureExt, SinkExt, StreamExt, stream};
use secrecy::SecretString;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::close::Close;
use super::message::{ClientMessage, ServerMessage};
use super::operations::{Operations, Said};
use crate::auth::Viewer;
use crate::error::Error;
use crate::graphql::Outcome;
use crate::http::parameters::Parameters;
use crate::http::sessions::Session;
use crate::http::{Edge, viewer};
use crate::metrics::Open;

/// How long a client may take to answer that it is closing too.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(1);

/// How many results are written before what was written is sent. More would keep the client from being heard.
const WRITTEN_AT_ONCE: usize = 64;

/// What was said on a socket, and is under way.
pub(super) struct Conversation {
    edge: Arc<Edge>,
    socket: WebSocket,
    /// Counts it.
    _open: Open,
    /// The token of the request that opened the socket.
    from_header: Option<SecretString>,
    client: Option<Client>,
    /// Cancelled when the client's token no longer holds.
    ended: CancellationToken,
    operations: Operations,
    /// When something is due: that the client says who it is, that it is pinged, that it has answered.
    due: Instant,
    pinged: bool,
}

/// Who was acknowledged.
struct Client {
    viewer: Viewer,
    _session: Session,
}

/// What comes next.
enum Turn {
    /// From the client; none where it is gone.
    Heard(Option<Result<Message, axum::Error>>),
    /// From what is under way.
    Said(Said),
}

/// How a conversation goes on; broken off without a word where nobody would hear it.
type Flow = ControlFlow<Option<Close>>;

impl Conversation {
    /// Nothing was said yet.
    pub(super) fn new(
        edge: Arc<Edge>,
        socket: WebSocket,
        from_header: Option<SecretString>,
    ) -> Self {
        Self {
            due: Instant::now() + edge.bounds.init_timeout,
            _open: edge.board.metrics.live.socket(),
            edge,
            socket,
            from_header,
            client: None,
            ended: CancellationToken::new(),
            operations: Operations::default(),
            pinged: false,
        }
    }

    /// Converses until there is a reason to end.
    pub(super) async fn hold(mut self: Box<Self>) {
        loop {
            let flow = tokio::select! {
                biased;
                () = self.edge.stop.cancelled() => ControlFlow::Break(Some(Close::RESTART)),
                () = self.ended.cancelled() => ControlFlow::Break(Some(Close::FORBIDDEN)),
                () = tokio::time::sleep_until(self.due) => self.fall_due().await,
                turn = Self::turn(&mut self.socket, &mut self.operations) => match turn {
                    // Rare, and large while it lasts: there are far more sockets on which nothing is heard.
                    Turn::Heard(message) => Box::pin(self.hear(message)).await,
                    Turn::Said(said) => self.tell(said).await,
                },
            };
            match flow {
                ControlFlow::Continue(()) => {}
                ControlFlow::Break(Some(close)) => return Box::pin(self.end(close)).await,
                ControlFlow::Break(None) => return,
            }
        }
    }

    /// Says good-bye, and waits a little for the client to say so too: what it has not read when the connection ends, it may
    /// never read.
    pub(super) async fn end(mut self: Box<Self>, close: Close) {
        // Neither the database nor anybody else is to work for it meanwhile.
        self.operations = Operations::default();
        self.client = None;
        let farewell = async {
            let sent = self.socket.send(Message::Close(Some(close.into()))).await;
            if sent.is_ok() {
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        };
        let _elapsed = tokio::time::timeout(FAREWELL, farewell).await;
    }

    /// What comes next, from either side, and from each in turn.
    async fn turn(socket: &mut WebSocket, operations: &mut Operations) -> Turn {
        tokio::select! {
            message = socket.recv() => Turn::Heard(message),
            Some(said) = operations.next() => Turn::Said(said),
        }
    }

    /// The client is late, or is to be asked whether it is there.
    async fn fall_due(&mut self) -> Flow {
        if self.client.is_none() {
            return ControlFlow::Break(Some(Close::NOT_INITIALISED));
        }
        if self.pinged {
            // While something could not be sent nothing was heard: the answer may have come.
            return match self.socket.recv().now_or_never() {
                Some(message) => Box::pin(self.hear(message)).await,
                None => ControlFlow::Break(Some(Close::NO_PONG)),
            };
        }
        self.say(&ServerMessage::Ping).await?;
        self.pinged = true;
        // It cannot answer before it is asked.
        self.due = Instant::now() + self.edge.bounds.ping_interval;
        ControlFlow::Continue(())
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Flow {
        let message = match message {
            Some(Ok(Message::Text(text))) => ClientMessage::read(&text),
            Some(Ok(Message::Binary(_))) => return ControlFlow::Break(Some(Close::BINARY)),
            // Those of WebSocket itself are answered by the library, and so is its farewell.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => {
                return ControlFlow::Continue(());
            }
            Some(Err(error)) => return ControlFlow::Break(Close::broken(error)),
            None => return ControlFlow::Break(None),
        };
        match message {
            Ok(ClientMessage::ConnectionInit { payload }) => self.initialise(payload).await,
            Ok(ClientMessage::Ping { payload }) => self.answer_ping(payload).await,
            Ok(ClientMessage::Pong { .. }) => {
                self.pinged = false;
                ControlFlow::Continue(())
            }
            Ok(ClientMessage::Subscribe { id, payload }) => self.begin(&id, payload).await,
            Ok(ClientMessage::Complete { id }) => {
                self.operations.end(&id);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Some(Close::invalid(&error))),
        }
    }

    /// The client says who it is: in the payload, or in the header of the request that opened the socket.
    async fn initialise(&mut self, payload: Option<Map<String, Value>>) -> Flow {
        if self.client.is_some() {
            return ControlFlow::Break(Some(Close::INITIALISED_TWICE));
        }
        let token = payload
            .and_then(|mut payload| viewer::take_token(&mut payload))
            .or_else(|| self.from_header.take());
        let viewer = Self::authenticate(&self.edge, token).await?;
        self.admit(viewer)?;
        self.due = Instant::now() + self.edge.bounds.ping_interval;
        self.say(&ServerMessage::ConnectionAck).await
    }

    /// The client asks whether the server is there, and may show a fresh token with it.
    async fn answer_ping(&mut self, mut payload: Option<Map<String, Value>>) -> Flow {
        let token = payload.as_mut().and_then(viewer::take_token);
        if let (Some(token), Some(client)) = (token, &self.client) {
            // To look a token up costs as much as a request.
            if let Err(error) = self.edge.quota.request(&client.viewer) {
                return Self::turn_away(&self.edge, &error);
            }
            let before = client.viewer.identity.clone();
            let viewer = Self::authenticate(&self.edge, Some(token)).await?;
            if viewer.identity != before {
                return ControlFlow::Break(Some(Close::FORBIDDEN));
            }
            self.admit(viewer)?;
        }
        self.say(&ServerMessage::Pong { payload }).await
    }

    /// Finds out whose token it is, unless the server stops meanwhile.
    async fn authenticate(
        edge: &Edge,
        token: Option<SecretString>,
    ) -> ControlFlow<Option<Close>, Viewer> {
        let found = viewer::authenticate(edge, token);
        match edge.stop.run_until_cancelled(found).await {
            Some(Ok(viewer)) => ControlFlow::Continue(viewer),
            Some(Err(error)) => Self::turn_away(edge, &error),
            None => ControlFlow::Break(Some(Close::RESTART)),
        }
    }

    /// Closes the socket of somebody who is refused.
    fn turn_away<T>(edge: &Edge, error: &Error) -> ControlFlow<Option<Close>, T> {
        edge.board.metrics.operations.refused(error.code());
        ControlFlow::Break(Some(Close::refused(error)))
    }

    /// Goes on on behalf of a viewer.
    fn admit(&mut self, viewer: Viewer) -> Flow {
        // The same token again brings nothing new.
        let same = self
            .client
            .as_ref()
            .is_some_and(|client| client.viewer.token_id == viewer.token_id);
        if same {
            return ControlFlow::Continue(());
        }
        match self.edge.sessions.open(&viewer) {
            Ok(session) => {
                self.ended = session.ended();
                self.client = Some(Client {
                    viewer,
                    _session: session,
                });
                ControlFlow::Continue(())
            }
            Err(error) => Self::turn_away(&self.edge, &error),
        }
    }

    /// Begins an operation.
    async fn begin(&mut self, id: &str, parameters: Parameters) -> Flow {
        let Some(client) = &self.client else {
            return ControlFlow::Break(Some(Close::NOT_ACKNOWLEDGED));
        };
        if self.operations.contains(id) {
            return ControlFlow::Break(Some(Close::exists(id)));
        }
        let permitted = if self.operations.count() < self.edge.bounds.operations_per_socket {
            self.edge.quota.request(&client.viewer)
        } else {
            Err(Error::RateLimited {
                problem: "too many operations at once on this socket",
                retry_after: FAREWELL,
            })
        };
        if let Err(error) = permitted {
            self.edge.board.metrics.operations.refused(error.code());
            return self.refuse(id, &Outcome::from(error)).await;
        }
        let request = Request::from(parameters).data(client.viewer.clone());
        let prepared = match self.edge.executor.prepare(request) {
            Ok(prepared) => prepared,
            Err(refusal) => return self.refuse(id, &Outcome::from(refusal)).await,
        };
        let kind = prepared.kind();
        let executor = self.edge.executor.clone();
        let results = if kind == OperationType::Subscription {
            executor.follow(prepared)
        } else {
            stream::once(async move { Outcome::from(executor.run(prepared).await) }).boxed()
        };
        self.operations.begin(id, kind, results);
        ControlFlow::Continue(())
    }

    /// Passes on what came of an operation, and what else has come by then: to send many results at once costs little more
    /// than to send one.
    async fn tell(&mut self, said: Said) -> Flow {
        self.write_said(said).await?;
        for _ in 1..WRITTEN_AT_ONCE {
            let Some(said) = self.operations.next().now_or_never().flatten() else {
                break;
            };
            self.write_said(said).await?;
        }
        self.send().await
    }

    /// Writes what came of an operation.
    async fn write_said(&mut self, said: Said) -> Flow {
        match said {
            Said::Result(id, result) => {
                let payload = result.payload();
                self.write(&ServerMessage::Next { id: &id, payload }).await
            }
            Said::Refusal(id, refusal) => {
                let payload = refusal.errors();
                self.write(&ServerMessage::Error { id: &id, payload }).await
            }
            Said::End(id) => self.write(&ServerMessage::Complete { id: &id }).await,
        }
    }

    /// Says why an operation is not executed.
    async fn refuse(&mut self, id: &str, refusal: &Outcome) -> Flow {
        let payload = refusal.errors();
        self.say(&ServerMessage::Error { id, payload }).await
    }

    /// Says something.
    async fn say(&mut self, message: &ServerMessage<'_>) -> Flow {
        self.write(message).await?;
        self.send().await
    }

    /// Writes something that is to be sent, or to be sent with more.
    async fn write(&mut self, message: &ServerMessage<'_>) -> Flow {
        let text = match message.write() {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(error = %error, "a message could not be written as JSON");
                return ControlFlow::Break(None);
            }
        };
        let written = self.socket.feed(Message::Text(text));
        until_ended(&self.edge.stop, &self.ended, written).await
    }

    /// Sends what was written.
    async fn send(&mut self) -> Flow {
        let sent = self.socket.flush();
        until_ended(&self.edge.stop, &self.ended, sent).await
    }
}

/// Writes or sends, unless it is time to end: a client that does not read would hold that up.
async fn until_ended(
    stop: &CancellationToken,
    ended: &CancellationToken,
    sent: impl Future<Output = Result<(), axum::Error>>,
) -> Flow {
    tokio::select! {
        biased;
        sent = sent => match sent {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(None),
        },
        () = stop.cancelled() => ControlFlow::Break(Some(Close::RESTART)),
        () = ended.cancelled() => ControlFlow::Break(Some(Close::FORBIDDEN)),
    }
}
