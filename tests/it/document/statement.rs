//! The queries by their names, and a session that has prepared them, as a host application's has.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Column, Connection, PgConnection, Row as _, ValueRef, raw_sql};
use uuid::Uuid;

use crate::harness::TestDatabase;

/// The queries as they stand in the host's source.
const TEXT: &str = include_str!("queries.sql");

/// A query with all of its parameters numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) name: String,
    pub(super) sql: String,
}

/// A row as text, in which every type is alike. What is null is there and has no text.
#[derive(Clone, Debug)]
pub(super) struct Row(BTreeMap<String, Option<String>>);

/// What is given to a parameter.
pub(super) type Argument = Option<String>;

/// Something for a parameter.
#[expect(
    clippy::unnecessary_wraps,
    reason = "a parameter can be given null too"
)]
pub(super) fn some(value: impl Display) -> Argument {
    Some(value.to_string())
}

/// Every query.
pub(super) fn queries() -> Vec<Query> {
    let sections = TEXT.split("-- name: ").skip(1);
    sections
        .map(|section| {
            let (head, sql) = section.split_once('\n').unwrap();
            let (name, _) = head.split_once(" :").unwrap();
            Query {
                name: name.to_owned(),
                sql: numbered(sql.trim().trim_end_matches(';')),
            }
        })
        .collect()
}

/// Numbers the named parameters after those that have a number.
fn numbered(sql: &str) -> String {
    let highest = (1..=99)
        .rev()
        .find(|number| sql.contains(&format!("${number}")))
        .unwrap_or(0);
    let mut names: Vec<&str> = Vec::new();
    let mut text = String::new();
    let mut rest = sql;
    while let Some((before, name, after)) = next_name(rest) {
        let place = names.iter().position(|known| *known == name);
        let place = place.unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        write!(text, "{before}${}", highest + 1 + place).unwrap();
        rest = after;
    }
    text + rest
}

/// What comes before the next named parameter, its name, and what comes after it.
fn next_name(sql: &str) -> Option<(&str, &str, &str)> {
    const LONG: &str = "sqlc.narg(";
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let (short, long) = (sql.find('@'), sql.find(LONG));
    if long.is_some_and(|long| short.is_none_or(|short| long < short)) {
        let (before, named) = sql.split_once(LONG)?;
        let (name, after) = named.split_once(')')?;
        return Some((before, name.trim_matches('\''), after));
    }
    let (before, named) = sql.split_once('@')?;
    let end = named.find(|letter| !is_part(letter)).unwrap_or(named.len());
    let (name, after) = named.split_at(end);
    Some((before, name, after))
}

impl Row {
    /// What a column has.
    pub(super) fn get(&self, column: &str) -> Option<&str> {
        self.0
            .get(column)
            .unwrap_or_else(|| panic!("no column {column} in {self:?}"))
            .as_deref()
    }

    /// What a column has that is never null.
    pub(super) fn text(&self, column: &str) -> &str {
        self.get(column)
            .unwrap_or_else(|| panic!("{column} is null in {self:?}"))
    }

    /// The id in a column.
    pub(super) fn id(&self, column: &str) -> Uuid {
        self.text(column).parse().unwrap()
    }

    /// The number in a column.
    pub(super) fn number(&self, column: &str) -> i32 {
        self.text(column).parse().unwrap()
    }

    /// Whether a column says yes.
    pub(super) fn is(&self, column: &str) -> bool {
        self.text(column) == "t"
    }

    fn of(row: &PgRow) -> Self {
        let columns = row.columns().iter().enumerate();
        let text = columns.map(|(index, column)| {
            let value = row.try_get_raw(index).unwrap();
            let text = (!value.is_null()).then(|| value.as_str().unwrap().to_owned());
            (column.name().to_owned(), text)
        });
        Self(text.collect())
    }
}

/// A session of a host application.
#[derive(Debug)]
pub(super) struct Session(PgConnection);

impl Session {
    /// Connects and prepares every query.
    pub(super) async fn open(database: &TestDatabase) -> Self {
        let connection = PgConnection::connect_with(&database.options).await.unwrap();
        let mut session = Self(connection);
        session.plain("set timezone = 'UTC'").await;
        for Query { name, sql } in queries() {
            let prepare = format!("prepare {name} as {sql}");
            if let Err(error) = session.try_plain(&prepare).await {
                panic!("{name} cannot be prepared: {error}");
            }
        }
        session
    }

    /// Runs a query by its name.
    pub(super) async fn run(&mut self, name: &str, arguments: &[Argument]) -> Vec<Row> {
        let outcome = self.try_run(name, arguments).await;
        outcome.unwrap_or_else(|error| panic!("{name}{arguments:?}: {error}"))
    }

    /// The one row of a query, if it has any.
    pub(super) async fn one(&mut self, name: &str, arguments: &[Argument]) -> Option<Row> {
        self.run(name, arguments).await.into_iter().next()
    }

    /// Runs a query that may be refused.
    pub(super) async fn try_run(
        &mut self,
        name: &str,
        arguments: &[Argument],
    ) -> sqlx::Result<Vec<Row>> {
        let literal = |argument: &Argument| match argument {
            Some(text) => format!("'{}'", text.replace('\'', "''")),
            None => "null".to_owned(),
        };
        let literals: Vec<String> = arguments.iter().map(literal).collect();
        let list = if literals.is_empty() {
            String::new()
        } else {
            format!("({})", literals.join(", "))
        };
        self.try_plain(&format!("execute {name}{list}")).await
    }

    /// Runs a statement that is none of the queries.
    pub(super) async fn plain(&mut self, sql: &str) -> Vec<Row> {
        let outcome = self.try_plain(sql).await;
        outcome.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    async fn try_plain(&mut self, sql: &str) -> sqlx::Result<Vec<Row>> {
        let statement = raw_sql(AssertSqlSafe(sql.to_owned()));
        let rows = statement.fetch_all(&mut self.0).await?;
        Ok(rows.iter().map(Row::of).collect())
    }
}

#[test]
fn parameters_with_names_are_numbered_after_those_with_numbers() {
    let sql = "select $1, sqlc.narg('b')::text, @a, $2, sqlc.narg(b), @a::uuid";
    assert_eq!(numbered(sql), "select $1, $3::text, $4, $2, $3, $4::uuid");
}
