//! What a socket costs in memory.

use super::crowd::{Asking, Crowd};
use super::side::Side;
use super::stage::Stage;
use crate::report::{Cell, Row, Table, columns};

/// What was found, in bytes for each socket.
#[derive(Debug)]
pub(super) struct Found {
    side: Side,
    idle: f64,
    subscribed: f64,
}

/// Opens so many sockets, then subscribes with each.
pub(super) async fn measure(
    stage: &mut Stage<'_>,
    side: Side,
    sockets: usize,
) -> anyhow::Result<Found> {
    let door = stage.door();
    // What the first socket costs is not the socket's.
    let first = Crowd::connected(&door, 1).await?;
    let before = stage.memory()?;
    let crowd = Crowd::connected(&door, sockets).await?;
    let idle = stage.memory()?;
    let (mut crowd, after) = stage.subscribe(crowd, Asking::Alike).await?;
    let subscribed = stage.memory()?;
    crowd.account(&stage.happened_after(after).await?).await?;
    drop(first);
    let count = f64::from(u32::try_from(sockets)?);
    Ok(Found {
        side,
        idle: (idle - before) / count,
        subscribed: (subscribed - before) / count,
    })
}

/// What was found, as a table.
pub(super) fn table(sockets: usize, found: &[Found]) -> Table {
    const KIB: f64 = 1024.0;
    let rows = found.iter().map(|found| Row {
        name: found.side.name().to_owned(),
        meaning: found.side.meaning().to_owned(),
        cells: vec![
            Cell::Number(found.idle / KIB),
            Cell::Number(found.subscribed / KIB),
        ],
    });
    Table {
        title: format!("Memory, {sockets} sockets"),
        columns: columns([
            (
                "idle KiB",
                "resident memory of the server for each socket that was acknowledged and asks nothing",
            ),
            (
                "subscribed KiB",
                "the same when each has one subscription to taskEvents, and has received events",
            ),
        ]),
        rows: rows.collect(),
    }
}
