//! What Postgres did for a call: the plans of all its statements, those within functions included, as `auto_explain`
//! writes them to the log.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use clap::ValueEnum;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;

/// Statements that a server makes for itself, now and then.
const BACKGROUND: [&str; 7] = [
    "task_event_horizon",
    "task_event_position",
    "pg_locks",
    "pg_notify",
    "task_event_maintain",
    "position >",
    "tasks_",
];

/// Which statements Postgres explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Explained {
    /// Those that the server sends: what they touch is all that a call touches, except by triggers.
    Sent,
    /// Those within functions and triggers too.
    All,
}

impl Explained {
    /// Lets Postgres write the plans of a connection's statements to its log.
    pub(crate) fn on(self, options: PgConnectOptions) -> PgConnectOptions {
        let nested = match self {
            Self::Sent => "off",
            Self::All => "on",
        };
        options.options([
            ("session_preload_libraries", "auto_explain"),
            ("auto_explain.log_min_duration", "0"),
            ("auto_explain.log_analyze", "on"),
            ("auto_explain.log_buffers", "on"),
            ("auto_explain.log_nested_statements", nested),
            ("auto_explain.log_format", "json"),
        ])
    }
}

/// One execution of a statement.
#[derive(Clone, Debug)]
struct Executed {
    query: String,
    millis: f64,
    pages: u64,
    plan: Value,
}

/// A statement, all its executions in one call together.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// Its text.
    pub(crate) query: String,
    /// How often the call executed it.
    pub(crate) executions: u32,
    /// How many pages it touched, in memory or not; what its triggers touched is not among them.
    pub(crate) pages: u64,
    /// How long it took, explaining included.
    pub(crate) millis: f64,
    /// The plan of the first execution.
    plan: Value,
}

impl Statement {
    /// With its plan.
    pub(crate) fn json(&self) -> Value {
        json!({
            "statement": self.query, "executions": self.executions, "pages": self.pages, "millis": self.millis,
            "first plan": self.plan,
        })
    }
}

/// The statements of a call, each once, in the order in which they first ended: those within a function before the one
/// that called it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statements(Vec<Statement>);

impl Statements {
    /// From how many pages on a statement is of interest.
    pub(crate) const LEAST_PAGES: u64 = 100;

    /// How many times as many as elsewhere these have to be.
    pub(crate) const TIMES: u64 = 2;

    /// Those that touch much more than the same ones of another call, with these.
    pub(crate) fn grown<'a>(
        &'a self,
        since: &'a Self,
    ) -> impl Iterator<Item = (&'a Statement, Option<&'a Statement>)> {
        self.0.iter().filter_map(|statement| {
            let before = since.0.iter().find(|one| one.query == statement.query);
            let pages = before.map_or(0, |one| one.pages);
            let grown =
                statement.pages >= Self::LEAST_PAGES && statement.pages >= Self::TIMES * pages;
            grown.then_some((statement, before))
        })
    }

    /// How many pages they touch together. Of all that is explained, what is within functions would be counted twice.
    pub(crate) fn pages(&self) -> u64 {
        self.0.iter().map(|statement| statement.pages).sum()
    }

    /// With their plans.
    pub(crate) fn json(&self) -> Value {
        self.0.iter().map(Statement::json).collect()
    }
}

impl FromIterator<Executed> for Statements {
    fn from_iter<T: IntoIterator<Item = Executed>>(all: T) -> Self {
        let mut statements: Vec<Statement> = Vec::new();
        for one in all {
            let known = statements.iter_mut().find(|known| known.query == one.query);
            if let Some(known) = known {
                known.executions += 1;
                known.pages += one.pages;
                known.millis += one.millis;
            } else {
                statements.push(Statement {
                    query: one.query,
                    executions: 1,
                    pages: one.pages,
                    millis: one.millis,
                    plan: one.plan,
                });
            }
        }
        Self(statements)
    }
}

/// The end of the log.
pub(crate) fn end(log: &Path) -> anyhow::Result<u64> {
    Ok(std::fs::metadata(log)?.len())
}

/// The statements in the log from a position on. What servers do for themselves is left out.
pub(crate) fn since(log: &Path, position: u64) -> anyhow::Result<Statements> {
    let mut file = std::fs::File::open(log)?;
    file.seek(SeekFrom::Start(position))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let own = |one: &Executed| !BACKGROUND.iter().any(|word| one.query.contains(word));
    Ok(parse(&text).into_iter().filter(own).collect())
}

/// The plans in a piece of the log. The lines of an entry that follow its first begin with a tab.
fn parse(text: &str) -> Vec<Executed> {
    let mut executed = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((_, after)) = line.split_once("duration: ") else {
            continue;
        };
        let millis = after
            .split_once(" ms  plan:")
            .and_then(|(millis, _)| millis.parse().ok());
        let mut json = String::new();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            json += more;
        }
        if let (Some(millis), Ok(entry)) = (millis, serde_json::from_str::<Value>(&json)) {
            executed.push(read(millis, &entry));
        }
    }
    executed
}

fn read(millis: f64, entry: &Value) -> Executed {
    let mut plan = entry.get("Plan").cloned().unwrap_or_default();
    if let (Some(plan), Some(jit)) = (plan.as_object_mut(), entry.get("JIT")) {
        plan.insert("JIT".to_owned(), jit.clone());
    }
    let blocks = |name: &str| plan.get(name).and_then(Value::as_u64).unwrap_or(0);
    let query = entry
        .get("Query Text")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Executed {
        query: query.split_whitespace().collect::<Vec<_>>().join(" "),
        millis,
        pages: blocks("Shared Hit Blocks") + blocks("Shared Read Blocks"),
        plan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_out_of_the_log() {
        let log = "2026-01-01 00:00:00.000 UTC [7] LOG:  checkpoint starting: time\n\
                   2026-01-01 00:00:00.000 UTC [7] LOG:  duration: 1.500 ms  plan:\n\
                   \t{\n\
                   \t  \"Query Text\": \"select 1\\n  from t\",\n\
                   \t  \"Plan\": { \"Node Type\": \"Result\", \"Shared Hit Blocks\": 3, \"Shared Read Blocks\": 4 }\n\
                   \t}\n\
                   2026-01-01 00:00:00.000 UTC [7] LOG:  something else\n";
        let executed = parse(log);
        assert_eq!(executed.len(), 1);
        let statement = executed.first().unwrap();
        assert_eq!(statement.query, "select 1 from t");
        assert_eq!(statement.pages, 7);
        assert!((statement.millis - 1.5).abs() < f64::EPSILON);
    }
}
