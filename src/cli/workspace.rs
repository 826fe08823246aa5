//! `callboard workspace`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::database::Database;
use crate::config::DatabaseArgs;

/// Makes workspaces.
#[derive(Debug, Subcommand)]
pub(super) enum WorkspaceCommand {
    /// Makes a workspace and prints its id.
    Create(CreateCommand),
}

/// Makes a workspace and prints its id.
#[derive(Args, Debug)]
pub(super) struct CreateCommand {
    /// Its name in commands and addresses: lower-case letters, digits, hyphens.
    #[arg(long)]
    slug: String,
    /// Its name for people.
    #[arg(long)]
    name: String,
    /// Prints an object with id, slug and name.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl WorkspaceCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self::Create(command) = self;
        let (database, pool) = Database::migrated(&command.database).await?;
        let created = crate::workspace::create(&pool, &command.slug, &command.name).await;
        pool.close().await?;
        database.close().await?;
        let workspace = created?;
        if command.json {
            let output =
                json!({"id": workspace.id.0, "slug": workspace.slug, "name": workspace.name});
            super::print(&output.to_string());
        } else {
            super::print(&workspace.id.to_string());
        }
        Ok(())
    }
}
