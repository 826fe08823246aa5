//! The history of Callboard's database: forward only, one change each, in plain SQL.
//!
//! A migration that has been released is never edited. There is no way down: what a new version does to the
//! data is kept, and an older version refuses such a database.

pub use sea_orm_migration::prelude::MigratorTrait;
use sea_orm_migration::prelude::{
    ConnectionTrait, DbErr, MigrationName, MigrationTrait, SchemaManager,
};

/// All migrations, oldest first.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(SqlMigration {
                name: "m20261123_000001_workspace",
                sql: include_str!("m20261123_000001_workspace.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261123_000002_task_queue",
                sql: include_str!("m20261123_000002_task_queue.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261123_000003_event_log",
                sql: include_str!("m20261123_000003_event_log.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261123_000004_claim",
                sql: include_str!("m20261123_000004_claim.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261123_000005_sweep",
                sql: include_str!("m20261123_000005_sweep.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261125_000006_by_index",
                sql: include_str!("m20261125_000006_by_index.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261125_000007_low_water_mark",
                sql: include_str!("m20261125_000007_low_water_mark.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261125_000008_claim_from_the_mark",
                sql: include_str!("m20261125_000008_claim_from_the_mark.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261125_000009_agent_day",
                sql: include_str!("m20261125_000009_agent_day.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261125_000010_transcript_bell",
                sql: include_str!("m20261125_000010_transcript_bell.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261125_000011_session",
                sql: include_str!("m20261125_000011_session.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261125_000012_together",
                sql: include_str!("m20261125_000012_together.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261125_000013_fewer_round_trips",
                sql: include_str!("m20261125_000013_fewer_round_trips.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261126_000014_no_entry_without_link",
                sql: include_str!("m20261126_000014_no_entry_without_link.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261126_000015_claim_in_one",
                sql: include_str!("m20261126_000015_claim_in_one.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261126_000016_fail_together",
                sql: include_str!("m20261126_000016_fail_together.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261126_000017_asked_by",
                sql: include_str!("m20261126_000017_asked_by.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261126_000018_claim_many",
                sql: include_str!("m20261126_000018_claim_many.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261126_000019_agent_status",
                sql: include_str!("m20261126_000019_agent_status.sql"),
            }),
            Box::new(SqlMigration {
                name: "m20261126_000020_by_plain_sql",
                sql: include_str!("m20261126_000020_by_plain_sql.sql"),
            }),
        ]
    }
}

/// One file of SQL, run in a transaction.
struct SqlMigration {
    /// The name under which the database remembers it.
    name: &'static str,
    /// The statements.
    sql: &'static str,
}

impl MigrationName for SqlMigration {
    fn name(&self) -> &str {
        self.name
    }
}

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for SqlMigration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        // How long a request may take says nothing of this. What a migration takes too long for fails at every start.
        connection
            .execute_unprepared("set local statement_timeout = 0")
            .await?;
        connection.execute_unprepared(self.sql).await?;
        Ok(())
    }
}
