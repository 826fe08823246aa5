//! What a run found out, as tables for people and as JSON for machines.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::sample::short;

/// What is in a field of a table.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// A measured number.
    Number(f64),
    /// Text.
    Text(String),
}

impl Cell {
    /// As it is printed.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Number(value) if value.is_nan() => String::new(),
            Self::Number(value) => short(*value),
            Self::Text(text) => text.clone(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Number(value) => json!(value),
            Self::Text(text) => json!(text),
        }
    }
}

/// Figures that belong together.
#[derive(Debug)]
pub(crate) struct Table {
    /// What it is called.
    pub(crate) title: String,
    /// What its columns are called, and what is in them.
    pub(crate) columns: Vec<(String, String)>,
    /// What its rows are called, what they are about, and what was found.
    pub(crate) rows: Vec<Row>,
}

/// Columns with fixed names.
pub(crate) fn columns<const N: usize>(columns: [(&str, &str); N]) -> Vec<(String, String)> {
    columns
        .into_iter()
        .map(|(name, meaning)| (name.to_owned(), meaning.to_owned()))
        .collect()
}

/// Figures of one thing.
#[derive(Debug)]
pub(crate) struct Row {
    /// What it is called.
    pub(crate) name: String,
    /// What it is, in a sentence.
    pub(crate) meaning: String,
    /// What was found, a field for each column.
    pub(crate) cells: Vec<Cell>,
}

/// All that a run found out.
#[derive(Debug)]
pub(crate) struct Report {
    case: &'static str,
    conditions: Vec<(&'static str, String)>,
    tables: Vec<Table>,
    details: Map<String, Value>,
    /// What was printed of what names mean: once is enough.
    explained: BTreeSet<(String, String)>,
}

impl Report {
    /// Begins one, with what it was measured on.
    pub(crate) fn new(case: &'static str, postgres: String) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let build = if cfg!(debug_assertions) {
            "debug: for development only, these figures mean nothing"
        } else {
            "release"
        };
        Self {
            case,
            conditions: vec![
                ("Postgres", postgres),
                ("processors", cores.to_string()),
                ("build", build.to_owned()),
                ("load average at the beginning", load_average()),
            ],
            tables: Vec::new(),
            details: Map::new(),
            explained: BTreeSet::new(),
        }
    }

    /// Says under which condition the figures were found.
    pub(crate) fn condition(&mut self, name: &'static str, value: &impl ToString) {
        self.conditions.push((name, value.to_string()));
    }

    /// Adds a table and prints it.
    pub(crate) fn add(&mut self, table: Table) -> anyhow::Result<()> {
        let mut output = std::io::stdout().lock();
        print(&mut output, &table)?;
        for (name, meaning) in meanings(&table) {
            if !meaning.is_empty() && self.explained.insert((name.clone(), meaning.clone())) {
                writeln!(output, "  {name}: {meaning}")?;
            }
        }
        self.tables.push(table);
        Ok(())
    }

    /// Adds what only machines, and people who look closely, want to know.
    pub(crate) fn detail(&mut self, name: impl Into<String>, value: Value) {
        self.details.insert(name.into(), value);
    }

    /// Says under which conditions all this was found, and writes it to a file if there is one.
    pub(crate) fn finish(mut self, file: Option<PathBuf>) -> anyhow::Result<()> {
        self.condition("load average at the end", &load_average());
        let mut output = std::io::stdout().lock();
        writeln!(output, "\nMeasured on")?;
        for (name, value) in &self.conditions {
            writeln!(output, "  {name}: {value}")?;
        }
        let Some(file) = file else { return Ok(()) };
        let conditions: Map<String, Value> = self
            .conditions
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        let tables: Vec<Value> = self.tables.iter().map(as_json).collect();
        let report = json!({
            "case": self.case, "conditions": conditions, "tables": tables, "details": self.details,
        });
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)?;
        Ok(())
    }
}

/// How busy the machine is: with what else it does, the figures mean less.
fn load_average() -> String {
    std::fs::read_to_string("/proc/loadavg").map_or_else(
        |_| "unknown".to_owned(),
        |text| text.split(' ').take(3).collect::<Vec<_>>().join(" "),
    )
}

/// Writes the table in columns.
fn print(output: &mut impl Write, table: &Table) -> std::io::Result<()> {
    let head: Vec<String> = std::iter::once(String::new())
        .chain(table.columns.iter().map(|(name, _)| name.clone()))
        .collect();
    let rows = table.rows.iter().map(|row| {
        std::iter::once(row.name.clone())
            .chain(row.cells.iter().map(Cell::text))
            .collect::<Vec<_>>()
    });
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        let fields = lines.iter().filter_map(|line| line.get(column));
        fields.map(|field| field.chars().count()).max().unwrap_or(0)
    };
    writeln!(output, "\n{}\n", table.title)?;
    for line in &lines {
        for (column, field) in line.iter().enumerate() {
            let width = width(column);
            if column == 0 {
                write!(output, "  {field:width$}")?;
            } else {
                write!(output, "  {field:>width$}")?;
            }
        }
        writeln!(output)?;
    }
    writeln!(output)
}

/// What the names in a table mean.
fn meanings(table: &Table) -> Vec<(String, String)> {
    let columns = table.columns.iter().cloned();
    let rows = table
        .rows
        .iter()
        .map(|row| (row.name.clone(), row.meaning.clone()));
    columns.chain(rows).collect()
}

fn as_json(table: &Table) -> Value {
    let columns: Map<String, Value> = table
        .columns
        .iter()
        .map(|(name, meaning)| (name.clone(), json!(meaning)))
        .collect();
    let rows: Vec<Value> = table
        .rows
        .iter()
        .map(|row| {
            let values: Map<String, Value> = table
                .columns
                .iter()
                .zip(&row.cells)
                .map(|((name, _), cell)| (name.clone(), cell.json()))
                .collect();
            json!({"name": row.name, "meaning": row.meaning, "values": values})
        })
        .collect();
    json!({"title": table.title, "columns": columns, "rows": rows})
}
