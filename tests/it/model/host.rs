//! The specification of what people and the host application do: work onto the board and off it, and their agents.

use entity::task::Status;

use super::answer::{Answer, Outcome};
use super::board::Board;
use super::step::{Aim, User};
use super::task::{Links, Task};
use super::verb::{AgentVerb, BoardVerb, New};

impl Board {
    /// The task, if there is one and the user sees it.
    fn seen_task(&self, aim: Aim) -> Result<usize, &'static str> {
        let task = self.tasks.get(aim.task).ok_or("NOT_FOUND")?;
        self.seen_agent(aim.user, task.agent)?;
        Ok(aim.task)
    }

    /// The agent, if the user sees it.
    fn seen_agent(&self, user: User, no: usize) -> Result<usize, &'static str> {
        let agent = &self.agents[no];
        if user == User::Member && agent.private && !agent.of_member {
            return Err("NOT_FOUND");
        }
        Ok(no)
    }

    /// The agent, if the user may change it.
    fn own_agent(&self, user: User, no: usize) -> Result<usize, &'static str> {
        self.seen_agent(user, no)?;
        if user == User::Member && !self.agents[no].of_member {
            return Err("FORBIDDEN");
        }
        Ok(no)
    }

    /// The agent, if it can be given work.
    fn open_agent(&self, user: User, no: usize) -> Result<usize, &'static str> {
        self.seen_agent(user, no)?;
        if self.agents[no].archived {
            Err("FAILED_PRECONDITION")
        } else {
            Ok(no)
        }
    }

    /// What becomes of work that is put on the board or taken off it.
    pub(super) fn answer_host(&mut self, verb: BoardVerb, aim: Aim) -> Outcome {
        match verb {
            BoardVerb::Enqueue(New {
                agent,
                links,
                priority,
                max_attempts,
                fresh,
            }) => {
                self.open_agent(aim.user, agent)?;
                let task = Task::queued(agent, self.agents[agent].runtime, links);
                Ok(self.enqueue(Task {
                    priority,
                    max_attempts,
                    fresh,
                    ..task
                }))
            }
            BoardVerb::QuickCreate { agent } => {
                self.open_agent(aim.user, agent)?;
                let task = Task::queued(agent, self.agents[agent].runtime, Links::default());
                Ok(self.enqueue(Task {
                    priority: 3,
                    ..task
                }))
            }
            BoardVerb::Link { issue } => self.link(aim, issue),
            BoardVerb::Retry => self.retry(aim),
            BoardVerb::Rerun { issue, agent } => {
                self.open_agent(aim.user, agent)?;
                if let Some(waiting) = self.pending(Some(issue), agent) {
                    self.lead(waiting, Status::Cancelled, "cancelled");
                }
                let links = Links {
                    issue: Some(issue),
                    ..Links::default()
                };
                let task = Task::queued(agent, self.agents[agent].runtime, links);
                Ok(self.enqueue(Task {
                    fresh: true,
                    ..task
                }))
            }
            BoardVerb::Cancel => {
                let no = self.seen_task(aim)?;
                if self.tasks[no].is_active() {
                    self.lead(no, Status::Cancelled, "cancelled");
                }
                Ok(Answer::Task(no))
            }
            BoardVerb::CancelByAgent { agent } => {
                self.seen_agent(aim.user, agent)?;
                Ok(self.cancel(aim, |task| task.agent == agent))
            }
            BoardVerb::CancelByIssue { issue, agent } => Ok(self.cancel(aim, |task| {
                task.links.issue == Some(issue) && agent.is_none_or(|agent| task.agent == agent)
            })),
            BoardVerb::CancelByComment { comment } => {
                Ok(self.cancel(aim, |task| task.links.comment == Some(comment)))
            }
            BoardVerb::CancelByChat { chat } => {
                Ok(self.cancel(aim, |task| task.links.chat == Some(chat)))
            }
        }
    }

    /// A task that waits on an issue for the same agent is the answer to another.
    fn enqueue(&mut self, task: Task) -> Answer {
        match self.pending(task.links.issue, task.agent) {
            Some(task) => Answer::Enqueued {
                task,
                deduplicated: true,
            },
            None => Answer::Enqueued {
                task: self.put(task),
                deduplicated: false,
            },
        }
    }

    /// Attaches once, unless the agent would then have two on the issue that wait, or two that are at work.
    fn link(&mut self, aim: Aim, issue: usize) -> Outcome {
        let no = self.seen_task(aim)?;
        let task = &self.tasks[no];
        match task.links.issue {
            Some(known) if known == issue => return Ok(Answer::Task(no)),
            Some(_) => return Err("FAILED_PRECONDITION"),
            None => {}
        }
        let second_waits = task.is_pending() && self.pending(Some(issue), task.agent).is_some();
        let at_work = |other: &Task| {
            other.agent == task.agent && other.links.issue == Some(issue) && other.is_at_work()
        };
        let second_is_at_work = task.is_at_work() && !self.which(at_work).is_empty();
        if second_waits || second_is_at_work {
            return Err("FAILED_PRECONDITION");
        }
        self.tasks[no].links.issue = Some(issue);
        self.tasks[no].events.push("linked");
        Ok(Answer::Task(no))
    }

    /// By hand, also what was cancelled, and beyond the number of tries; never a second at once.
    fn retry(&mut self, aim: Aim) -> Outcome {
        let no = self.seen_task(aim)?;
        let ended_badly = matches!(self.tasks[no].status, Status::Failed | Status::Cancelled);
        let under_way = !self
            .which(|task| task.parent == Some(no) && task.is_active())
            .is_empty();
        if !ended_badly || under_way || self.agents[self.tasks[no].agent].archived {
            return Err("FAILED_PRECONDITION");
        }
        self.put_retry(no)
            .map(Answer::Task)
            .ok_or("FAILED_PRECONDITION")
    }

    /// Cancels what is active and seen by the user.
    fn cancel(&mut self, aim: Aim, which: impl Fn(&Task) -> bool) -> Answer {
        let tasks = self.oldest_first(|task| {
            task.is_active() && which(task) && self.seen_agent(aim.user, task.agent).is_ok()
        });
        for no in &tasks {
            self.lead(*no, Status::Cancelled, "cancelled");
        }
        Answer::Tasks(tasks)
    }

    /// What becomes of agents.
    pub(super) fn answer_manager(&mut self, verb: AgentVerb, aim: Aim) -> Outcome {
        match verb {
            AgentVerb::Archive { agent } => {
                self.own_agent(aim.user, agent)?;
                self.archive(&[agent]);
                Ok(Answer::Done)
            }
            AgentVerb::ArchiveByRuntime { slot } => {
                let runtime = self.slots[slot];
                if self.runtimes[runtime].removed {
                    return Err("NOT_FOUND");
                }
                let mut agents: Vec<usize> = (0..self.agents.len()).collect();
                agents.retain(|no| {
                    self.agents[*no].runtime == runtime
                        && !self.agents[*no].archived
                        && self.seen_agent(aim.user, *no).is_ok()
                });
                for no in &agents {
                    self.own_agent(aim.user, *no)?;
                }
                self.archive(&agents);
                Ok(Answer::Agents(agents))
            }
            AgentVerb::Restore { agent } => {
                self.own_agent(aim.user, agent)?;
                if !std::mem::take(&mut self.agents[agent].archived) {
                    return Err("FAILED_PRECONDITION");
                }
                Ok(Answer::Done)
            }
            AgentVerb::Move { agent, slot } => {
                self.own_agent(aim.user, agent)?;
                let runtime = self.slots[slot];
                if self.runtimes[runtime].removed {
                    return Err("NOT_FOUND");
                }
                // What is on the board stays where it is.
                self.agents[agent].runtime = runtime;
                Ok(Answer::Done)
            }
            AgentVerb::Resize { agent, capacity } => {
                self.own_agent(aim.user, agent)?;
                self.agents[agent].capacity = capacity;
                Ok(Answer::Done)
            }
            AgentVerb::SetStatus { agent, status } => {
                self.own_agent(aim.user, agent)?;
                let works = !self
                    .which(|task| task.agent == agent && task.is_at_work())
                    .is_empty();
                // Idle and working are not a matter of opinion.
                self.agents[agent].status = match (status, works) {
                    ("idle" | "working", true) => "working",
                    ("idle" | "working", false) => "idle",
                    (status, _) => status,
                };
                Ok(Answer::Done)
            }
        }
    }

    /// Archives agents; what they had to do is cancelled.
    fn archive(&mut self, agents: &[usize]) {
        for agent in agents {
            if !std::mem::replace(&mut self.agents[*agent].archived, true) {
                for no in self.which(|task| task.agent == *agent && task.is_active()) {
                    self.lead(no, Status::Cancelled, "cancelled");
                }
            }
        }
    }
}
