//! The case `fanout`: live delivery, by Callboard's own edge, by the one that async-graphql brings for axum, over the same
//! schema and the same feed, and by PostGraphile.
//!
//! What PostGraphile does is less, in its favour: it looks up no token and shows every event to everybody. It sends the same
//! columns of an event and its task, and reads the task for each subscriber, or is told of it by the trigger. It has nothing
//! for who was away, so it is left out where clients come back.
//!
//! Subscribers check what they are here for: each must receive every event that the database has, once and in order, or
//! the case fails. They read as cheaply as can be, because they share the machine with what is measured; what counts is the
//! processor time of the server that delivers, which does nothing else: what puts tasks on the board through the API goes
//! through another server. Each side has, in turn, a fresh copy of the same board.

mod account;
mod crowd;
mod delivery;
mod latency;
mod memory;
mod reconnect;
mod side;
mod socket;
mod stage;
mod stock;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::board;
use crate::flames::Flames;
use crate::npm::Package;
use crate::postgraphile;
use crate::postgres::Postgres;
use crate::report::Report;

use crowd::Asking;
use side::Side;
use stage::{Load, Stage};

pub(crate) use socket::{PATH, Said, Socket};
pub(crate) use stock::serve as serve_stock;

/// The board of every run.
const BOARD: &str = "fanout";

/// Its copy that is measured on.
const COPY: &str = "fanout_copy";

/// How much to measure.
#[derive(Args, Debug)]
pub(crate) struct FanoutArgs {
    /// What to find out.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "memory,delivery,latency,reconnect"
    )]
    figures: Vec<Figure>,
    /// Who delivers.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "callboard,stock,postgraphile,postgraphile-told"
    )]
    sides: Vec<Side>,
    /// How often the sides take turns at delivering.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How many sockets are open, for memory and for reconnecting.
    #[arg(long, default_value_t = 5_000)]
    sockets: usize,
    /// How many subscribers events are delivered to.
    #[arg(long, default_value_t = 200)]
    subscribers: usize,
    /// How many tasks are put on the board in SQL for each delivery.
    #[arg(long, default_value_t = 2_000)]
    events: u32,
    /// How many of these in one commit.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// How many tasks come through the API in a second, while events are delivered.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    api_rate: u32,
    /// How many of these are delivered.
    #[arg(long, default_value_t = 500)]
    api_events: u32,
    /// How many subscribers wait for the events whose latency is measured.
    #[arg(long, default_value_t = 1_000)]
    watchers: usize,
    /// How many such events there are in a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// For how many seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// How many events are missed by those who reconnect.
    #[arg(long, default_value_t = 100)]
    missed: u32,
}

/// What to find out.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Figure {
    /// What a socket costs in memory.
    Memory,
    /// How many events are delivered for a second of processor time.
    Delivery,
    /// How long an event takes from its commit to its subscribers.
    Latency,
    /// How long it takes until all are up to date whose server was killed.
    Reconnect,
}

impl FanoutArgs {
    /// Measures all sides and reports.
    pub(crate) async fn run(
        self,
        postgres: &Postgres,
        file: Option<PathBuf>,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        let most = many_files()?;
        let mut report = Report::new("fanout", postgres.version().await?);
        report.condition("rounds of delivery", &self.rounds);
        report.condition("open files at most", &most);
        let package = if self.sides.iter().any(|side| side.is_postgraphile()) {
            let package = postgraphile::package().await?;
            report.condition("PostGraphile", &package.version("postgraphile")?);
            report.condition("Node.js", &package.node_version().await?);
            Some(package)
        } else {
            None
        };
        let mut connection = board::with_agents(postgres, BOARD, 1, 8).await?;
        board::settle_down(&mut connection).await?;
        drop(connection);
        let copies = Copies {
            postgres,
            package: package.as_ref(),
        };
        for figure in &self.figures {
            match figure {
                Figure::Memory => self.memory(&copies, &mut report).await?,
                Figure::Delivery => self.delivery(&copies, &mut report, flames).await?,
                Figure::Latency => self.latency(&copies, &mut report).await?,
                Figure::Reconnect => self.reconnect(&copies, &mut report).await?,
            }
        }
        postgres.drop(BOARD).await?;
        report.finish(file)
    }

