//! Counting statements where nobody can cheat: on the line to Postgres, in its own protocol.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// What was executed on the lines of a [`Proxy`](super::Proxy), in the order of its being sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Mutex<Vec<String>>>);

impl Tally {
    /// Forgets what was executed.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// What was executed since.
    pub(crate) fn statements(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn add(&self, sql: String) {
        self.0.lock().unwrap().push(sql);
    }
}

/// Reads along on one connection, from the client's side.
#[derive(Debug)]
pub(super) struct Ear {
    tally: Tally,
    /// What has arrived of a message that is not whole.
    arrived: Vec<u8>,
    /// Whether the first message, which has no kind, is over.
    begun: bool,
    /// The statements that were prepared, by name.
    prepared: HashMap<String, String>,
    /// The statements that were bound, by portal.
    bound: HashMap<String, String>,
}

impl Ear {
    pub(super) fn new(tally: Tally) -> Self {
        Self {
            tally,
            arrived: Vec::new(),
            begun: false,
            prepared: HashMap::new(),
            bound: HashMap::new(),
        }
    }

    /// Hears what goes by.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.arrived.extend_from_slice(bytes);
        while let Some((kind, body)) = self.message() {
            self.understand(kind, &body);
        }
    }

    /// The next message, once it is whole: its kind and what is in it.
    fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        let kind_bytes = usize::from(self.begun);
        let length = self.arrived.get(kind_bytes..kind_bytes + 4)?;
        let length = usize::try_from(u32::from_be_bytes(length.try_into().unwrap())).unwrap();
        let end = kind_bytes + length;
        if self.arrived.len() < end {
            return None;
        }
        let message: Vec<u8> = self.arrived.drain(..end).collect();
        let kind = if self.begun { message[0] } else { 0 };
        self.begun = true;
        Some((kind, message[kind_bytes + 4..].to_vec()))
    }

    fn understand(&mut self, kind: u8, body: &[u8]) {
        let mut texts = body
            .split(|byte| *byte == 0)
            .map(|text| String::from_utf8_lossy(text).into_owned());
        let mut text = || texts.next().unwrap();
        match kind {
            b'P' => {
                let name = text();
                self.prepared.insert(name, text());
            }
            b'B' => {
                let portal = text();
                self.bound.insert(portal, self.prepared[&text()].clone());
            }
            b'E' => self.tally.add(self.bound[&text()].clone()),
            b'Q' => self.tally.add(text()),
            _ => {}
        }
    }
}
