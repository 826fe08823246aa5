//! Pictures of what the case `growth` found, and the same as a table for a page.
//!
//! A picture has a panel for each thing that was measured. Sizes go over decades and so have a logarithmic axis; what was
//! measured has an axis from zero, so that what is flat looks flat and nothing else does.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::prelude::*;
use serde_json::Value;

use crate::growth::found::{COLUMNS, Figure, Point, points, sample};
use crate::report::Cell;
use crate::sample::Sample;

/// Of a picture, in pixels.
const SIZE: (u32, u32) = (880, 560);

/// What is written in it.
const FONT: (&str, f64) = ("sans-serif", 12.4);

/// How high the names of the curves are, above the panels.
const NAMES: u32 = 28;

/// The curves' colours, in the order of their names; they can be told apart by those who see fewer colours.
const COLOURS: [RGBColor; 3] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(110, 110, 110),
];

/// What to draw.
#[derive(Args, Debug)]
pub(crate) struct PlotArgs {
    /// What `growth --json` has written.
    report: PathBuf,
    /// The directory for the pictures.
    #[arg(long)]
    out: PathBuf,
}

impl PlotArgs {
    /// Draws everything.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let report: Value = serde_json::from_slice(&std::fs::read(&self.report)?)?;
        std::fs::create_dir_all(&self.out)?;
        let names = COLUMNS.map(|(name, _)| name.to_owned());
        let mut page = vec![
            line("call", "size", names),
            line("---", "---", COLUMNS.map(|_| "---".to_owned())),
        ];
        for figure in Figure::ALL {
            let points = points(&report, figure)?;
            page.extend(points.iter().map(|point| {
                let call = format!("{}: {}", figure.name(), point.curve);
                let cells = point.cells().iter().map(Cell::text).collect::<Vec<_>>();
                line(&call, &rounded(point.size.into()), cells)
            }));
            let file = self.out.join(format!("{}.svg", figure.name()));
            std::fs::write(&file, picture(figure, points)?)
                .with_context(|| format!("{} cannot be written", file.display()))?;
        }
        writeln!(std::io::stdout(), "{}", page.join("\n"))?;
        Ok(())
    }
}

/// A line of a table in Markdown.
fn line(call: &str, size: &str, cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("| {call} | {size} | {} |", cells.join(" | "))
}

/// What a panel shows of a point: the values of all rounds.
type Shown = fn(&Point) -> &[f64];

/// The panels, with what is on their axes.
const PANELS: [(&str, Shown); 4] = [
    ("calls in a second", |point| &point.calls),
    ("Postgres: processor ms per call", |point| &point.postgres),
    ("server: processor ms per call", |point| &point.server),
    ("server: memory, MiB", |point| &point.memory),
];

/// Where it is drawn.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A picture, as SVG.
fn picture(figure: Figure, points: Vec<Point>) -> anyhow::Result<String> {
    let points = with_pgbench(points);
    let mut svg = String::new();
    {
        let all = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        // Of its own, so that it is read alike on a light page and on a dark one.
        all.fill(&WHITE)?;
        let (top, rest) = all.split_vertically(NAMES);
        names(&top, &points)?;
        for (area, (value, shown)) in rest.split_evenly((2, 2)).iter().zip(PANELS) {
            panel(area, (figure.sizes(), value), &points, shown)?;
        }
        all.present()?;
    }
    // Elements are opaque without that it is said of each, which is a tenth of the file.
    Ok(svg.replace(" opacity=\"1\"", ""))
}

/// The points, and behind them a curve of what pgbench did in the place of the first curve.
fn with_pgbench(mut points: Vec<Point>) -> Vec<Point> {
    let first = curves(&points).next().unwrap_or_default();
    let pgbench = first.iter().filter(|point| !point.pgbench.is_empty());
    let pgbench: Vec<Point> = pgbench
        .map(|point| Point {
            curve: "pgbench, plain SQL".to_owned(),
            size: point.size,
            calls: point.pgbench.clone(),
            ..Point::default()
        })
        .collect();
    points.extend(pgbench);
    points
}

/// The points of each curve.
fn curves(points: &[Point]) -> impl Iterator<Item = &[Point]> {
    points.chunk_by(|one, next| one.curve == next.curve)
}

/// Says which colour is whose.
fn names(area: &Area<'_>, points: &[Point]) -> anyhow::Result<()> {
    for ((left, curve), colour) in (60..).step_by(270).zip(curves(points)).zip(COLOURS) {
        let name = curve.first().map_or("", |point| &point.curve);
        let line = vec![(left, 18), (left + 24, 18)];
        area.draw(&PathElement::new(line, colour.stroke_width(2)))?;
        area.draw(&Text::new(name.to_owned(), (left + 32, 11), FONT))?;
    }
    Ok(())
}

/// Draws one panel.
fn panel(
    area: &Area<'_>,
    (size, value): (&str, &str),
    points: &[Point],
    shown: Shown,
) -> anyhow::Result<()> {
    let sizes: Sample = points.iter().map(|point| f64::from(point.size)).collect();
    let highest: Sample = points.iter().flat_map(shown).copied().collect();
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(38)
        .y_label_area_size(58)
        .build_cartesian_2d(
            (sizes.min() / 1.5..sizes.max() * 1.5).log_scale(),
            0.0..highest.max() * 1.1,
        )?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_labels(4)
        .y_labels(4)
        .x_label_formatter(&|size| rounded(*size))
        .y_label_formatter(&|value| rounded(*value))
        .x_desc(size)
        .y_desc(value)
        .label_style(FONT)
        .axis_desc_style(FONT)
        .draw()?;
    for (curve, colour) in curves(points).zip(COLOURS) {
        let measured = curve.iter().filter(|point| !shown(point).is_empty());
        let measured: Vec<(f64, Sample)> = measured
            .map(|point| (f64::from(point.size), sample(shown(point))))
            .collect();
        let line = measured
            .iter()
            .map(|(size, rounds)| (*size, rounds.median()));
        chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
        let spreads = measured.iter().map(|(size, rounds)| {
            let spread = vec![(*size, rounds.min()), (*size, rounds.max())];
            PathElement::new(spread, colour.stroke_width(1))
        });
        chart.draw_series(spreads)?;
        let medians = measured
            .iter()
            .map(|(size, rounds)| Circle::new((*size, rounds.median()), 3, colour.filled()));
        chart.draw_series(medians)?;
    }
    Ok(())
}

/// A number on an axis, without digits that say nothing.
fn rounded(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => format!("{}", (value * 1e3).round() / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, Point, SIZE, picture};

    #[test]
    fn a_picture_is_small_and_names_its_curves_and_axes() {
        let point = |curve: &str, size| Point {
            curve: curve.to_owned(),
            size,
            calls: vec![900.0, 1000.0, 1100.0],
            pgbench: vec![2000.0, 2100.0, 1900.0],
            postgres: vec![1.0, 1.1, 0.9],
            server: vec![0.4, 0.5, 0.3],
            memory: vec![20.0, 21.0, 22.0],
        };
        let sizes = [1_000, 10_000, 100_000, 1_000_000];
        let points = ["open", "held back"].map(|curve| sizes.map(|size| point(curve, size)));
        let svg = picture(Figure::Claim, points.concat()).unwrap();
        assert!(svg.len() <= 20 * 1024, "it has {} bytes", svg.len());
        assert!(svg.contains(&format!("width=\"{}\"", SIZE.0)));
        for named in [
            "open",
            "held back",
            "pgbench",
            "tasks that wait",
            "MiB",
            "100k",
            "1M",
        ] {
            assert!(svg.contains(named), "{named} is missing");
        }
    }
}
