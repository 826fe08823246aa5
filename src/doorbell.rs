//! The doorbell: empty wake-ups that say "there may be something to read".
//!
//! Whoever commits a change rings; whoever reads the log waits to hear it. Within the process that is a flag;
//! between servers it is LISTEN/NOTIFY, one listener and one ringer for each server. A ring that is lost costs
//! a poll interval, never an event, because readers go back to the log.
//!
//! NOTIFY is not sent in the writing transaction: a commit with a pending notification takes a lock over the
//! whole cluster (64 writers fell from 6 507 to 852 transactions a second). The ringer sends one after the
//! commits instead, at most every [`RING_INTERVAL`].

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement, raw_sql};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::metrics::{Live, Metrics};

/// The channel; the triggers of the event log ring it for sessions that are not ours.
const CHANNEL: &str = "callboard";

/// How long a ring waits for others to join it.
const RING_INTERVAL: Duration = Duration::from_millis(10);

/// How long a listener may take to hear its own ring before LISTEN is taken to be swallowed by a pooler.
const LISTEN_TEST: Duration = Duration::from_secs(5);

/// How long to wait before the listener connects again.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// The bell of one server; clones share it.
#[derive(Clone, Debug)]
pub struct Doorbell {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Tells our own rings from others' in the notification's payload.
    server_id: String,
    /// Something may have been committed, here or elsewhere.
    heard: Notify,
    /// Something was committed here, and the other servers do not know yet.
    to_ring: Notify,
    metrics: Live,
}

impl Default for Doorbell {
    /// One of which nobody keeps count.
    fn default() -> Self {
        Self::new(&Metrics::default().live)
    }
}

impl Doorbell {
    /// A bell that nobody has rung.
    pub fn new(metrics: &Live) -> Self {
        Self {
            state: Arc::new(State {
                server_id: Uuid::new_v4().to_string(),
                heard: Notify::new(),
                to_ring: Notify::new(),
                metrics: metrics.clone(),
            }),
        }
    }

    /// Says that a change has been committed.
    pub fn ring(&self) {
        self.state.heard.notify_one();
        self.state.to_ring.notify_one();
    }

    /// Waits until the bell has rung since the last call; many rings are heard as one.
    pub async fn heard(&self) {
        self.state.heard.notified().await;
    }

    /// Passes this server's rings on to the others, until told to stop.
    pub async fn run_ringer(self, db: impl ConnectionTrait, stop: CancellationToken) {
        while stop
            .run_until_cancelled(self.state.to_ring.notified())
            .await
            .is_some()
        {
            if let Err(error) = self.notify(&db).await {
                tracing::debug!(error = %error, "could not ring for the other servers; they poll");
            }
            if stop
                .run_until_cancelled(tokio::time::sleep(RING_INTERVAL))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// Hears the rings of other servers and of plain SQL, until told to stop. `options` must lead to
    /// Postgres itself: a pooler in between may accept LISTEN and drop it, which is found out and logged.
    pub async fn run_listener(
        self,
        db: impl ConnectionTrait,
        options: PgConnectOptions,
        stop: CancellationToken,
    ) {
        loop {
            let Some(outcome) = stop.run_until_cancelled(self.listen(&db, &options)).await else {
                return;
            };
            if let Err(error) = outcome {
                tracing::warn!(error = %error, "listener lost; polling until it is back");
            }
            if stop
                .run_until_cancelled(tokio::time::sleep(RECONNECT_DELAY))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// Listens on one connection until it breaks.
    async fn listen(
        &self,
        db: &impl ConnectionTrait,
        options: &PgConnectOptions,
    ) -> Result<(), sqlx::Error> {
        // The listener's pool is its own: it must not wait for, or occupy, a connection of the requests'.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        let hears = self.test_listener(db, &mut listener).await;
        let mut connected = hears.then(|| self.state.metrics.listen());
        tracing::debug!("listener connected");
        // What was committed while nobody listened has to be read now.
        self.state.heard.notify_one();
        while let Some(notification) = listener.try_recv().await? {
            // The test may have come too late.
            connected.get_or_insert_with(|| self.state.metrics.listen());
            if notification.payload() != self.state.server_id {
                self.state.heard.notify_one();
            }
        }
        // The connection was lost, and with it maybe notifications.
        self.state.heard.notify_one();
        Ok(())
    }

    /// Rings once and waits to hear it; says whether it did.
    async fn test_listener(&self, db: &impl ConnectionTrait, listener: &mut PgListener) -> bool {
        let heard = async {
            if self.notify(db).await.is_ok() {
                while let Ok(Some(notification)) = listener.try_recv().await {
                    if notification.payload() == self.state.server_id {
                        return;
                    }
                }
            }
            std::future::pending::<()>().await;
        };
        let hears = tokio::time::timeout(LISTEN_TEST, heard).await.is_ok();
        if !hears {
            tracing::warn!(
                "LISTEN is not answered on this connection, as behind a transaction pooler; give the listener a \
                 database URL of its own, or changes made elsewhere show up only when polled for"
            );
        }
        hears
    }

    /// Sends one notification.
    async fn notify(&self, db: &impl ConnectionTrait) -> Result<(), sea_orm::DbErr> {
        let server_id = self.state.server_id.clone();
        let statement: Statement = raw_sql!(Postgres, "select pg_notify('callboard', {server_id})");
        db.query_one_raw(statement).await?;
        Ok(())
    }
}
