//! What was found out, and the tables of it.

use std::collections::BTreeMap;

use crate::rates::Rates;
use crate::report::{Cell, Row, Table, columns};
use crate::sample::Sample;

use super::asked::Question;
use super::load::Answered;
use super::sides::Side;

/// What came of asking one side once for some seconds.
#[derive(Debug)]
pub(super) struct One {
    /// The answers.
    pub(super) answered: Answered,
    /// Milliseconds of processor time that a server used for an answer.
    pub(super) server: f64,
    /// The same of Postgres.
    pub(super) postgres: f64,
}

/// Who was asked what on which board, which is named by how many finished tasks it has.
pub(super) type Place = (Question, u32, Side);

/// All of it, by round.
#[derive(Debug, Default)]
pub(super) struct Found(BTreeMap<Place, Vec<One>>);

impl Found {
    /// Adds what came of a round.
    pub(super) fn add(&mut self, place: Place, one: One) {
        self.0.entry(place).or_default().push(one);
    }

    /// What was found in each round.
    fn sample(&self, place: Place, value: impl Fn(&One) -> f64) -> Sample {
        self.0
            .get(&place)
            .into_iter()
            .flatten()
            .map(value)
            .collect()
    }

    /// How many answers it gave in a second, in each round.
    fn rates(&self, place: Place) -> Rates {
        let rounds = self.0.get(&place).into_iter().flatten();
        rounds.map(|one| one.answered.rate).collect()
    }

    /// The sides beside each other on one board.
    pub(super) fn on_board(&self, question: Question, finished: u32) -> Table {
        let rows = Side::ALL.into_iter().map(|side| {
            let place = (question, finished, side);
            let callboard = self.rates((question, finished, Side::Callboard));
            let mut times = Sample::default();
            for one in self.0.get(&place).into_iter().flatten() {
                times.add_all(&one.answered.times);
            }
            let rates = self.rates(place).cells(Some(&callboard));
            let others = [
                Cell::Number(times.median()),
                Cell::Number(times.quantile(950)),
                Cell::Number(self.sample(place, |one| one.server).median()),
                Cell::Number(self.sample(place, |one| one.postgres).median()),
                Cell::Number(self.sample(place, |one| one.answered.kilobytes()).median()),
            ];
            row(side, rates.into_iter().chain(others).collect())
        });
        Table {
            title: format!(
                "{} with {finished} finished tasks: {}",
                question.name(),
                question.meaning()
            ),
            columns: columns([
                ("answers/s", "answers in a second; the middle round"),
                ("spread", "the smallest and the largest of the rounds"),
                (
                    "Callboard's",
                    "Callboard's rate to this one's, of the same round; the middle round",
                ),
                ("its spread", "the smallest and the largest of these"),
                (
                    "ms",
                    "how long an answer took; the middle one of all rounds",
                ),
                ("p95 ms", "within which 95 of 100 answers came"),
                (
                    "server ms",
                    "processor time that the server used for an answer",
                ),
                ("Postgres ms", "the same of Postgres"),
                ("kB", "bytes of an answer, in thousands"),
            ]),
            rows: rows.collect(),
        }
    }

    /// What the finished tasks cost each side.
    pub(super) fn of_history(&self, question: Question, few: u32, many: u32) -> Table {
        let rows = Side::ALL.into_iter().map(|side| {
            let many = self.rates((question, many, side));
            let ratio = self.rates((question, few, side)).to(&many);
            let cells = [Cell::Number(ratio.median()), Cell::Text(ratio.spread())];
            row(side, cells.into())
        });
        Table {
            title: format!("{}: {few} finished tasks against {many}", question.name()),
            columns: columns([
                (
                    "times",
                    "the rate with few finished tasks to the one with many, of the same round; the middle round",
                ),
                ("spread", "the smallest and the largest of the rounds"),
            ]),
            rows: rows.collect(),
        }
    }
}

fn row(side: Side, cells: Vec<Cell>) -> Row {
    Row {
        name: side.name().to_owned(),
        meaning: side.meaning().to_owned(),
        cells,
    }
}
