//! How long an event takes from its commit to its subscribers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::crowd::{Asking, Crowd};
use super::side::Side;
use super::stage::Stage;
use crate::report::{Cell, Row, Table, columns};
use crate::sample::Sample;

/// How often something happens, before how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) asking: Asking,
    pub(super) subscribers: usize,
    pub(super) rate: u32,
    pub(super) events: u32,
}

/// Commits now and then, and measures when each event came to each subscriber.
pub(super) async fn measure(stage: &mut Stage<'_>, setting: Setting) -> anyhow::Result<Sample> {
    let crowd = Crowd::connected(&stage.door(), setting.subscribers).await?;
    let (crowd, after) = stage.subscribe(crowd, setting.asking).await?;

    let (announce, until) = watch::channel(None);
    let following = crowd.follow(&until);
    let mut commits: BTreeMap<i64, Instant> = BTreeMap::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / setting.rate);
    for _ in 0..setting.events {
        ticks.tick().await;
        commits.extend([stage.commit(1).await?]);
    }
    let happened = stage.happened_after(after).await?;
    announce.send_replace(happened.last().copied());
    let mut crowd = following.all().await?;
    crowd.account(&happened).await?;

    let latencies = crowd.0.iter().flat_map(|subscriber| {
        let arrived = subscriber.received.iter().zip(&subscriber.arrivals);
        arrived.filter_map(|(event, arrival)| {
            // One that came before the commit's return was seen has taken no time.
            let took = arrival.saturating_duration_since(*commits.get(event)?);
            Some(took.as_secs_f64() * 1000.0)
        })
    });
    Ok(latencies.collect())
}

/// What was found, as a table.
pub(super) fn table(setting: &Setting, found: &[(Side, Sample)]) -> Table {
    let rows = found.iter().map(|(side, latencies)| Row {
        name: side.name().to_owned(),
        meaning: side.meaning().to_owned(),
        cells: [500, 950, 990, 1000]
            .map(|permille| Cell::Number(latencies.quantile(permille)))
            .to_vec(),
    });
    let asking = setting.asking.meaning();
    Table {
        title: format!(
            "Latency before {} subscribers {asking}, {} events in a second",
            setting.subscribers, setting.rate
        ),
        columns: columns([
            (
                "p50 ms",
                "from the return of a commit to the arrival of its event at a subscriber; half came sooner",
            ),
            ("p95 ms", "of a hundred, 95 came sooner"),
            ("p99 ms", "of a hundred, 99 came sooner"),
            ("max ms", "the last one"),
        ]),
        rows: rows.collect(),
    }
}
