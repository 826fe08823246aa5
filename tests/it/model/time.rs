//! The specification of what time brings about, and of what plain SQL may do.

use callboard::background::sweeper::Swept;
use entity::task::Status;

use super::answer::Answer;
use super::board::{Board, Silence};
use super::step::Aim;
use super::task::{Lease, Since, Task};
use super::verb::TimeVerb;

impl Board {
    /// What becomes of what nobody asks for.
    pub(super) fn pass(&mut self, verb: TimeVerb, aim: Aim) -> Answer {
        let clock = self.clock;
        if let TimeVerb::Sweep = verb {
            return Answer::Swept(self.sweep());
        }
        if let TimeVerb::BeSilent { slot, silence } = verb {
            let runtime = self.slots[slot];
            self.runtimes[runtime].silence = silence;
        }
        let Some(task) = self.tasks.get_mut(aim.task) else {
            return Answer::Done;
        };
        match verb {
            TimeVerb::DispatchWithoutToken => {
                task.dispatched = Since::Lately;
                self.lead(aim.task, Status::Dispatched, "dispatched");
            }
            TimeVerb::ExpireLease => task.lease = Lease::Expired(clock),
            TimeVerb::DispatchedLong => task.dispatched = Since::LongAgo,
            TimeVerb::RunLong => task.started = Since::LongAgo,
            // Before everything that came in the course of the test.
            TimeVerb::WaitLong => {
                (task.waits, task.created.0) = (Since::LongAgo, clock - 1_000_000);
            }
            TimeVerb::BeSilent { .. } | TimeVerb::Sweep => {}
        }
        Answer::Done
    }

    /// First the runtimes, then their tasks, because the tasks go by what the runtimes are.
    fn sweep(&mut self) -> Swept {
        let mut swept = Swept::default();
        for runtime in &mut self.runtimes {
            if runtime.online && runtime.silence >= Silence::Offline {
                runtime.online = false;
                swept.silenced += 1;
            }
        }

        self.clock += 1;
        let lost = self.which(|task| {
            let runtime = &self.runtimes[task.runtime];
            task.is_at_work()
                && (runtime.removed || !runtime.online && runtime.silence >= Silence::Lost)
        });
        self.fail_all(
            &lost,
            "runtime_offline",
            "the runtime went offline while the task was in flight",
        );
        swept.lost = lost.len();

        self.clock += 1;
        let timed_out = self.which(|task| {
            let runtime = &self.runtimes[task.runtime];
            let nobody_knows = runtime.removed || runtime.silence >= Silence::Offline;
            task.status == Status::Dispatched && task.dispatched == Since::LongAgo
                || task.status == Status::Running && task.started == Since::LongAgo && nobody_knows
        });
        self.fail_all(&timed_out, "timeout", "task timed out");
        swept.timed_out = timed_out.len();

        self.clock += 1;
        let expired = self.which(|task| {
            let is_behind = |other: &Task| {
                other.is_at_work() && (other.runtime == task.runtime || other.agent == task.agent)
            };
            let will_have_its_turn =
                self.runtimes[task.runtime].online && !self.which(is_behind).is_empty();
            task.status == Status::Queued && task.waits == Since::LongAgo && !will_have_its_turn
        });
        self.fail_all(&expired, "queued_expired", "task expired in queue");
        swept.expired = expired.len();

        for no in 0..self.runtimes.len() {
            let has_agents = self.agents.iter().any(|agent| agent.runtime == no);
            let runtime = &mut self.runtimes[no];
            if !runtime.removed
                && !runtime.online
                && runtime.silence == Silence::Gone
                && !has_agents
            {
                runtime.removed = true;
                swept.removed += 1;
            }
        }
        swept
    }
}
