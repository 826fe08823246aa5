//! Somebody whose transaction stays open.

use sqlx::PgConnection;

use crate::postgres::{Postgres, execute};

/// Who is in the way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holder {
    /// Nobody.
    Nobody,
    /// A transaction that holds a snapshot and has only read, as a backup or a report does.
    Reader,
    /// A transaction that holds a snapshot and has written to a table that is not Callboard's.
    Writer,
}

impl Holder {
    /// All, the one that the others are compared with first.
    pub(super) const ALL: [Self; 3] = [Self::Nobody, Self::Reader, Self::Writer];

    /// What it is called in the tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "free",
            Self::Reader => "snapshot held",
            Self::Writer => "snapshot and xid held",
        }
    }

    /// What it is called in the names of files.
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Nobody => "free",
            Self::Reader => "snapshot",
            Self::Writer => "xid",
        }
    }

    /// What it is.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Nobody => "with nobody in the way",
            Self::Reader => "beside a REPEATABLE READ transaction that has read and stays open",
            Self::Writer => {
                "beside one that has written to a table of its own too, and so has a transaction id"
            }
        }
    }

    /// Opens the transaction; it is open until the connection is dropped.
    pub(super) async fn begin(
        self,
        postgres: &Postgres,
        database: &str,
    ) -> anyhow::Result<Option<PgConnection>> {
        let sql = match self {
            Self::Nobody => return Ok(None),
            Self::Reader => "select count(*) from agent",
            Self::Writer => "select count(*) from agent; insert into bystander values (1)",
        };
        let mut connection = postgres.connect(database).await?;
        let begin = format!("begin isolation level repeatable read; {sql}");
        execute(&mut connection, begin).await?;
        Ok(Some(connection))
    }
}

/// Makes the table that is not Callboard's.
pub(super) async fn prepare(connection: &mut PgConnection) -> anyhow::Result<()> {
    execute(
        connection,
        "create table bystander (number integer)".to_owned(),
    )
    .await
}
