//! What was found out: what a call costs, for each size of the board.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::life::Step;
use crate::postgres::Postgres;
use crate::processor::Used;
use crate::rates::Rates;
use crate::report::{Cell, Report, Row, Table, columns};
use crate::sample::Sample;
use crate::server::Server;

/// What belongs into one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// Claims, by how many tasks wait.
    Claim,
    /// Enqueues, by how many tasks wait.
    Enqueue,
    /// What idle daemons do, by how many daemons there are.
    Daemons,
}

impl Figure {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Claim, Self::Enqueue, Self::Daemons];

    /// The one in which a step of a task's life is shown.
    pub(super) const fn of(step: Step) -> Option<Self> {
        match step {
            Step::Enqueue => Some(Self::Enqueue),
            Step::Claim => Some(Self::Claim),
            Step::Start | Step::Complete => None,
        }
    }

    /// What it and its file are called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Enqueue => "enqueue",
            Self::Daemons => "daemons",
        }
    }

    /// What its sizes are.
    pub(crate) const fn sizes(self) -> &'static str {
        match self {
            Self::Claim | Self::Enqueue => "tasks that wait",
            Self::Daemons => "daemons",
        }
    }
}

/// What a call costs at one size, a round after the other.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Point {
    /// Which calls these are, of those in the picture.
    pub(crate) curve: String,
    /// How many tasks wait, or how many daemons there are.
    pub(crate) size: u32,
    /// How many calls were answered in a second.
    pub(crate) calls: Vec<f64>,
    /// How often pgbench had done the same in a second, where there is a plain statement for it.
    pub(crate) pgbench: Vec<f64>,
    /// Milliseconds of processor time that Postgres used for a call: seconds for a thousand.
    pub(crate) postgres: Vec<f64>,
    /// The same of the server.
    pub(crate) server: Vec<f64>,
    /// MiB of memory that the server had resident after the round.
    pub(crate) memory: Vec<f64>,
}

impl Point {
    /// Makes so many calls, and watches what they cost.
    pub(super) async fn measure(
        &mut self,
        postgres: &Postgres,
        server: &Server,
        calls: u32,
        make: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let used = || Used::until_now(server.process(), postgres.process());
        let (before, began) = (used(), Instant::now());
        make.await?;
        let (took, used) = (began.elapsed(), used().since(before));
        let calls = f64::from(calls);
        self.calls.push(calls / took.as_secs_f64());
        self.postgres.push(used.postgres * 1e3 / calls);
        self.server.push(used.server * 1e3 / calls);
        self.memory.push(server.memory()?);
        Ok(())
    }

    /// What is shown of it, a field for each of the columns.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let median = |values: &[f64]| Cell::Number(sample(values).median());
        let [calls, pgbench] = [&self.calls, &self.pgbench].map(|rates| rates.iter().copied());
        let ratios = calls.collect::<Rates>().to(&pgbench.collect());
        let spread = if self.pgbench.is_empty() {
            String::new()
        } else {
            ratios.spread()
        };
        vec![
            median(&self.calls),
            Cell::Text(sample(&self.calls).spread()),
            median(&self.pgbench),
            Cell::Number(ratios.median()),
            Cell::Text(spread),
            median(&self.postgres),
            median(&self.server),
            Cell::Number(self.memory.last().copied().unwrap_or(f64::NAN)),
        ]
    }
}

/// The columns of a table of points.
pub(crate) const COLUMNS: [(&str, &str); 8] = [
    (
        "calls/s",
        "how many were answered in a second; the middle round",
    ),
    ("spread", "the smallest and the largest of the rounds"),
    (
        "pgbench/s",
        "how often pgbench did the same in a second, as plain SQL over a socket, prepared, with Callboard's triggers",
    ),
    (
        "ratio",
        "Callboard's rate to pgbench's, of the same round; the middle round",
    ),
    ("its spread", "the smallest and the largest of these"),
    (
        "Postgres s",
        "seconds of processor time that Postgres used for 1 000 calls of Callboard's",
    ),
    ("server s", "the same of Callboard's server"),
    (
        "MiB",
        "memory that the server had resident after the last round",
    ),
];

/// All points.
#[derive(Debug, Default)]
pub(super) struct Found(BTreeMap<Figure, BTreeMap<(&'static str, u32), Point>>);

impl Found {
    /// The point of a curve in a picture at a size.
    pub(super) fn point(&mut self, figure: Figure, curve: &'static str, size: u32) -> &mut Point {
        let points = self.0.entry(figure).or_default();
        points.entry((curve, size)).or_insert_with(|| Point {
            curve: curve.to_owned(),
            size,
            ..Point::default()
        })
    }

    /// Shows them, a table for each picture, and keeps them for the pictures.
    pub(super) fn report(self, report: &mut Report) -> anyhow::Result<()> {
        for (figure, points) in self.0 {
            let points: Vec<Point> = points.into_values().collect();
            let rows = points.iter().map(|point| Row {
                name: format!("{}, {}", point.curve, point.size),
                meaning: String::new(),
                cells: point.cells(),
            });
            report.add(Table {
                title: format!("{}, by {}", figure.name(), figure.sizes()),
                columns: columns(COLUMNS),
                rows: rows.collect(),
            })?;
            report.detail(figure.name(), serde_json::to_value(points)?);
        }
        Ok(())
    }
}

/// The points of a picture in the details of a report.
pub(crate) fn points(report: &serde_json::Value, figure: Figure) -> anyhow::Result<Vec<Point>> {
    let points = report.pointer(&format!("/details/{}", figure.name()));
    let points = points.with_context(|| format!("{} was not measured", figure.name()))?;
    Ok(Vec::deserialize(points)?)
}

/// The values of all rounds.
pub(crate) fn sample(values: &[f64]) -> Sample {
    values.iter().copied().collect()
}
