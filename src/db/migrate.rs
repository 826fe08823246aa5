//! Bringing a database up to this version, and refusing one that is ahead of it.

use std::collections::BTreeSet;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};

/// Applies what is missing. Several servers may do so at once: one does, the others wait.
pub async fn migrate(db: &DatabaseConnection) -> anyhow::Result<()> {
    // The lock is held by a transaction of its own, beside the one that each migration runs in.
    let lock = db.begin().await?;
    lock.execute_unprepared(
        "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0",
    )
    .await?;
    lock.execute_unprepared(
        "select pg_advisory_xact_lock(hashtext('callboard'), hashtext('migrate'))",
    )
    .await?;
    refuse_newer(db).await?;
    Migrator::up(db, None).await?;
    lock.commit().await?;
    Ok(())
}

/// Fails when the database is not at this version. Changes nothing.
pub async fn check(db: &DatabaseConnection) -> anyhow::Result<()> {
    refuse_newer(db).await?;
    let missing = known().difference(&applied(db).await?).count();
    anyhow::ensure!(
        missing == 0,
        "{missing} migrations are missing; `callboard migrate` applies them, and so does serve"
    );
    Ok(())
}

/// Fails when the database knows a migration that this version does not.
async fn refuse_newer(db: &DatabaseConnection) -> anyhow::Result<()> {
    if let Some(version) = applied(db).await?.difference(&known()).next() {
        anyhow::bail!(
            "this database was migrated by a newer Callboard (it has `{version}`); run that version, or restore a \
             backup from before"
        );
    }
    Ok(())
}

/// The migrations of this version.
fn known() -> BTreeSet<String> {
    Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect()
}

/// The migrations that the database has seen. The migrator would make its table in order to look; this does not.
async fn applied(db: &DatabaseConnection) -> anyhow::Result<BTreeSet<String>> {
    let query = |sql: &str| Statement::from_string(DbBackend::Postgres, sql);
    let table = query("select to_regclass('seaql_migrations') is not null as there");
    let there = db
        .query_one_raw(table)
        .await?
        .map(|row| row.try_get::<bool>("", "there"))
        .transpose()?
        .unwrap_or(false);
    if !there {
        return Ok(BTreeSet::new());
    }
    let rows = db
        .query_all_raw(query("select version from seaql_migrations"))
        .await?;
    rows.iter()
        .map(|row| Ok(row.try_get("", "version")?))
        .collect()
}
