//! Many subscriptions on one socket, and one on a stream of events.

use std::collections::HashMap;

use callboard::auth::Identity;
use serde_json::{Value, json};

use crate::harness::{Client, Events, Socket, TestApp, TestServer, World};

/// A token of the host's.
pub(super) async fn token_of_host(app: &TestApp, world: &World<'_>) -> String {
    let workspace_id = world.workspace_id;
    app.token(Identity::Service { workspace_id }).await
}

/// Subscriptions that ask the same, on one socket.
pub(super) struct Crowd {
    socket: Socket,
    /// What each was told and nobody has asked for, by their names.
    told: HashMap<String, Vec<Value>>,
}

impl Crowd {
    /// Opens a socket, and on it so many subscriptions.
    pub(super) async fn open(
        server: &TestServer,
        token: &str,
        document: &str,
        variables: &Value,
        count: usize,
    ) -> Self {
        let mut socket = Socket::acknowledged(server.address, token).await;
        let mut told = HashMap::new();
        for number in 0..count {
            let name = number.to_string();
            socket.subscribe(&name, document, variables.clone()).await;
            told.insert(name, Vec::new());
        }
        Self { socket, told }
    }

    /// So many results for each, which are no more than that for none of them.
    pub(super) async fn take(&mut self, count: usize) -> Vec<Vec<Value>> {
        while self.told.values().any(|told| told.len() < count) {
            let message = self.socket.receive().await;
            if message["type"] == "ping" {
                self.socket.send(json!({"type": "pong"})).await;
                continue;
            }
            assert_eq!(message["type"], "next", "{message}");
            let name = message["id"].as_str().unwrap();
            let data = &message["payload"]["data"];
            let (_, event) = data.as_object().unwrap().iter().next().unwrap();
            self.told.get_mut(name).unwrap().push(event.clone());
        }
        self.told
            .values_mut()
            .map(|told| told.drain(..count).collect())
            .collect()
    }

    /// Takes events for each, which have these cursors.
    pub(super) async fn expect(&mut self, cursors: &[String]) {
        for told in self.take(cursors.len()).await {
            let found: Vec<&str> = told.iter().map(cursor).collect();
            assert_eq!(found, cursors);
            told.iter().for_each(super::check_name);
        }
    }

    /// The code and reason with which the server closes the socket.
    pub(super) async fn closed(&mut self) -> (u16, String) {
        self.socket.closed().await
    }
}

/// A subscription on a stream of events.
pub(super) struct Listener(Events);

impl Listener {
    pub(super) async fn open(
        server: &TestServer,
        token: &str,
        document: &str,
        variables: &Value,
    ) -> Self {
        // The HTTP client asks for a TLS provider even where it speaks to nobody over TLS; a client of ours installs it.
        let _client = Client::new(server.address, "");
        let request = reqwest::Client::new()
            .post(format!("http://{}/graphql/stream", server.address))
            .bearer_auth(token)
            .header("accept", "text/event-stream")
            .header("content-type", "application/json")
            .body(json!({"query": document, "variables": variables}).to_string());
        Self(Events::of(request).await)
    }

    /// So many events, each with its cursor for an id.
    pub(super) async fn take(&mut self, count: usize) -> Vec<Value> {
        let mut told = Vec::new();
        while told.len() < count {
            let event = self.0.next().await.expect("an event");
            let result = event.result()["data"]["taskEvents"].clone();
            assert_eq!(event.id.as_deref(), Some(cursor(&result)));
            told.push(result);
        }
        told
    }

    /// Takes events, which have these cursors.
    pub(super) async fn expect(&mut self, cursors: &[String]) {
        let told = self.take(cursors.len()).await;
        let found: Vec<&str> = told.iter().map(cursor).collect();
        assert_eq!(found, cursors);
    }
}

/// The cursor of an event.
fn cursor(event: &Value) -> &str {
    event["cursor"]
        .as_str()
        .unwrap_or_else(|| panic!("{event}"))
}
