//! What resolvers need of the service, and the only place that reaches into the request's data.

use async_graphql::Context;
use async_graphql::dataloader::DataLoader;
use tokio_util::task::TaskTracker;

use super::feed::Shared;
use super::loader::Reads;
use crate::auth::Viewer;
use crate::auth::gate::Gate;
use crate::db::{Pool, Write, Writer};
use crate::doorbell::Doorbell;
use crate::error::{Error, Result};
use crate::event::hub::Hub;
use crate::group::Desk;
use crate::metrics::Metrics;
use crate::runtime::heartbeat::Heartbeats;
use crate::settings::Settings;
use crate::task::together::Together;

/// What resolvers need of the service.
#[derive(Clone, Debug)]
pub struct Board {
    /// The pool.
    pub db: Pool,
    /// Where transactions begin.
    pub writer: Writer,
    /// Where tokens are looked up.
    pub gate: Gate,
    /// Where the verbs are asked for that come in crowds.
    pub tasks: Together,
    /// Where heartbeats are taken.
    pub heartbeats: Heartbeats,
    /// Where subscriptions follow the log.
    pub hub: Hub,
    /// What subscriptions share.
    pub shared: Shared,
    /// What is counted.
    pub metrics: Metrics,
    /// The thresholds.
    pub settings: Settings,
}

impl Board {
    /// The service on a database; what is begun for requests is on the tracker.
    pub fn new(
        db: Pool,
        doorbell: &Doorbell,
        metrics: Metrics,
        settings: Settings,
        requests: &TaskTracker,
    ) -> Self {
        let writer = Writer::new(db.clone(), doorbell.clone());
        let desk = || Desk::new(requests, &metrics.groups);
        Self {
            gate: Gate::new(&db, desk()),
            heartbeats: Heartbeats::new(&writer, desk()),
            tasks: Together::new(&writer, &settings, desk()),
            shared: Shared::new(requests.clone()),
            hub: Hub::new(db.clone(), requests.clone(), &metrics),
            writer,
            metrics,
            settings,
            db,
        }
    }
}

/// The service.
pub(super) fn board<'a>(ctx: &Context<'a>) -> Result<&'a Board> {
    ctx.data_opt::<Board>()
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("the schema was built without a board")))
}

/// The pool.
pub(super) fn db<'a>(ctx: &Context<'a>) -> Result<&'a Pool> {
    Ok(&board(ctx)?.db)
}

/// Whoever is asking.
pub(super) fn viewer<'a>(ctx: &Context<'a>) -> Result<&'a Viewer> {
    ctx.data_opt::<Viewer>().ok_or(Error::NO_TOKEN)
}

/// Begins a transaction that rings when it commits.
pub(super) async fn write(ctx: &Context<'_>) -> Result<Write> {
    board(ctx)?.writer.begin().await
}

/// The batched reads.
pub(super) fn loaders<'a>(ctx: &Context<'a>) -> Result<&'a DataLoader<Reads>> {
    ctx.data_opt::<DataLoader<Reads>>()
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("the schema was built without loaders")))
}
