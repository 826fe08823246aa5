//! The specification of what daemons do: their runtimes, claiming, and telling what becomes of what they hold.

use std::collections::BTreeSet;

use entity::task::Status;

use super::answer::{Answer, Given, Outcome};
use super::board::{Board, MAX_DELIVERIES, REQUEUE_BATCH, Runtime, Silence};
use super::step::Aim;
use super::task::{Lease, Since, Task};
use super::verb::{ClaimVerb, RuntimeVerb};

impl Board {
    /// The runtime of a slot, if it is there and the daemon's who asks.
    fn own_runtime(&self, aim: Aim, slot: usize) -> Result<usize, &'static str> {
        let no = self.slots[slot];
        if aim.stranger || self.runtimes[no].removed {
            Err("NOT_FOUND")
        } else {
            Ok(no)
        }
    }

    /// What becomes of runtimes, and of their asking for work.
    pub(super) fn answer_runtime(&mut self, verb: &RuntimeVerb, aim: Aim) -> Outcome {
        match verb {
            RuntimeVerb::Register { slot } => {
                self.register(*slot);
                Ok(Answer::Done)
            }
            RuntimeVerb::Deregister { slot } => {
                let runtime = self.own_runtime(aim, *slot)?;
                let runtime = &mut self.runtimes[runtime];
                (runtime.online, runtime.silence) = (false, Silence::None);
                Ok(Answer::Done)
            }
            RuntimeVerb::Heartbeat { slot } => {
                let runtime = self.own_runtime(aim, *slot)?;
                let daemon = self.runtimes[runtime].daemon;
                let runtime = &mut self.runtimes[runtime];
                (runtime.online, runtime.silence) = (true, Silence::None);
                let lost = self.tasks.get(aim.task).is_some_and(|task| {
                    let theirs = &self.runtimes[task.runtime];
                    !theirs.removed
                        && theirs.daemon == daemon
                        && !(task.is_at_work() && task.token == aim.token)
                });
                // A token is needed to hold something.
                let lost = (lost && aim.token.is_some()).then_some(aim.task);
                Ok(Answer::Lost(lost.into_iter().collect()))
            }
            RuntimeVerb::Recover { slot } => {
                let runtime = self.own_runtime(aim, *slot)?;
                let orphans = self.which(|task| task.runtime == runtime && task.is_at_work());
                let error = "daemon restarted while task was in flight";
                let retried = self.fail_all(&orphans, "runtime_recovery", error);
                let failed: BTreeSet<usize> = orphans.into_iter().collect();
                Ok(Answer::Recovered { failed, retried })
            }
            RuntimeVerb::Claim {
                slot,
                agent,
                request,
            } => {
                let mut answer = self.claim(aim, &[*slot], *agent, 1, *request)?;
                // A claim of many may have had the same request id; this answer has room for the best of them.
                if let Answer::Claims(given) = &mut answer {
                    given.truncate(1);
                }
                Ok(answer)
            }
            RuntimeVerb::ClaimMany {
                slots,
                max,
                request,
            } => self.claim(aim, slots, None, *max, *request),
        }
    }

    /// Brings a runtime on line; one that was removed comes as a new one.
    fn register(&mut self, slot: usize) {
        let known = self.slots[slot];
        if self.runtimes[known].removed {
            self.slots[slot] = self.runtimes.len();
            let daemon = self.runtimes[known].daemon;
            self.runtimes.push(Runtime {
                daemon,
                online: true,
                silence: Silence::None,
                removed: false,
            });
        } else {
            let runtime = &mut self.runtimes[known];
            (runtime.online, runtime.silence) = (true, Silence::None);
        }
    }

    /// Takes back what was not started in time, then gives the best there is.
    fn claim(
        &mut self,
        aim: Aim,
        slots: &[usize],
        agent: Option<usize>,
        max: usize,
        request: Option<usize>,
    ) -> Outcome {
        // A claim that names another daemon's is refused whole.
        let daemon = self.runtimes[self.slots[slots[0]]].daemon;
        let daemon = if aim.stranger { 1 - daemon } else { daemon };
        let own = |no: &usize| !self.runtimes[*no].removed && self.runtimes[*no].daemon == daemon;
        let asked: Vec<usize> = slots.iter().map(|slot| self.slots[*slot]).collect();
        let theirs: Vec<usize> = asked.iter().copied().filter(own).collect();
        if theirs.len() < asked.len() {
            return Err("NOT_FOUND");
        }
        self.requeue_expired(&theirs);
        let given_before = self.best_first(|task| {
            request.is_some()
                && task.request == request
                && asked.contains(&task.runtime)
                && (task.status == Status::Running
                    || task.status == Status::Dispatched && task.lease == Lease::Holds)
        });
        let given = if given_before.is_empty() {
            self.give(&asked, agent, max, request)
        } else {
            given_before
        };
        let given = given.into_iter().map(|task| Given {
            task,
            token: self.tasks[task].token.expect("a claim has a token"),
            resume: self.resume(task),
        });
        Ok(Answer::Claims(given.collect()))
    }

    /// The oldest expired leases first. What was handed out too often fails.
    fn requeue_expired(&mut self, runtimes: &[usize]) {
        let mut expired = self.which(|task| {
            runtimes.contains(&task.runtime)
                && task.status == Status::Dispatched
                && matches!(task.lease, Lease::Expired(_))
        });
        expired.sort_by_key(|no| self.tasks[*no].lease);
        for no in expired.into_iter().take(REQUEUE_BATCH) {
            let task = &mut self.tasks[no];
            (task.lease, task.request) = (Lease::None, None);
            if task.deliveries >= MAX_DELIVERIES {
                self.fail(no, "undeliverable", "handed out too often");
            } else {
                (task.token, task.dispatched) = (None, Since::Never);
                self.lead(no, Status::Queued, "requeued");
            }
        }
    }

    /// The best claimable task, time and again.
    fn give(
        &mut self,
        runtimes: &[usize],
        agent: Option<usize>,
        max: usize,
        request: Option<usize>,
    ) -> Vec<usize> {
        let mut given = Vec::new();
        while given.len() < max {
            let best = self.best_first(|task| {
                runtimes.contains(&task.runtime)
                    && agent.is_none_or(|agent| task.agent == agent)
                    && self.is_claimable(task)
            });
            let Some(no) = best.first() else { break };
            let task = &mut self.tasks[*no];
            (task.token, task.lease, task.request) = (Some(self.tokens), Lease::Holds, request);
            task.dispatched = Since::Lately;
            task.deliveries += 1;
            self.tokens += 1;
            self.lead(*no, Status::Dispatched, "dispatched");
            given.push(*no);
        }
        given
    }

    /// What becomes of what a daemon tells of a task.
    pub(super) fn answer_holder(&mut self, verb: ClaimVerb, aim: Aim) -> Outcome {
        let no = aim.task;
        let task = self.tasks.get(no).ok_or("NOT_FOUND")?;
        if aim.stranger || self.runtimes[task.runtime].removed {
            return Err("NOT_FOUND");
        }
        let holds = task.token == aim.token;
        match verb {
            ClaimVerb::Start => self.start(no, holds, aim.token)?,
            ClaimVerb::Pin { session, work_dir } => {
                require(holds && task.is_at_work())?;
                let before = (task.session.clone(), task.work_dir.clone());
                self.note(no, session, work_dir);
                let task = &mut self.tasks[no];
                if before != (task.session.clone(), task.work_dir.clone()) {
                    task.events.push("session_pinned");
                }
            }
            ClaimVerb::Progress => {
                require(holds && task.is_at_work())?;
                self.tasks[no].events.push("progress");
            }
            ClaimVerb::Append => require(holds && task.status != Status::Queued)?,
            ClaimVerb::Complete { .. } | ClaimVerb::Fail { .. } if task.status.is_terminal() => {}
            ClaimVerb::Complete { session } => {
                require(holds && task.is_at_work())?;
                if task.status == Status::Dispatched {
                    return Err("FAILED_PRECONDITION");
                }
                self.note(no, session, None);
                self.lead(no, Status::Completed, "completed");
            }
            ClaimVerb::Fail {
                reason,
                error,
                session,
            } => {
                require(holds && task.is_at_work())?;
                self.note(no, session, None);
                let retry = self.fail(no, reason.unwrap_or("agent_error"), error);
                return Ok(Answer::Failed { task: no, retry });
            }
        }
        let failed = matches!(verb, ClaimVerb::Fail { .. });
        Ok(if failed {
            Answer::Failed {
                task: no,
                retry: None,
            }
        } else {
            Answer::Task(no)
        })
    }

    /// Once, under a lease that holds; again with the same token it is what it was. Without tokens there is no again.
    fn start(&mut self, no: usize, holds: bool, token: Option<usize>) -> Result<(), &'static str> {
        let task: &mut Task = &mut self.tasks[no];
        let in_time = token.is_none() || task.lease == Lease::Holds;
        if holds && task.status == Status::Dispatched && in_time {
            (task.lease, task.started) = (Lease::None, Since::Lately);
            self.lead(no, Status::Running, "running");
            return Ok(());
        }
        require(holds && task.status == Status::Running && token.is_some())
    }

    /// What is not said is kept.
    fn note(&mut self, no: usize, session: Option<u8>, work_dir: Option<u8>) {
        let task = &mut self.tasks[no];
        task.session = session
            .map(|name| format!("session {name}"))
            .or(task.session.take());
        task.work_dir = work_dir
            .map(|name| format!("/{name}"))
            .or(task.work_dir.take());
    }
}

/// Whether a claim may do this.
fn require(holds: bool) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err("CLAIM_CONFLICT") }
}
