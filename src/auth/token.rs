//! Bearer tokens: made, hashed, listed, revoked.
//!
//! A token is a prefix that names its kind and 32 random characters. Only its SHA-256 is stored: with that much
//! entropy there is nothing to guess, so a slow hash would buy nothing.

use std::time::Duration;

use entity::api_token::{self, Kind};
use entity::id::{MemberId, TokenId, WorkspaceId};
use entity::member::Role;
use rand::RngExt;
use rand::distr::Alphanumeric;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, raw_sql};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{Daemon, Identity};
use crate::error::{Error, Result};
use crate::limits;

/// How many random characters a token has: 190 bits.
const RANDOM_LENGTH: usize = 32;

/// The prefix of each kind, by which scanners and people recognise a token.
/// NEVER CHANGE THE PREFIX OF EXISTING TOKENS.
const fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::Admin => "cb_admin_",
        Kind::Service => "cb_service_",
        Kind::Member => "cb_member_",
        Kind::Daemon => "cb_daemon_",
    }
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What the operator calls it.
    pub name: String,
    /// Whom it speaks for.
    pub identity: Identity,
    /// When it ends by itself, from now.
    pub expires_in: Option<Duration>,
}

/// Makes a token, and the member that it speaks for if need be. Shown once; only its hash is kept.
pub async fn create(db: &impl ConnectionTrait, new: NewToken) -> Result<SecretString> {
    limits::line("name", Some(&new.name))?;
    if let Identity::Daemon(daemon) = &new.identity {
        limits::name("daemonId", &daemon.daemon_id)?;
    }
    let (kind, workspace_id, member_id, daemon_id) = match new.identity {
        Identity::Admin => (Kind::Admin, None, None, None),
        Identity::Service { workspace_id } => (Kind::Service, Some(workspace_id), None, None),
        Identity::Member {
            workspace_id,
            member_id,
            role,
        } => {
            set_member(db, workspace_id, member_id, role).await?;
            (Kind::Member, Some(workspace_id), Some(member_id), None)
        }
        Identity::Daemon(Daemon {
            workspace_id,
            daemon_id,
        }) => (Kind::Daemon, Some(workspace_id), None, Some(daemon_id)),
    };
    let random: String = rand::rng()
        .sample_iter(Alphanumeric)
        .take(RANDOM_LENGTH)
        .map(char::from)
        .collect();
    let token = SecretString::from(format!("{}{random}", prefix(kind)));

    let (id, hash, name) = (TokenId::generate(), hash(&token), new.name);
    let kind = sea_orm::ActiveEnum::to_value(&kind);
    let expires_in_secs = new.expires_in.map(|duration| duration.as_secs_f64());
    let statement: Statement = raw_sql!(
        Postgres,
        r#"insert into api_token (id, kind, workspace_id, member_id, daemon_id, name, hash, expires_at)
           values ({id}, {kind}, {workspace_id}, {member_id}, {daemon_id}, {name}, {hash},
                   now() + make_interval(secs => {expires_in_secs}))"#
    );
    db.execute_raw(statement).await?;
    Ok(token)
}

/// Makes a member known, or changes their role.
async fn set_member(
    db: &impl ConnectionTrait,
    workspace_id: WorkspaceId,
    member_id: MemberId,
    role: Role,
) -> Result<()> {
    let role = sea_orm::ActiveEnum::to_value(&role);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"insert into member (workspace_id, id, role) values ({workspace_id}, {member_id}, {role})
           on conflict (workspace_id, id) do update set role = excluded.role"#
    );
    db.execute_raw(statement).await?;
    Ok(())
}

/// A token as the operator sees it.
#[derive(Debug, FromQueryResult)]
pub struct Listed {
    /// Its row.
    #[sea_orm(nested)]
    pub token: api_token::Model,
    /// The slug of its workspace.
    pub slug: Option<String>,
}

/// All tokens, oldest first; the hashes stay here.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Listed>> {
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select api_token.*, workspace.slug
           from api_token left join workspace on workspace.id = api_token.workspace_id
           order by api_token.created_at, api_token.id"#
    );
    Ok(Listed::find_by_statement(statement).all(db).await?)
}

/// Ends a token, by its id. Ending it twice keeps the first time.
pub async fn revoke(db: &impl ConnectionTrait, id: TokenId) -> Result<()> {
    let statement: Statement = raw_sql!(
        Postgres,
        "update api_token set revoked_at = coalesce(revoked_at, now()) where id = {id} returning id"
    );
    db.query_one_raw(statement)
        .await?
        .map(|_| ())
        .ok_or(Error::NotFound("token"))
}

/// Ends the tokens of a workspace that have this name.
pub async fn revoke_named(
    db: &impl ConnectionTrait,
    workspace_id: WorkspaceId,
    name: &str,
) -> Result<()> {
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update api_token set revoked_at = now()
           where workspace_id = {workspace_id} and name = {name} and revoked_at is null"#
    );
    db.execute_raw(statement).await?;
    Ok(())
}

/// What is stored of a token.
pub(super) fn hash(token: &SecretString) -> Vec<u8> {
    Sha256::digest(token.expose_secret().as_bytes()).to_vec()
}
