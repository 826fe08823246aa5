//! What was found out about the calls, and how it is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::boards::{SMALL, Subject};
use super::call::CALLS;
use crate::life::Step;
use crate::plans::{Explained, Statements};
use crate::report::{Cell, Report, Row, Table, columns};
use crate::sample::Sample;

/// How much of a statement is shown.
const SHOWN: usize = 110;

/// A call on a board.
type Place = (&'static str, &'static str);

/// All that was found out.
#[derive(Debug, Default)]
pub(super) struct Found {
    rounds: BTreeMap<Place, BTreeMap<u32, Sample>>,
    refused: BTreeMap<Place, String>,
    statements: BTreeMap<(&'static str, &'static str, Explained), Statements>,
}

impl Found {
    /// Notes how long a call took; of those before the first round nothing is kept.
    pub(super) fn time(&mut self, place: Place, round: Option<u32>, time: Duration) {
        if let Some(round) = round {
            let rounds = self.rounds.entry(place).or_default();
            rounds.entry(round).or_default().add_time(time);
        }
    }

    /// Notes that a call was refused, as one is whose statements take too long.
    pub(super) fn refused(&mut self, place: Place, error: &anyhow::Error) {
        self.refused.insert(place, error.to_string());
    }

    /// Whether it was, and so need not be made again.
    pub(super) fn is_refused(&self, place: Place) -> bool {
        self.refused.contains_key(&place)
    }

    /// Notes the statements of a call on a board, instead of those that were noted before.
    pub(super) fn statements(
        &mut self,
        (call, board): Place,
        explained: Explained,
        statements: Statements,
    ) {
        let place = (call, board, explained);
        self.statements.insert(place, statements);
    }

    fn explained(&self, (call, board): Place, explained: Explained) -> Option<&Statements> {
        self.statements.get(&(call, board, explained))
    }

    /// Shows it, a table for each large board.
    pub(super) fn report(&self, subjects: &[Subject], report: &mut Report) -> anyhow::Result<()> {
        for subject in subjects.iter().filter(|subject| subject.name != SMALL) {
            report.add(self.times(subject))?;
            let grown = self.grown(subject);
            if !grown.rows.is_empty() {
                report.add(grown)?;
            }
        }
        for ((call, board), error) in &self.refused {
            report.detail(format!("{call} on {board} was refused"), json!(error));
        }
        for ((call, board, explained), statements) in &self.statements {
            if *explained == Explained::All {
                report.detail(format!("{call} on {board}"), statements.json());
            }
        }
        Ok(())
    }

    /// How long the calls took.
    fn times(&self, subject: &Subject) -> Table {
        let steps = Step::ALL
            .into_iter()
            .map(|step| (step.name(), step.meaning()));
        let calls = CALLS.iter().map(|call| (call.name, call.meaning));
        let rows = steps
            .chain(calls)
            .filter_map(|(name, meaning)| {
                Some(Row {
                    name: name.to_owned(),
                    meaning: meaning.to_owned(),
                    cells: self.compared(name, subject.name)?,
                })
            })
            .collect();
        Table {
            title: format!("{}: {}", subject.name, subject.meaning),
            columns: columns([
                (
                    "small ms",
                    "the median on the small board, over HTTP, of all rounds",
                ),
                (
                    "large ms",
                    "the median on this board; refused, where the server gave it up for taking longer than a statement may",
                ),
                (
                    "p95 ms",
                    "within which 19 of 20 calls were answered on this board",
                ),
                (
                    "ratio",
                    "large to small, of the medians of a round; the middle one of the rounds",
                ),
                ("spread", "the smallest and the largest of these ratios"),
                (
                    "small pages",
                    "pages of 8 KiB that the call's statements touch on the small board, triggers left out",
                ),
                ("large pages", "the same on this board"),
            ]),
            rows,
        }
    }

    /// A call on a board compared with the small one.
    fn compared(&self, call: &'static str, board: &'static str) -> Option<Vec<Cell>> {
        let small = self.rounds.get(&(call, SMALL))?;
        if self.is_refused((call, board)) {
            return Some(vec![
                Cell::Number(all(small).median()),
                Cell::Text("refused".to_owned()),
            ]);
        }
        let large = self.rounds.get(&(call, board))?;
        let mut ratios = Sample::default();
        for (round, sample) in large {
            ratios.add(sample.median() / small.get(round)?.median());
        }
        let pages = |board| {
            let sent = self.explained((call, board), Explained::Sent);
            number(sent.map_or(0, Statements::pages))
        };
        Some(vec![
            Cell::Number(all(small).median()),
            Cell::Number(all(large).median()),
            Cell::Number(all(large).quantile(950)),
            Cell::Number(ratios.median()),
            Cell::Text(ratios.spread()),
            pages(SMALL),
            pages(board),
        ])
    }

    /// The statements that touch more than on the small board.
    fn grown(&self, subject: &Subject) -> Table {
        let mut rows = Vec::new();
        for ((call, board, explained), statements) in &self.statements {
            if (*board, *explained) != (subject.name, Explained::All) {
                continue;
            }
            let none = Statements::default();
            let small = self
                .explained((call, SMALL), Explained::All)
                .unwrap_or(&none);
            for (statement, on_small) in statements.grown(small) {
                rows.push(Row {
                    name: (*call).to_owned(),
                    meaning: String::new(),
                    cells: vec![
                        number(on_small.map_or(0, |one| one.pages)),
                        number(statement.pages),
                        Cell::Number(on_small.map_or(f64::NAN, |one| one.millis)),
                        Cell::Number(statement.millis),
                        Cell::Text(statement.executions.to_string()),
                        Cell::Text(statement.query.chars().take(SHOWN).collect()),
                    ],
                });
            }
        }
        let (least, times) = (Statements::LEAST_PAGES, Statements::TIMES);
        Table {
            title: format!(
                "{}: the statements behind the calls that touch {least} pages and {times} times as many as on the small board",
                subject.name
            ),
            columns: columns([
                (
                    "small",
                    "pages of 8 KiB that the statement touches on the small board, in memory or not",
                ),
                (
                    "large",
                    "the same on this board; a function's are those of its statements too",
                ),
                (
                    "small ms",
                    "how long it takes there, explained, which is slower",
                ),
                ("large ms", "how long it takes here"),
                ("times", "how often the call executes it"),
                ("statement", "the beginning of its text"),
            ]),
            rows,
        }
    }
}

/// All rounds in one.
fn all(rounds: &BTreeMap<u32, Sample>) -> Sample {
    let mut sample = Sample::default();
    for round in rounds.values() {
        sample.add_all(round);
    }
    sample
}

fn number(pages: u64) -> Cell {
    Cell::Text(pages.to_string())
}
