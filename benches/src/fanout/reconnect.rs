//! How long it takes until all are up to date again whose server was killed.

use std::time::Instant;

use super::crowd::{Asking, Crowd};
use super::side::Side;
use super::stage::Stage;
use crate::report::{Cell, Row, Table, columns};
use crate::sample::Sample;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    side: Side,
    /// When each was up to date, in seconds.
    times: Sample,
    turned_away: usize,
    server: f64,
}

/// Kills the server of so many subscribers, lets something happen, starts the server, and lets all resume at once.
pub(super) async fn measure(
    stage: &mut Stage<'_>,
    side: Side,
    sockets: usize,
    missed: u32,
) -> anyhow::Result<Found> {
    let crowd = Crowd::connected(&stage.door(), sockets).await?;
    let (mut crowd, after) = stage.subscribe(crowd, Asking::Alike).await?;

    stage.kill().await?;
    crowd.cut();
    let (last, _) = stage.commit(missed).await?;
    stage.start_again().await?;
    let (door, before, began) = (stage.door(), stage.used(), Instant::now());
    let (mut crowd, turned_away) = crowd.resumed_to(&door, last).await?;
    let used = stage.used().since(before);
    crowd.account(&stage.happened_after(after).await?).await?;

    let arrivals = crowd.0.iter().filter_map(|it| it.arrivals.last());
    let times = arrivals.map(|arrival| arrival.saturating_duration_since(began).as_secs_f64());
    Ok(Found {
        side,
        times: times.collect(),
        turned_away,
        server: used.server,
    })
}

/// What was found, as a table.
pub(super) fn table(sockets: usize, missed: u32, found: &[Found]) -> Table {
    let rows = found.iter().map(|found| Row {
        name: found.side.name().to_owned(),
        meaning: found.side.meaning().to_owned(),
        cells: vec![
            Cell::Number(found.times.max()),
            Cell::Number(found.times.median()),
            Cell::Text(found.turned_away.to_string()),
            Cell::Number(found.server),
        ],
    });
    Table {
        title: format!("Reconnecting: {sockets} subscribers at once, each {missed} events behind"),
        columns: columns([
            (
                "all s",
                "from when the server accepts connections again until every subscriber has received what it missed",
            ),
            ("half s", "until half of them have"),
            (
                "turned away",
                "how often a subscriber was not served and had to try once more",
            ),
            ("server s", "processor time that the server used meanwhile"),
        ]),
        rows: rows.collect(),
    }
}
