//! A child process with everything that it starts: one process group, ended as one.
//!
//! A process that leaves its group (setsid) is out of reach.

mod group;

use std::{io, process::ExitStatus, process::Stdio, time::Duration};

use nix::{sys::signal::Signal, unistd::Pid};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use uuid::Uuid;

/// How often to look whether a group has emptied: only its leader can be waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long killed processes may take to vanish before nobody waits any more.
const VANISH_BOUND: Duration = Duration::from_secs(1);

/// A running group. Dropped before [`Process::end`], it is killed.
pub(crate) struct Process {
    leader: Child,
    group: Option<Pid>,
}

/// The three pipes to the leader.
pub(crate) struct Pipes {
    /// What it reads.
    pub(crate) stdin: ChildStdin,
    /// What it says.
    pub(crate) stdout: ChildStdout,
    /// What it complains of.
    pub(crate) stderr: ChildStderr,
}

/// Starts a command as the leader of a group of its own.
pub(crate) fn spawn(command: &mut Command) -> io::Result<(Process, Pipes)> {
    let mut leader = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = leader
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .map(Pid::from_raw);
    let pipes = leader
        .stdin
        .take()
        .zip(leader.stdout.take())
        .zip(leader.stderr.take())
        .map(|((stdin, stdout), stderr)| Pipes {
            stdin,
            stdout,
            stderr,
        })
        .ok_or_else(|| io::Error::other("the child has no pipes"))?;
    Ok((Process { leader, group }, pipes))
}

impl Process {
    /// Its group, until it has been ended.
    pub(crate) const fn group(&self) -> Option<Pid> {
        self.group
    }

    /// Waits for the leader; the others may outlive it.
    pub(crate) async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.leader.wait().await
    }

    /// Ends whatever of the group still lives: politely, then after the grace for certain.
    pub(crate) async fn end(&mut self, grace: Duration) {
        let Some(group) = self.group else { return };
        let reaped = async {
            if let Err(error) = self.leader.wait().await {
                tracing::warn!(%error, "cannot wait for the command");
            }
        };
        // A leader that nobody waits for stays in the group.
        tokio::join!(reaped, end_group(group, grace));
        self.group = None;
    }
}

/// Ends whatever of a group still lives: politely, then after the grace for certain.
pub(crate) async fn end_group(group: Pid, grace: Duration) {
    group::signal(group, Signal::SIGTERM);
    if tokio::time::timeout(grace, emptied(group)).await.is_err() {
        tracing::info!("the command ignores SIGTERM and is killed");
        group::signal(group, Signal::SIGKILL);
        if tokio::time::timeout(VANISH_BOUND, emptied(group))
            .await
            .is_err()
        {
            tracing::debug!("processes of the group are slow to vanish");
        }
    }
}

/// Whether something in a group was started for a task.
pub(crate) async fn works_on(group: Pid, task_id: Uuid) -> bool {
    let looks = move || group::has_in_environment(group, &format!("CALLBOARD_TASK_ID={task_id}"));
    tokio::task::spawn_blocking(looks).await.unwrap_or_default()
}

/// Waits until nothing in the group runs.
async fn emptied(group: Pid) {
    // Looking reads /proc, which may take a moment.
    let looks = || tokio::task::spawn_blocking(move || group::runs(group));
    while looks().await.unwrap_or_default() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            group::signal(group, Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

    use super::*;

    fn sh(script: &str) -> (Process, Pipes) {
        spawn(Command::new("sh").arg("-c").arg(script)).unwrap()
    }

    fn ending_signal(status: ExitStatus) -> Option<Signal> {
        Signal::try_from(status.signal()?).ok()
    }

    #[tokio::test]
    async fn a_command_reads_writes_and_exits() {
        let (mut process, mut pipes) = sh("cat; echo oops >&2; exit 3");
        pipes.stdin.write_all(b"hello").await.unwrap();
        drop(pipes.stdin);
        let (mut out, mut err) = (String::new(), String::new());
        pipes.stdout.read_to_string(&mut out).await.unwrap();
        pipes.stderr.read_to_string(&mut err).await.unwrap();
        assert_eq!((out.as_str(), err.as_str()), ("hello", "oops\n"));
        assert_eq!(process.exited().await.unwrap().code(), Some(3));
    }

    #[tokio::test]
    async fn ending_reaches_grandchildren() {
        let (mut process, pipes) = sh("sh -c 'echo up; exec sleep 600' & wait");
        let mut stdout = BufReader::new(pipes.stdout);
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        assert_eq!(line, "up\n");
        process.end(Duration::from_mins(1)).await;
        // The pipe ends only when the last process that holds it is gone.
        assert_eq!(stdout.read_to_string(&mut line).await.unwrap(), 0);
        let status = process.exited().await.unwrap();
        assert_eq!(ending_signal(status), Some(Signal::SIGTERM));
    }

    #[tokio::test]
    async fn who_ignores_the_term_is_killed() {
        let (mut process, pipes) =
            sh("trap '' TERM; (trap '' TERM; echo up; sleep 600) & wait; wait");
        let mut stdout = BufReader::new(pipes.stdout);
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        process.end(Duration::from_millis(20)).await;
        assert_eq!(stdout.read_to_string(&mut line).await.unwrap(), 0);
        let status = process.exited().await.unwrap();
        assert_eq!(ending_signal(status), Some(Signal::SIGKILL));
    }

    #[tokio::test]
    async fn who_outlives_the_leader_is_ended_too() {
        let (mut process, pipes) = sh("sleep 600 & exit 0");
        assert!(process.exited().await.unwrap().success());
        process.end(Duration::from_mins(1)).await;
        let mut rest = String::new();
        let mut stdout = pipes.stdout;
        assert_eq!(stdout.read_to_string(&mut rest).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_dropped_process_takes_its_group_along() {
        let (process, pipes) = sh("sleep 600 & sleep 600");
        drop(process);
        let mut rest = String::new();
        let mut stdout = pipes.stdout;
        assert_eq!(stdout.read_to_string(&mut rest).await.unwrap(), 0);
    }
}
