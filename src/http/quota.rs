//! How many requests a token may make in a second, on each server.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use entity::id::TokenId;
use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;

use crate::auth::Viewer;
use crate::error::{Error, Result};

/// What the tokens have used of it; clones share it.
///
/// Only tokens that are known are counted, so that nobody fills the memory with those that they make up.
#[derive(Clone, Debug)]
pub(crate) struct Quota(Option<Arc<Limiter>>);

type Limiter = RateLimiter<TokenId, HashMapStateStore<TokenId>, DefaultClock>;

impl Quota {
    /// So many in a second; as many as they like where it is 0.
    pub(crate) fn per_second(requests: u32) -> Self {
        Self(NonZeroU32::new(requests).map(|requests| {
            let quota = governor::Quota::per_second(requests);
            Arc::new(RateLimiter::hashmap(quota))
        }))
    }

    /// Counts a request, or refuses it.
    pub(crate) fn request(&self, viewer: &Viewer) -> Result<()> {
        let Some(limiter) = &self.0 else {
            return Ok(());
        };
        limiter.check_key(&viewer.token_id).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            Error::RateLimited {
                problem: "too many requests a second with this token",
                retry_after: wait.max(Duration::from_millis(1)),
            }
        })
    }

    /// Forgets the tokens that have not been seen of late.
    pub(crate) fn forget(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
        }
    }
}
