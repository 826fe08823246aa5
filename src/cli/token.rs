//! `callboard token`.

use std::time::Duration;

use anyhow::Context;
use chrono::SecondsFormat;
use clap::{Args, Subcommand, ValueEnum};
use entity::id::{MemberId, TokenId, WorkspaceId};
use entity::member::Role;
use sea_orm::{ActiveEnum, DatabaseConnection};
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use super::database::Database;
use crate::auth::token::{self, Listed, NewToken};
use crate::auth::{Daemon, Identity};
use crate::config::DatabaseArgs;

/// Makes, lists and revokes tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Makes a token and prints it, alone on standard output. It is shown this once.
    Create(CreateCommand),
    /// Lists the tokens, without their secrets.
    List(ListCommand),
    /// Ends a token.
    Revoke(RevokeCommand),
}

/// Makes a token.
#[derive(Args, Debug)]
pub(super) struct CreateCommand {
    /// Whom it speaks for.
    #[arg(long, value_enum)]
    kind: KindArg,
    /// In which workspace; all kinds but admin need one.
    #[arg(long, value_name = "SLUG", required_if_eq_any([("kind", "service"), ("kind", "member"), ("kind", "daemon")]))]
    workspace: Option<String>,
    /// For which daemon: its own name for itself.
    #[arg(long, required_if_eq("kind", "daemon"))]
    daemon_id: Option<String>,
    /// For which person: the host application's id.
    #[arg(long, value_name = "UUID", required_if_eq("kind", "member"))]
    member: Option<Uuid>,
    /// What that person may do.
    #[arg(long, value_enum, default_value_t = RoleArg::Member)]
    role: RoleArg,
    /// What to call it.
    #[arg(long, default_value = "")]
    name: String,
    /// When it ends by itself, such as 30d; never where it is absent.
    #[arg(long, value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Lists the tokens.
#[derive(Args, Debug)]
pub(super) struct ListCommand {
    /// Prints an array of objects.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Ends a token.
#[derive(Args, Debug)]
pub(super) struct RevokeCommand {
    /// Which, by the id that `token list` prints.
    id: Uuid,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Whom a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KindArg {
    /// The operator: every workspace.
    Admin,
    /// The host application's backend.
    Service,
    /// A person.
    Member,
    /// A daemon.
    Daemon,
}

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    /// Everything in the workspace.
    Owner,
    /// Everything in the workspace.
    Admin,
    /// What is their own.
    Member,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Owner => Self::Owner,
            RoleArg::Admin => Self::Admin,
            RoleArg::Member => Self::Member,
        }
    }
}

impl TokenCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let args = match &self {
            Self::Create(command) => &command.database,
            Self::List(command) => &command.database,
            Self::Revoke(command) => &command.database,
        };
        let (database, pool) = Database::migrated(args).await?;
        let done = self.on(&pool).await;
        pool.close().await?;
        database.close().await?;
        done
    }

    async fn on(self, pool: &DatabaseConnection) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.create(pool).await,
            Self::List(command) => {
                print_list(&token::list(pool).await?, command.json);
                Ok(())
            }
            Self::Revoke(command) => Ok(token::revoke(pool, TokenId(command.id)).await?),
        }
    }
}

impl CreateCommand {
    async fn create(self, pool: &DatabaseConnection) -> anyhow::Result<()> {
        let identity = match self.kind {
            KindArg::Admin => Identity::Admin,
            KindArg::Service => Identity::Service {
                workspace_id: self.workspace_id(pool).await?,
            },
            KindArg::Member => Identity::Member {
                workspace_id: self.workspace_id(pool).await?,
                member_id: MemberId(self.member.context("a member's token needs --member")?),
                role: self.role.into(),
            },
            KindArg::Daemon => Identity::Daemon(Daemon {
                workspace_id: self.workspace_id(pool).await?,
                daemon_id: self
                    .daemon_id
                    .clone()
                    .context("a daemon's token needs --daemon-id")?,
            }),
        };
        let new = NewToken {
            name: self.name,
            identity,
            expires_in: self.expires_in,
        };
        super::print(token::create(pool, new).await?.expose_secret());
        Ok(())
    }

    async fn workspace_id(&self, pool: &DatabaseConnection) -> anyhow::Result<WorkspaceId> {
        let slug = self
            .workspace
            .as_deref()
            .context("this kind of token needs --workspace")?;
        let workspace = crate::workspace::find_by_slug(pool, slug).await?;
        Ok(workspace
            .with_context(|| format!("there is no workspace `{slug}`"))?
            .id)
    }
}

fn print_list(tokens: &[Listed], as_json: bool) {
    let rows: Vec<_> = tokens
        .iter()
        .map(|Listed { token, slug }| {
            let time = |time: Option<chrono::DateTime<chrono::Utc>>| {
                time.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
            };
            json!({
                "id": token.id.0,
                "kind": token.kind.to_value(),
                "workspace": slug,
                "member": token.member_id.map(|id| id.0),
                "daemonId": token.daemon_id,
                "name": token.name,
                "createdAt": time(Some(token.created_at)),
                "expiresAt": time(token.expires_at),
                "revokedAt": time(token.revoked_at),
                "lastUsedAt": time(token.last_used_at),
            })
        })
        .collect();
    if as_json {
        super::print(&serde_json::Value::from(rows).to_string());
        return;
    }
    for row in rows {
        let columns = [
            "id",
            "kind",
            "workspace",
            "name",
            "daemonId",
            "lastUsedAt",
            "expiresAt",
            "revokedAt",
        ];
        let line: Vec<_> = columns
            .iter()
            .map(|name| {
                row.get(name)
                    .and_then(|value| value.as_str())
                    .unwrap_or("-")
            })
            .collect();
        super::print(&line.join("\t"));
    }
}
