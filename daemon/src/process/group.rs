//! A process group as a whole: signalled, and looked after until it is empty.

use std::path::PathBuf;

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// Sends a signal to everyone in the group.
pub(crate) fn signal(group: Pid, signal: Signal) {
    match killpg(group, signal) {
        // Nobody is left.
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => tracing::warn!(%error, %signal, "cannot signal the command"),
    }
}

/// Whether anything in the group runs. Who is dead and only waits to be reaped does not count: in
/// a container whose first process reaps nobody, that would be for ever.
pub(crate) fn runs(group: Pid) -> bool {
    killpg(group, None).is_ok() && running_members(group).is_none_or(|members| members > 0)
}

/// Whether anything that runs in the group was started with this variable in its environment.
pub(crate) fn has_in_environment(group: Pid, variable: &str) -> bool {
    let mut members = processes().filter(|(_, stat)| is_running_member(stat, group) == Some(true));
    members.any(|(process, _)| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|found| found == variable.as_bytes())
    })
}

/// How many run, where the system has /proc to say so.
fn running_members(group: Pid) -> Option<usize> {
    let mut processes = processes().peekable();
    processes.peek()?;
    Some(
        processes
            .filter(|(_, stat)| is_running_member(stat, group) == Some(true))
            .count(),
    )
}

/// Every process, as a directory of /proc, with what stands in its `stat`.
fn processes() -> impl Iterator<Item = (PathBuf, String)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| {
        let process = entry.ok()?.path();
        let stat = std::fs::read_to_string(process.join("stat")).ok()?;
        Some((process, stat))
    })
}

/// Reads "pid (name) state parent group …", where the name may contain anything.
fn is_running_member(stat: &str, group: Pid) -> Option<bool> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let member_of: i32 = fields.nth(1)?.parse().ok()?;
    Some(member_of == group.as_raw() && !matches!(state, "Z" | "X"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_do_not_run() {
        let cases = [
            ("7 (sleep) S 1 42 42 0", Some(true)),
            ("7 (a) b) R) S 1 42 42 0", Some(true)),
            ("7 (sleep) Z 1 42 42 0", Some(false)),
            ("7 (sleep) S 1 43 42 0", Some(false)),
            ("nonsense", None),
        ];
        for (stat, runs) in cases {
            assert_eq!(is_running_member(stat, Pid::from_raw(42)), runs, "{stat}");
        }
    }
}