    async fn memory(&self, copies: &Copies<'_>, report: &mut Report) -> anyhow::Result<()> {
        let mut found = Vec::new();
        for &side in &self.sides {
            let mut stage = copies.open(side).await?;
            found.push(memory::measure(&mut stage, side, self.sockets).await?);
            copies.close(stage).await?;
        }
        report.add(memory::table(self.sockets, &found))
    }

    async fn delivery(
        &self,
        copies: &Copies<'_>,
        report: &mut Report,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        let bulk = Load::Bulk { batch: self.batch };
        let api = Load::Api {
            rate: self.api_rate,
        };
        for (load, events) in [(bulk, self.events), (api, self.api_events)] {
            for asking in [Asking::Alike, Asking::Unlike] {
                let setting = delivery::Setting {
                    asking,
                    load,
                    subscribers: self.subscribers,
                    events,
                };
                let mut found = delivery::Found::new();
                for _ in 0..self.rounds {
                    for &side in &self.sides {
                        let mut stage = copies.open(side).await?;
                        let delivered = delivery::measure(&mut stage, setting).await?;
                        found.entry(side).or_default().push(delivered);
                        copies.close(stage).await?;
                    }
                }
                report.add(delivery::table(&setting, &found))?;
                if flames.wanted() {
                    copies.draw(setting, flames).await?;
                }
            }
        }
        Ok(())
    }

    async fn latency(&self, copies: &Copies<'_>, report: &mut Report) -> anyhow::Result<()> {
        for asking in [Asking::Alike, Asking::Unlike] {
            let setting = latency::Setting {
                asking,
                subscribers: self.watchers,
                rate: self.rate,
                events: self.rate * self.seconds,
            };
            let mut found = Vec::new();
            for &side in &self.sides {
                let mut stage = copies.open(side).await?;
                found.push((side, latency::measure(&mut stage, setting).await?));
                copies.close(stage).await?;
            }
            report.add(latency::table(&setting, &found))?;
        }
        Ok(())
    }

    async fn reconnect(&self, copies: &Copies<'_>, report: &mut Report) -> anyhow::Result<()> {
        let mut found = Vec::new();
        for &side in self.sides.iter().filter(|side| side.resumes()) {
            let mut stage = copies.open(side).await?;
            found.push(reconnect::measure(&mut stage, side, self.sockets, self.missed).await?);
            copies.close(stage).await?;
        }
        report.add(reconnect::table(self.sockets, self.missed, &found))
    }
}

/// Fresh copies of the board, one after the other, each for one side.
#[derive(Debug)]
struct Copies<'a> {
    postgres: &'a Postgres,
    package: Option<&'a Package>,
}

impl Copies<'_> {
    /// A copy, and who delivers its events.
    async fn open(&self, side: Side) -> anyhow::Result<Stage<'_>> {
        self.postgres.copy(BOARD, COPY).await?;
        Stage::open(self.postgres, self.package, COPY, side).await
    }

    /// Lets Callboard deliver once more, and draws it.
    async fn draw(&self, setting: delivery::Setting, flames: &Flames) -> anyhow::Result<()> {
        let mut stage = self.open(Side::Callboard).await?;
        let watched = stage.watched();
        let delivered = delivery::measure(&mut stage, setting);
        flames.of(&setting.name(), watched, delivered).await?;
        self.close(stage).await
    }

    async fn close(&self, stage: Stage<'_>) -> anyhow::Result<()> {
        stage.close().await?;
        self.postgres.drop(COPY).await
    }
}

/// Lets this process, and the servers that inherit it from it, open as many files as they may: how many that is.
pub(crate) fn many_files() -> nix::Result<u64> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(most)
}
