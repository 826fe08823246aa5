//! What Postgres counts of what is done in it.

use std::time::Duration;

use sqlx::{PgConnection, Row};

use crate::board::Board;
use crate::postgres::Postgres;
use crate::processor::Used;

/// After how long each session has told what it counted: Postgres lets those wait for ten seconds that do nothing.
const TOLD: Duration = Duration::from_secs(12);

/// Where the write-ahead log ends, and then what was counted.
const COUNTED: &str = "
    select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8,
        (select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_user_tables)::float8,
        (select sum(idx_scan) from pg_stat_user_indexes)::float8,
        (select sum(seq_scan) from pg_stat_user_tables)::float8";

/// What was done, all in all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Toll {
    pub(super) wal_bytes: f64,
    pub(super) rows: f64,
    pub(super) index_scans: f64,
    pub(super) table_scans: f64,
    pub(super) server: f64,
    pub(super) postgres: f64,
}

/// What has been done until now, when all of it has been told.
pub(super) async fn read(
    connection: &mut PgConnection,
    board: &Board,
    postgres: &Postgres,
) -> anyhow::Result<Toll> {
    tokio::time::sleep(TOLD).await;
    let row = sqlx::query(COUNTED).fetch_one(connection).await?;
    let used = Used::until_now(board.server.process(), postgres.process());
    Ok(Toll {
        wal_bytes: row.try_get(0)?,
        rows: row.try_get(1)?,
        index_scans: row.try_get(2)?,
        table_scans: row.try_get(3)?,
        server: used.server,
        postgres: used.postgres,
    })
}

impl Toll {
    /// What more was done than another time.
    pub(super) fn less(&self, other: &Self) -> Self {
        Self {
            wal_bytes: self.wal_bytes - other.wal_bytes,
            rows: self.rows - other.rows,
            index_scans: self.index_scans - other.index_scans,
            table_scans: self.table_scans - other.table_scans,
            server: self.server - other.server,
            postgres: self.postgres - other.postgres,
        }
    }
}
