//! Who used the processor: read from `/proc`, and not a number where there is none.

use std::fs;

use anyhow::Context;

/// How many ticks a second the kernel counts in.
const TICKS: f64 = 100.0;

/// Seconds of processor time that processes have used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// A server, with the processes that it has started.
    pub(crate) server: f64,
    /// Postgres, with the sessions that have ended.
    pub(crate) postgres: f64,
    /// This process: the load.
    pub(crate) load: f64,
}

impl Used {
    /// Until now.
    pub(crate) fn until_now(server: Option<u32>, postmaster: Option<u32>) -> Self {
        Self {
            server: server.and_then(family).unwrap_or(f64::NAN),
            postgres: postmaster.and_then(family).unwrap_or(f64::NAN),
            load: Stat::of(std::process::id()).map_or(f64::NAN, |stat| stat.own),
        }
    }

    /// Since an earlier time.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            server: self.server - earlier.server,
            postgres: self.postgres - earlier.postgres,
            load: self.load - earlier.load,
        }
    }
}

/// How many bytes of memory a process has resident.
pub(crate) fn memory(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    resident(&status).context("a process has no resident memory")
}

/// The same in MiB.
pub(crate) fn mib(process: u32) -> anyhow::Result<f64> {
    Ok(memory(process)? / (1024.0 * 1024.0))
}

fn resident(status: &str) -> Option<f64> {
    let mut lines = status.lines();
    let resident = lines.find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = resident.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024.0)
}

/// What the kernel says of a process.
#[derive(Clone, Copy, Debug)]
struct Stat {
    parent: u32,
    own: f64,
    ended_children: f64,
}

impl Stat {
    fn of(process: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name, in brackets, can have anything in it. The fields after it begin with the third.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: (ticks(14)? + ticks(15)?) / TICKS,
            ended_children: (ticks(16)? + ticks(17)?) / TICKS,
        })
    }
}

/// A process and its children, those that have ended included.
fn family(parent: u32) -> Option<f64> {
    let stat = Stat::of(parent)?;
    let children = children(parent).map(|(_, child)| child.own);
    Some(stat.own + stat.ended_children + children.sum::<f64>())
}

/// A process and its children.
pub(crate) fn processes(parent: u32) -> Vec<u32> {
    let children = children(parent).map(|(process, _)| process);
    std::iter::once(parent).chain(children).collect()
}

/// The children of a process.
fn children(parent: u32) -> impl Iterator<Item = (u32, Stat)> {
    let processes = fs::read_dir("/proc").into_iter().flatten();
    processes.filter_map(move |entry| {
        let process = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = Stat::of(process).filter(|child| child.parent == parent)?;
        Some((process, stat))
    })
}

#[cfg(test)]
mod tests {
    use super::{Stat, resident};

    #[test]
    fn resident_memory_is_told_in_bytes() {
        let status = "Name:\ta\nVmHWM:\t    9 kB\nVmRSS:\t    2 kB\n";
        assert_eq!(resident(status), Some(2048.0));
    }

    #[test]
    fn the_times_are_read_behind_a_name_with_brackets() {
        let text = "7 (a) b) S 3 7 7 0 -1 4194560 100 0 0 0 150 50 25 75 20 0 1 0 100 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.parent, 3);
        assert!((stat.own - 2.0).abs() < f64::EPSILON);
        assert!((stat.ended_children - 1.0).abs() < f64::EPSILON);
    }
}
