//! What several subscribers want to know of the same thing, found out once for all of them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Cursor;

/// Things that subscribers share by what they ask for, for as long as anybody holds them.
#[derive(Debug)]
pub struct Registry<K, T> {
    things: Mutex<HashMap<K, Weak<T>>>,
}

impl<K, T> Default for Registry<K, T> {
    fn default() -> Self {
        Self {
            things: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash, T> Registry<K, T> {
    /// The thing that others hold, or else a new one.
    pub fn share(&self, key: K, make: impl FnOnce() -> T) -> Arc<T> {
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thing) = things.get(&key).and_then(Weak::upgrade) {
            return thing;
        }
        // Whoever makes a new one clears away what nobody holds any more.
        things.retain(|_, thing| thing.strong_count() > 0);
        let thing = Arc::new(make());
        things.insert(key, Arc::downgrade(&thing));
        thing
    }
}

/// The latest reading of something, with the cursor that it contains.
#[derive(Debug)]
pub struct Latest<T> {
    known: tokio::sync::Mutex<Option<(Cursor, Arc<T>)>>,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self {
            known: tokio::sync::Mutex::default(),
        }
    }
}

impl<T> Latest<T> {
    /// A reading that contains the cursor. Of those who want the same at once one reads, and the others wait for it; should
    /// it be dropped meanwhile, the next one reads.
    pub async fn containing<E, F>(
        &self,
        cursor: Cursor,
        read: impl FnOnce() -> F,
    ) -> Result<(Cursor, Arc<T>), E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut known = self.known.lock().await;
        if let Some((contained, thing)) = &*known
            && *contained >= cursor
        {
            return Ok((*contained, Arc::clone(thing)));
        }
        let thing = Arc::new(read().await?);
        *known = Some((cursor, Arc::clone(&thing)));
        Ok((cursor, thing))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn who_asks_for_the_same_at_once_is_answered_by_one_reading() {
        let (latest, readings) = (Latest::default(), Cell::new(0));
        let read = || async {
            tokio::task::yield_now().await;
            readings.set(readings.get() + 1);
            Ok::<_, ()>(readings.get())
        };
        let asking = (0..10).map(|_| latest.containing(Cursor(5), read));
        for answer in join_all(asking).await {
            assert_eq!(answer, Ok((Cursor(5), Arc::new(1))));
        }
        // What was to be had earlier is contained in it; what came later is not.
        assert_eq!(
            latest.containing(Cursor(4), read).await,
            Ok((Cursor(5), Arc::new(1)))
        );
        assert_eq!(
            latest.containing(Cursor(6), read).await,
            Ok((Cursor(6), Arc::new(2)))
        );
    }

    #[tokio::test]
    async fn a_reading_that_is_dropped_or_fails_is_left_to_the_next() {
        let latest = Latest::default();
        let never = latest.containing(Cursor(1), std::future::pending::<Result<i32, ()>>);
        drop(futures::poll!(Box::pin(never)));
        let fails = latest.containing(Cursor(1), || async { Err(()) });
        assert_eq!(fails.await, Err(()));
        let reads = latest.containing(Cursor(1), || async { Ok::<_, ()>(7) });
        assert_eq!(reads.await, Ok((Cursor(1), Arc::new(7))));
    }

    #[test]
    fn a_thing_is_shared_for_as_long_as_it_is_held() {
        let registry = Registry::default();
        let one = registry.share("key", || 1);
        assert_eq!(*registry.share("key", || 2), 1);
        drop(one);
        assert_eq!(*registry.share("key", || 2), 2);
        drop(registry.share("other", || 3));
        drop(registry.share("third", || 4));
        assert_eq!(registry.things.lock().unwrap().len(), 1);
    }
}
