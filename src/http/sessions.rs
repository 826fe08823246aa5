//! What is open on behalf of a token: sockets and event streams, which end with it.
//!
//! Each server asks the database once in a while about all the tokens that have something open on it, in one query whatever
//! their number, and by the database's clock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use entity::id::TokenId;
use tokio_util::sync::CancellationToken;

use super::quota::Quota;
use crate::auth::{Identity, Viewer, gate};
use crate::db::Pool;
use crate::error::{Error, Result};

/// How often the tokens are looked at: what a token has open is to end within a second of it.
const INTERVAL: Duration = Duration::from_millis(750);

/// What is open on a server; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Sessions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// How many of them a token may have.
    most: usize,
    open: Mutex<HashMap<TokenId, Arc<Open>>>,
}

/// What one token has open.
#[derive(Debug)]
struct Open {
    identity: Identity,
    count: AtomicUsize,
    /// Cancelled when the token no longer holds, or speaks for somebody else.
    ended: CancellationToken,
}

/// One of them, for as long as it is open.
#[derive(Debug)]
pub(crate) struct Session {
    sessions: Sessions,
    token_id: TokenId,
    open: Arc<Open>,
}

impl Sessions {
    /// None yet, and so many for each token at most.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Inner {
            most,
            open: Mutex::default(),
        }))
    }

    /// Opens one for whoever has just shown their token.
    pub(crate) fn open(&self, viewer: &Viewer) -> Result<Session> {
        let mut all = self.lock();
        let known = all
            .get(&viewer.token_id)
            .filter(|open| open.identity == viewer.identity)
            .map(Arc::clone);
        let open = known.unwrap_or_else(|| {
            let open = Arc::new(Open {
                identity: viewer.identity.clone(),
                count: AtomicUsize::new(0),
                ended: CancellationToken::new(),
            });
            // What was opened while the token spoke for somebody else, or for them in another role.
            if let Some(other) = all.insert(viewer.token_id, Arc::clone(&open)) {
                other.ended.cancel();
            }
            open
        });
        if open.count.load(Ordering::Relaxed) >= self.0.most {
            return Err(Error::RateLimited {
                problem: "too many open connections with this token",
                retry_after: Duration::from_secs(1),
            });
        }
        open.count.fetch_add(1, Ordering::Relaxed);
        drop(all);
        Ok(Session {
            sessions: self.clone(),
            token_id: viewer.token_id,
            open,
        })
    }

    /// Ends what is open on behalf of tokens that no longer hold, until told to stop.
    pub(crate) async fn run(self, db: Pool, quota: Quota, stop: CancellationToken) {
        let looking = async {
            loop {
                tokio::time::sleep(INTERVAL).await;
                quota.forget();
                // What cannot be asked ends nothing: who watches is to outlast a restart of the database.
                if let Err(error) = self.look(&db).await {
                    tracing::warn!(error = %error, "cannot ask whether tokens still hold; trying again");
                }
            }
        };
        stop.run_until_cancelled(looking).await;
    }

    async fn look(&self, db: &Pool) -> Result<()> {
        let asked: Vec<(TokenId, Arc<Open>)> = {
            let all = self.lock();
            all.iter()
                .map(|(id, open)| (*id, Arc::clone(open)))
                .collect()
        };
        if asked.is_empty() {
            return Ok(());
        }
        let ids: Vec<TokenId> = asked.iter().map(|(id, _)| *id).collect();
        let holding: HashMap<TokenId, Identity> = gate::holding(db, &ids)
            .await?
            .into_iter()
            .map(|viewer| (viewer.token_id, viewer.identity))
            .collect();
        for (id, open) in asked {
            if holding.get(&id) != Some(&open.identity) {
                open.ended.cancel();
                self.forget(id, &open);
            }
        }
        Ok(())
    }

    /// Forgets what a token had open, unless it has opened something else by now.
    fn forget(&self, id: TokenId, open: &Arc<Open>) {
        let mut all = self.lock();
        if all.get(&id).is_some_and(|known| Arc::ptr_eq(known, open)) {
            all.remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenId, Arc<Open>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Waits until the token no longer holds.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.open.ended.clone()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut all = self.sessions.lock();
        let last = self.open.count.fetch_sub(1, Ordering::Relaxed) == 1;
        let known = all.get(&self.token_id);
        if last && known.is_some_and(|known| Arc::ptr_eq(known, &self.open)) {
            all.remove(&self.token_id);
        }
    }
}
