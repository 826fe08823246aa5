//! The lifecycle as a specification that can be read: what is on the board, and the rules that stand over it. No
//! database, no clock, no ids; everything has a number, in the order in which it came about.

use std::collections::BTreeSet;

use entity::task::Status;

use super::task::Task;

/// How often a task may be handed out.
pub(super) const MAX_DELIVERIES: usize = 2;
/// How many expired leases a claim takes back at most.
pub(super) const REQUEUE_BATCH: usize = 2;

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) agents: Vec<Agent>,
    pub(super) runtimes: Vec<Runtime>,
    /// Which runtime each of the daemons' providers has: one that was removed is another when it comes again.
    pub(super) slots: Vec<usize>,
    pub(super) tasks: Vec<Task>,
    /// How many claim tokens were given out.
    pub(super) tokens: usize,
    /// Goes on with everything that happens.
    pub(super) clock: i64,
}

#[derive(Debug)]
pub(super) struct Agent {
    /// Whether it is the member's own.
    pub(super) of_member: bool,
    /// Whether it is hidden from those whose own it is not.
    pub(super) private: bool,
    pub(super) capacity: usize,
    pub(super) runtime: usize,
    pub(super) archived: bool,
    pub(super) status: &'static str,
}

#[derive(Debug)]
pub(super) struct Runtime {
    pub(super) daemon: usize,
    pub(super) online: bool,
    pub(super) silence: Silence,
    pub(super) removed: bool,
}

/// For how long nothing was heard of a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Silence {
    /// It was heard of just now.
    None,
    /// Long enough to go off line.
    Offline,
    /// Long enough to lose its tasks.
    Lost,
    /// Long enough to be removed.
    Gone,
}

impl Board {
    /// Those that fit, by their numbers.
    pub(super) fn which(&self, fits: impl Fn(&Task) -> bool) -> Vec<usize> {
        (0..self.tasks.len())
            .filter(|no| fits(&self.tasks[*no]))
            .collect()
    }

    /// Those that fit, in the order in which they were put on the board.
    pub(super) fn oldest_first(&self, fits: impl Fn(&Task) -> bool) -> Vec<usize> {
        let mut tasks = self.which(fits);
        tasks.sort_by_key(|no| self.tasks[*no].created);
        tasks
    }

    /// Those that fit, in the order of claiming.
    pub(super) fn best_first(&self, fits: impl Fn(&Task) -> bool) -> Vec<usize> {
        let mut tasks = self.which(fits);
        tasks.sort_by_key(|no| self.tasks[*no].place());
        tasks
    }

    /// Whether a runtime may be given the task now.
    pub(super) fn is_claimable(&self, task: &Task) -> bool {
        let agent = &self.agents[task.agent];
        let at_work = self.which(|other| other.agent == task.agent && other.is_at_work());
        task.status == Status::Queued
            && self.runtimes[task.runtime].online
            && !agent.archived
            && at_work.len() < agent.capacity
            && !at_work
                .iter()
                .any(|other| task.links.collide(self.tasks[*other].links))
    }

    /// The task that takes the one place of an issue and agent.
    pub(super) fn pending(&self, issue: Option<usize>, agent: usize) -> Option<usize> {
        issue?;
        self.which(|task| task.links.issue == issue && task.agent == agent && task.is_pending())
            .pop()
    }

    /// Puts a task on the board.
    pub(super) fn put(&mut self, task: Task) -> usize {
        let no = self.tasks.len();
        self.tasks.push(Task {
            created: (self.clock, no),
            ..task
        });
        no
    }

    /// Leads a task from one state to another.
    pub(super) fn lead(&mut self, no: usize, to: Status, event: &'static str) {
        let task = &mut self.tasks[no];
        let was_at_work = task.is_at_work();
        task.status = to;
        task.events.push(event);
        task.ended = to.is_terminal().then_some(self.clock);
        let (agent, is_at_work) = (task.agent, task.is_at_work());
        if was_at_work != is_at_work {
            let works = !self
                .which(|task| task.agent == agent && task.is_at_work())
                .is_empty();
            self.agents[agent].status = if works { "working" } else { "idle" };
        }
    }

    /// Fails a task, and retries it where the rule allows.
    pub(super) fn fail(
        &mut self,
        no: usize,
        reason: &'static str,
        error: &'static str,
    ) -> Option<usize> {
        self.lead(no, Status::Failed, "failed");
        let task = &mut self.tasks[no];
        (task.failure_reason, task.error) = (Some(reason), Some(error));
        if self.tasks[no].earns_retry() {
            self.put_retry(no)
        } else {
            None
        }
    }

    /// Fails several at once: first all of them, then the retries.
    pub(super) fn fail_all(
        &mut self,
        tasks: &[usize],
        reason: &'static str,
        error: &'static str,
    ) -> BTreeSet<usize> {
        tasks
            .iter()
            .filter_map(|no| self.fail(*no, reason, error))
            .collect()
    }

    /// Puts the next try of a task on the board, unless its issue and agent have one that waits.
    pub(super) fn put_retry(&mut self, no: usize) -> Option<usize> {
        let parent = self.tasks[no].clone();
        let is_poisoned = parent.is_poisoned();
        if self.pending(parent.links.issue, parent.agent).is_some() {
            return None;
        }
        Some(self.put(Task {
            priority: parent.priority,
            attempt: parent.attempt + 1,
            max_attempts: parent.max_attempts,
            parent: Some(no),
            session: parent.session.filter(|_| !is_poisoned),
            work_dir: parent.work_dir,
            ..Task::queued(parent.agent, parent.runtime, parent.links)
        }))
    }

    /// The session and directory that a claimed task goes on with.
    pub(super) fn resume(&self, no: usize) -> Option<(String, Option<String>)> {
        let task = &self.tasks[no];
        let last = self.which(|other| {
            task.links.issue.is_some()
                && (other.agent, other.links.issue) == (task.agent, task.links.issue)
                && matches!(other.status, Status::Completed | Status::Failed)
                && !other.is_poisoned()
                && other.session.is_some()
        });
        let last = last
            .into_iter()
            .max_by_key(|no| (self.tasks[*no].ended, self.tasks[*no].created.1));
        let from = &self.tasks[last.unwrap_or(no)];
        let session = from.session.clone()?;
        (!task.fresh && from.runtime == task.runtime).then(|| (session, from.work_dir.clone()))
    }
}
