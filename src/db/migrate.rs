//! Bringing a database up to this version, and refusing one that is ahead of it.

use std::collections::HashSet;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait};

/// Applies what is missing. Several servers may do so at once: one does, the others wait.
pub async fn migrate(db: &DatabaseConnection) -> anyhow::Result<()> {
    // The lock is held by a transaction of its own, beside the one that each migration runs in.
    let lock = db.begin().await?;
    lock.execute_unprepared("set local statement_timeout = 0")
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

/// Fails when the database is not at this version.
pub async fn check(db: &DatabaseConnection) -> anyhow::Result<()> {
    refuse_newer(db).await?;
    let pending = Migrator::get_pending_migrations(db).await?.len();
    anyhow::ensure!(
        pending == 0,
        "{pending} migrations are missing; `callboard migrate` applies them, and so does serve"
    );
    Ok(())
}

/// Fails when the database knows a migration that this version does not.
async fn refuse_newer(db: &DatabaseConnection) -> anyhow::Result<()> {
    let table = db
        .query_one_raw(Statement::from_string(
            sea_orm::DbBackend::Postgres,
            "select to_regclass('seaql_migrations') is not null as there",
        ))
        .await?;
    let there = table
        .map(|row| row.try_get::<bool>("", "there"))
        .transpose()?
        .unwrap_or(false);
    if !there {
        return Ok(());
    }
    let known: HashSet<String> = Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect();
    let applied = db
        .query_all_raw(Statement::from_string(
            sea_orm::DbBackend::Postgres,
            "select version from seaql_migrations order by version",
        ))
        .await?;
    for row in applied {
        let version: String = row.try_get("", "version")?;
        if !known.contains(&version) {
            anyhow::bail!(
                "this database was migrated by a newer Callboard (it has `{version}`); run that version, or restore a \
                 backup from before"
            );
        }
    }
    Ok(())
}
