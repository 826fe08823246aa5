//! Finding out whose token it is, and remembering it.
//!
//! Whose a token is does not change, so that a server which was shown it a moment ago need not ask. Whether it still holds
//! must be asked every time; but what begins with the statement that does it asks that there
//! ([`AskedBy`](super::asked_by::AskedBy)), and so takes one round trip instead of two.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use entity::api_token::{self, Kind};
use entity::id::TokenId;
use entity::member::Role;
use quick_cache::sync::Cache;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, raw_sql};
use secrecy::SecretString;
use uuid::Uuid;

use super::token::hash;
use super::{Daemon, Identity, Viewer};
use crate::db::Pool;
use crate::error::{Error, Result};
use crate::group::{Desk, Group};

/// How many may wait to have their token looked up. When a server was killed, everybody who was connected to it comes back at
/// the same moment; what they ask is small and quickly answered.
const MOST_WAITING: usize = 32 * 1024;

/// How many tokens are remembered: some 5 MB of them.
const MOST_REMEMBERED: usize = 10_000;

/// For how long. When a token was last used is noted when it is looked up, and is to be right by a minute or two.
const REMEMBERED_FOR: Duration = Duration::from_secs(30);

/// Where tokens are shown; clones share what they remember.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Those that are looked up at the same moment are so together.
    lookups: Group<Vec<u8>, Viewer>,
    remembered: Arc<Cache<Vec<u8>, Remembered>>,
}

/// Whose token it was.
#[derive(Clone, Debug)]
struct Remembered {
    viewer: Viewer,
    since: Instant,
}

impl Gate {
    /// Looks tokens up in a database, at a desk of their own.
    pub fn new(db: &Pool, desk: Desk) -> Self {
        let db = db.clone();
        let lookups = Group::new(
            "authenticate",
            desk.with_room_for(MOST_WAITING),
            move |hashes, turn| {
                let db = db.clone();
                async move {
                    let _turn = turn;
                    find_together(&db, hashes).await
                }
            },
        );
        Self {
            lookups,
            remembered: Arc::new(Cache::new(MOST_REMEMBERED)),
        }
    }

    /// Finds out whose token this is.
    pub async fn authenticate(&self, token: &SecretString) -> Result<Viewer> {
        let hash = hash(token);
        let found = self.lookups.ask(hash.clone()).await;
        match &found {
            Ok(viewer) => {
                let remembered = Remembered {
                    viewer: viewer.clone(),
                    since: Instant::now(),
                };
                self.remembered.insert(hash, remembered);
            }
            Err(Error::Unauthenticated(_)) => {
                self.remembered.remove(&hash);
            }
            Err(_) => {}
        }
        found
    }

    /// Whose token this was a moment ago. It need not hold any longer, so this is only for what is
    /// [`AskedBy`](super::asked_by::AskedBy) them.
    pub fn recall(&self, token: &SecretString) -> Option<Viewer> {
        let Remembered { viewer, since } = self.remembered.get(&hash(token))?;
        let viewer = Viewer {
            is_recalled: true,
            ..viewer
        };
        (since.elapsed() < REMEMBERED_FOR).then_some(viewer)
    }
}

/// Finds out whose token this is.
pub async fn authenticate(db: &impl ConnectionTrait, token: &SecretString) -> Result<Viewer> {
    let mut found = find_together(db, vec![hash(token)]).await?;
    found.pop().unwrap_or(Err(Error::UNKNOWN_TOKEN))
}

/// A token's row with what else its viewer is made of.
#[derive(Debug, FromQueryResult)]
struct Known {
    #[sea_orm(nested)]
    token: api_token::Model,
    role: Option<Role>,
    stale: bool,
}

/// Finds out whose tokens these are.
async fn find_together(
    db: &impl ConnectionTrait,
    hashes: Vec<Vec<u8>>,
) -> Result<Vec<Result<Viewer>>> {
    let asked = hashes.clone();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select api_token.*, member.role,
               last_used_at is null or last_used_at < now() - interval '1 minute' as stale
           from api_token
           left join member on member.workspace_id = api_token.workspace_id and member.id = api_token.member_id
           where hash = any({asked}) and revoked_at is null and (expires_at is null or expires_at > now())"#
    );
    let known = Known::find_by_statement(statement).all(db).await?;
    let stale = known.iter().filter(|known| known.stale);
    let stale: Vec<Uuid> = stale.map(|known| known.token.id.0).collect();
    if !stale.is_empty() {
        // Whoever else notes the same meanwhile is not waited for.
        let statement: Statement = raw_sql!(
            Postgres,
            r#"update api_token set last_used_at = now()
               where id in (
                   select id from api_token where id = any({stale}) order by id for no key update skip locked)"#
        );
        db.execute_raw(statement).await?;
    }
    let mut viewers = HashMap::with_capacity(known.len());
    for known in known {
        viewers.insert(known.token.hash.clone(), viewer(known)?);
    }
    let found = hashes.iter().map(|hash| viewers.get(hash).cloned());
    Ok(found
        .map(|viewer| viewer.ok_or(Error::UNKNOWN_TOKEN))
        .collect())
}

/// The viewers of those of the tokens that still hold, as they are by now.
pub async fn holding(db: &impl ConnectionTrait, tokens: &[TokenId]) -> Result<Vec<Viewer>> {
    let ids: Vec<Uuid> = tokens.iter().map(|id| id.0).collect();
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select api_token.*, member.role, false as stale
           from api_token
           left join member on member.workspace_id = api_token.workspace_id and member.id = api_token.member_id
           where api_token.id = any({ids}) and revoked_at is null and (expires_at is null or expires_at > now())"#
    );
    let known = Known::find_by_statement(statement).all(db).await?;
    known.into_iter().map(viewer).collect()
}

/// The viewer that a token's row describes.
fn viewer(known: Known) -> Result<Viewer> {
    let Known { token, role, .. } = known;
    // A CHECK ties the columns to the kind.
    let torn = || {
        Error::Internal(anyhow::anyhow!(
            "token {} does not say whom it speaks for",
            token.id
        ))
    };
    let identity = match token.kind {
        Kind::Admin => Identity::Admin,
        Kind::Service => Identity::Service {
            workspace_id: token.workspace_id.ok_or_else(torn)?,
        },
        Kind::Member => Identity::Member {
            workspace_id: token.workspace_id.ok_or_else(torn)?,
            member_id: token.member_id.ok_or_else(torn)?,
            role: role.ok_or_else(torn)?,
        },
        Kind::Daemon => Identity::Daemon(Daemon {
            workspace_id: token.workspace_id.ok_or_else(torn)?,
            daemon_id: token.daemon_id.clone().ok_or_else(torn)?,
        }),
    };
    Ok(Viewer {
        token_id: token.id,
        name: token.name,
        identity,
        is_recalled: false,
    })
}
