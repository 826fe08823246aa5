//! Working directories, each used by one command at a time: a task that is tried again works where the
//! try before it did, and may be claimed while that one's command is still being ended.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::OwnedMutexGuard;

/// Who works where.
#[derive(Default)]
pub(crate) struct Dirs(Mutex<HashMap<PathBuf, Weak<tokio::sync::Mutex<()>>>>);

/// A directory while a command works there; the next may when this is dropped.
pub(crate) struct Occupied(#[expect(dead_code, reason = "it is held")] OwnedMutexGuard<()>);

impl Dirs {
    /// Waits until nobody works there. First come, first served.
    pub(crate) async fn occupy(&self, dir: &Path) -> Occupied {
        let turn = self.turn(dir);
        Occupied(turn.lock_owned().await)
    }

    fn turn(&self, dir: &Path) -> Arc<tokio::sync::Mutex<()>> {
        // Each use leaves the map whole, whatever became of its thread.
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let known = turns.get(dir).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let turn = Arc::default();
            turns.insert(dir.to_owned(), Arc::downgrade(&turn));
            turn
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_works_in_a_directory_at_a_time() {
        let dirs = Dirs::default();
        let (here, there) = (Path::new("/here"), Path::new("/there"));
        let first = dirs.occupy(here).await;
        let mut second = Box::pin(dirs.occupy(here));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(dirs.occupy(there).now_or_never().is_some());
        drop(first);
        assert!(second.now_or_never().is_some());
    }
}
