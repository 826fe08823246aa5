//! What was found out, as a table.

use std::collections::BTreeMap;

use super::count::Counted;
use super::side::{Mode, Queue, Side, meaning};
use crate::rates::Rates;
use crate::report::{Row, Table, columns};
use crate::sample::Sample;

/// What was found out about a side, a round after the other.
#[derive(Debug, Default)]
pub(super) struct Found {
    rates: Rates,
    postgres: Sample,
    server: Sample,
    clients: Sample,
    memory: Sample,
}

impl Found {
    pub(super) fn add(&mut self, counted: &Counted) {
        self.rates.add(counted.rate());
        self.postgres.add(counted.micros(counted.used.postgres));
        self.server.add(counted.micros(counted.used.server));
        self.clients.add(counted.micros(counted.used.clients));
        self.memory.add(counted.memory);
    }
}

/// What was found out, with so many workers.
pub(super) fn table(workers: usize, found: &BTreeMap<Side, Found>) -> Table {
    let rows = found.iter().map(|((mode, queue), own)| {
        let callboard = found.get(&(*mode, Queue::Callboard)).map(|it| &it.rates);
        let costs = [&own.postgres, &own.server, &own.clients, &own.memory];
        let how = match mode {
            Mode::Single => "single",
            Mode::Batched => "batched",
        };
        Row {
            name: format!("{}, {how}", queue.name()),
            meaning: meaning((*mode, *queue)).to_owned(),
            cells: own.rates.cells_with(callboard, costs),
        }
    });
    Table {
        title: format!("{workers} tasks at work at once"),
        columns: columns([
            (
                "lives/s",
                "tasks a second that were enqueued and completed, by what is committed; the middle round",
            ),
            ("spread", "the smallest and the largest of the rounds"),
            (
                "Callboard's",
                "Callboard's rate to this one's, of the same mode and round; the middle round",
            ),
            ("its spread", "the smallest and the largest of these"),
            (
                "Postgres µs",
                "processor time that Postgres used for a life: a thousandth of it is seconds for 1 000 lives",
            ),
            (
                "server µs",
                "the same of Callboard's server; the peers have none",
            ),
            (
                "clients µs",
                "the same of those who enqueue and work: this program for Callboard, Node.js with the peer's library in it",
            ),
            (
                "MiB",
                "memory that Callboard's server had resident at the end of a round",
            ),
        ]),
        rows: rows.collect(),
    }
}
