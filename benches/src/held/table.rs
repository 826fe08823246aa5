//! What the runs found out, side by side.

use super::Ran;
use crate::life::Step;
use crate::plans::Statements;
use crate::report::{Cell, Row, Table, columns};
use crate::sample::Sample;

/// How much of a statement is shown.
const SHOWN: usize = 110;

/// How many lives a second there were, in parts of so many seconds, and what each call touched in the end.
pub(super) fn rates(title: &str, part: f64, runs: &[Ran]) -> Table {
    let free = runs
        .first()
        .map_or(f64::NAN, |run| run.lived.last_rate(part));
    let rows = runs.iter().map(|run| Row {
        name: run.holder.name().to_owned(),
        meaning: run.holder.meaning().to_owned(),
        cells: cells(part, free, run),
    });
    Table {
        title: title.to_owned(),
        columns: heads(part, runs),
        rows: rows.collect(),
    }
}

fn heads(part: f64, runs: &[Ran]) -> Vec<(String, String)> {
    let parts = runs.first().map_or(0, |run| run.lived.0.len());
    let mut end = 0.0;
    let mut heads: Vec<(String, String)> = std::iter::repeat_with(|| {
        let begin = end;
        end += part;
        let meaning = "tasks a second that were enqueued, claimed, started and completed meanwhile";
        (format!("{begin:.0}–{end:.0} s"), meaning.to_owned())
    })
    .take(parts)
    .collect();
    heads.extend(columns([
        (
            "last/first",
            "the rate of the last part to that of the first",
        ),
        (
            "to free",
            "the rate of the last part to that of the run with nobody in the way",
        ),
        (
            "claim ms first",
            "the median time of a claim, over HTTP, in the first part",
        ),
        ("claim ms last", "the same in the last part"),
        ("lives", "how many tasks were completed in the whole run"),
        (
            "dead rows",
            "of the queue's table at the end, as Postgres counts them",
        ),
        (
            "enqueue",
            "pages of 8 KiB that the call's statements touch at the end, triggers left out",
        ),
        ("claim", "the same of a claim"),
        ("start", "the same of a start"),
        ("complete", "the same of a completion"),
    ]));
    heads
}

fn cells(part: f64, free: f64, run: &Ran) -> Vec<Cell> {
    let parts = &run.lived.0;
    let rates: Vec<f64> = parts.iter().map(|one| one.rate(part)).collect();
    let first = rates.first().copied().unwrap_or(f64::NAN);
    let last = run.lived.last_rate(part);
    let mut cells: Vec<Cell> = rates.into_iter().map(Cell::Number).collect();
    let claims = [parts.first(), parts.last()].map(|part| part.map(|part| &part.claims));
    cells.extend([Cell::Number(last / first), Cell::Number(last / free)]);
    cells.extend(claims.map(|claims| Cell::Number(claims.map_or(f64::NAN, Sample::median))));
    cells.extend([
        Cell::Text(run.lived.lives().to_string()),
        Cell::Text(run.dead_rows.to_string()),
    ]);
    cells.extend(Step::ALL.map(|step| {
        let pages = of_step(&run.sent, step).map_or(0, Statements::pages);
        Cell::Text(pages.to_string())
    }));
    cells
}

/// The statements that touch more in the end than in the run with nobody in the way.
pub(super) fn grown(title: &str, runs: &[Ran]) -> Table {
    let mut rows = Vec::new();
    for run in runs.iter().skip(1) {
        for (step, statements) in &run.all {
            let none = Statements::default();
            let free = runs.first().and_then(|free| of_step(&free.all, *step));
            for (statement, before) in statements.grown(free.unwrap_or(&none)) {
                rows.push(Row {
                    name: format!("{}, {}", run.holder.name(), step.name()),
                    meaning: String::new(),
                    cells: vec![
                        Cell::Text(before.map_or(0, |one| one.pages).to_string()),
                        Cell::Text(statement.pages.to_string()),
                        Cell::Number(before.map_or(f64::NAN, |one| one.millis)),
                        Cell::Number(statement.millis),
                        Cell::Text(statement.executions.to_string()),
                        Cell::Text(statement.query.chars().take(SHOWN).collect()),
                    ],
                });
            }
        }
    }
    Table {
        title: format!(
            "{title}: the statements at the end that touch more than with nobody in the way"
        ),
        columns: columns([
            (
                "free",
                "pages that the statement touches at the end of the run with nobody in the way",
            ),
            (
                "held",
                "the same at the end of this run; a function's are those of its statements too",
            ),
            (
                "free ms",
                "how long it takes there, explained, which is slower",
            ),
            ("held ms", "how long it takes here"),
            ("times", "how often the call executes it"),
            ("statement", "the beginning of its text"),
        ]),
        rows,
    }
}

fn of_step(statements: &[(Step, Statements)], step: Step) -> Option<&Statements> {
    let found = statements.iter().find(|(other, _)| *other == step);
    found.map(|(_, statements)| statements)
}
