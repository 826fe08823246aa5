//! What runs, noted on disk: a daemon that is killed leaves its commands behind, and its next life
//! ends them before their tasks are given to anybody again.
//!
//! One file for each process group, named after it, with the id of the task in it. A group that has
//! been another's since is told apart by the environment of its processes, as far as the system has
//! a /proc that shows it; where it does not, nothing is ended.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::Pid;
use uuid::Uuid;

use crate::process;

/// A directory of notes.
pub(crate) struct Running {
    dir: PathBuf,
}

/// A command's note; removed when this is dropped.
pub(crate) struct Noted {
    path: PathBuf,
}

impl Running {
    /// Uses a directory that exists.
    pub(crate) const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Notes that a group works on a task.
    pub(crate) fn note(&self, group: Pid, task_id: Uuid) -> Noted {
        let path = self.dir.join(group.to_string());
        if let Err(error) = std::fs::write(&path, task_id.to_string()) {
            tracing::warn!(%error, path = %path.display(), "cannot note which processes run");
        }
        Noted { path }
    }

    /// Ends what an earlier life has left running.
    pub(crate) async fn end_left(&self, grace: Duration) -> io::Result<()> {
        let mut notes = tokio::fs::read_dir(&self.dir).await?;
        while let Some(note) = notes.next_entry().await? {
            let path = note.path();
            if let Some((group, task_id)) = read(&path).await
                && process::works_on(group, task_id).await
            {
                tracing::warn!(task.id = %task_id, "ending a command that outlived its daemon");
                process::end_group(group, grace).await;
            }
            tokio::fs::remove_file(&path).await?;
        }
        Ok(())
    }
}

/// The group and the task of a note; none where it was never complete.
async fn read(path: &Path) -> Option<(Pid, Uuid)> {
    let group = path.file_name()?.to_str()?.parse().ok()?;
    let task_id = tokio::fs::read_to_string(path).await.ok()?.parse().ok()?;
    Some((Pid::from_raw(group), task_id))
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "cannot remove a note");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncBufReadExt, AsyncReadExt, BufReader},
        process::Command,
    };

    use super::*;

    const TASK: Uuid = Uuid::from_u128(7);

    /// A command that runs for a task, with a child of its own, and what it says.
    async fn started() -> (process::Process, BufReader<tokio::process::ChildStdout>) {
        let mut command = Command::new("sh");
        command.arg("-c").arg("sleep 600 & echo up; wait");
        command.env("CALLBOARD_TASK_ID", TASK.to_string());
        let (process, pipes) = process::spawn(&mut command).unwrap();
        let mut said = BufReader::new(pipes.stdout);
        let mut line = String::new();
        said.read_line(&mut line).await.unwrap();
        assert_eq!(line, "up\n");
        (process, said)
    }

    fn notes(dir: &Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    #[tokio::test]
    async fn what_outlived_its_daemon_is_ended_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::new(dir.path().to_owned());
        let (process, mut said) = started().await;
        // As a daemon that is killed leaves it.
        std::mem::forget(running.note(process.group().unwrap(), TASK));
        running.end_left(Duration::from_mins(1)).await.unwrap();
        // The pipe ends only when the last process that holds it is gone.
        assert_eq!(said.read_to_string(&mut String::new()).await.unwrap(), 0);
        assert_eq!(notes(dir.path()), 0);
    }

    #[tokio::test]
    async fn a_group_that_is_another_s_by_now_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::new(dir.path().to_owned());
        let (mut process, _said) = started().await;
        let group = process.group().unwrap();
        std::mem::forget(running.note(group, Uuid::from_u128(8)));
        std::fs::write(dir.path().join("nonsense"), "").unwrap();
        running.end_left(Duration::from_mins(1)).await.unwrap();
        assert_eq!(notes(dir.path()), 0);
        assert!(process::works_on(group, TASK).await);
        process.end(Duration::from_mins(1)).await;
        assert!(!process::works_on(group, TASK).await);
    }

    #[tokio::test]
    async fn what_has_ended_is_not_noted_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::new(dir.path().to_owned());
        let noted = running.note(Pid::from_raw(1), TASK);
        assert_eq!(notes(dir.path()), 1);
        drop(noted);
        assert_eq!(notes(dir.path()), 0);
    }
}
