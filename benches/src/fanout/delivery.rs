//! How many events a server delivers in a second of one processor.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::sync::watch;

use super::crowd::{Asking, Crowd};
use super::side::Side;
use super::stage::{Load, Stage};
use crate::report::{Cell, Row, Table, columns};
use crate::sample::Sample;

/// What one side did in one round.
#[derive(Debug)]
pub(super) struct Delivered {
    /// Events for a second of the server's processor time.
    rate: f64,
    /// Events in a second.
    speed: f64,
    /// Bytes of a message.
    bytes: f64,
    /// Seconds of processor time that Postgres used for a million events.
    postgres: f64,
    /// The same of this program.
    load: f64,
}

/// What the sides did, by round.
pub(super) type Found = BTreeMap<Side, Vec<Delivered>>;

/// Who asks, and how tasks come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) asking: Asking,
    pub(super) load: Load,
    pub(super) subscribers: usize,
    pub(super) events: u32,
}

impl Setting {
    /// What files about it are called.
    pub(super) fn name(&self) -> String {
        let asking = match self.asking {
            Asking::Alike => "alike",
            Asking::Unlike => "unlike",
        };
        let load = match self.load {
            Load::Bulk { .. } => "bulk",
            Load::Api { .. } => "api",
        };
        format!("fanout-{load}-{asking}")
    }

    fn title(&self) -> String {
        let asking = self.asking.meaning();
        let load = match self.load {
            Load::Bulk { batch } => format!("{batch} in a commit in SQL, one after the other"),
            Load::Api { rate } => format!("through the API, {rate} in a second"),
        };
        format!(
            "Delivery to {} subscribers {asking}: {} tasks, {load}",
            self.subscribers, self.events
        )
    }
}

/// Delivers events to subscribers.
pub(super) async fn measure(stage: &mut Stage<'_>, setting: Setting) -> anyhow::Result<Delivered> {
    let crowd = Crowd::connected(&stage.door(), setting.subscribers).await?;
    let (crowd, after) = stage.subscribe(crowd, setting.asking).await?;

    let (announce, until) = watch::channel(None);
    let (before, began) = (stage.used(), Instant::now());
    let following = crowd.follow(&until);
    let events = stage.side().share(setting.events);
    stage.produce(setting.load, events).await?;
    let happened = stage.happened_after(after).await?;
    announce.send_replace(happened.last().copied());
    let mut crowd = following.all().await?;
    let (used, time) = (stage.used().since(before), began.elapsed());

    crowd.account(&happened).await?;
    let count = |number: usize| u32::try_from(number).map(f64::from);
    let received = crowd.0.iter().map(|subscriber| subscriber.received.len());
    let events = count(received.sum())?;
    let bytes = count(crowd.0.iter().map(|subscriber| subscriber.bytes).sum())?;
    Ok(Delivered {
        rate: events / used.server,
        speed: events / time.as_secs_f64(),
        bytes: bytes / events,
        postgres: used.postgres / events * 1e6,
        load: used.load / events * 1e6,
    })
}

/// What was found, as a table.
pub(super) fn table(setting: &Setting, found: &Found) -> Table {
    let sample =
        |of: &[Delivered], value: fn(&Delivered) -> f64| of.iter().map(value).collect::<Sample>();
    let ours = found.get(&Side::Callboard);
    let rows = found.iter().map(|(side, rounds)| {
        let rate = sample(rounds, |it| it.rate);
        let ratios = ours.into_iter().flatten().zip(rounds);
        let ratios: Sample = ratios.map(|(ours, it)| ours.rate / it.rate).collect();
        Row {
            name: side.name().to_owned(),
            meaning: side.meaning().to_owned(),
            cells: vec![
                Cell::Number(rate.median()),
                Cell::Text(rate.spread()),
                Cell::Number(ratios.median()),
                Cell::Number(sample(rounds, |it| it.bytes).median()),
                Cell::Number(sample(rounds, |it| it.speed).median()),
                Cell::Number(sample(rounds, |it| it.postgres).median()),
                Cell::Number(sample(rounds, |it| it.load).median()),
            ],
        }
    });
    Table {
        title: setting.title(),
        columns: columns([
            (
                "events/core-s",
                "events that reached a subscriber for each second of processor time that the server used; the middle round",
            ),
            ("spread", "the smallest and the largest of the rounds"),
            (
                "Callboard",
                "how many times as many Callboard delivers for the same, in the same round; the middle round",
            ),
            ("bytes", "how long a message is"),
            (
                "events/s",
                "events that reached a subscriber in a second of the run, on a machine that this program shares",
            ),
            (
                "Postgres µs",
                "processor time that Postgres used for each of them, to take in the tasks and to tell and read what happened",
            ),
            (
                "load µs",
                "processor time that this program used for each of them, to receive them and to put tasks on the board",
            ),
        ]),
        rows: rows.collect(),
    }
}
