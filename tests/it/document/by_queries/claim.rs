//! Claiming and starting.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::deed::Token;
use super::super::difference::Difference;
use super::super::side::{Answer, Said, rows};
use super::super::statement::{Argument, Row, some};
use super::settle::is_poisoned;
use super::{ByQueries, LEASE_SECS, Manner};

/// How often a task may be handed out.
const MAX_DELIVERIES: i32 = 5;

impl ByQueries<'_> {
    /// Takes back the runtime's expired leases, then hands out its best claimable tasks, one after the other.
    pub(super) async fn claim(&mut self, runtime: &str, agent: Option<&str>, max: i32) -> Answer {
        let runtime_id = self.side.names.id(runtime);
        let agent_id = agent.map(|agent| self.side.names.id(agent));
        self.requeue(runtime_id).await;
        if self.is_callboard() && !self.side.is_online(runtime_id).await {
            if self.best(runtime_id, agent_id).await.is_some() {
                self.note(Difference::OfflineRuntimesAreHandedNothing);
            }
            return Some(Vec::new());
        }
        let mut said = Vec::new();
        for _ in 0..max {
            let Some(agent) = self.best(runtime_id, agent_id).await else {
                break;
            };
            let given = [some(LEASE_SECS), some(agent), some(runtime_id)];
            let task = self.one("ClaimAgentTaskForRuntime", &given).await.unwrap();
            said.extend([Said::Row(task.id("id")), self.resume(&task).await]);
        }
        Some(said)
    }

    pub(super) async fn legacy_claim(&mut self, agent: &str) -> Answer {
        let given = [self.side.argument(agent)];
        let claimed = self.run("ClaimAgentTask", &given).await;
        Some(rows(&claimed))
    }

    pub(super) async fn start(&mut self, task: &str, token: Token) -> Answer {
        let id = self.side.argument(task);
        let token = Self::shown(token, &self.side.task(&id).await);
        let started = if token.is_some() {
            self.one("StartAgentTaskWithClaimToken", &[id, token]).await
        } else {
            self.one("StartAgentTask", &[id]).await
        };
        started.map(|task| rows(&[task]))
    }

    async fn requeue(&mut self, runtime: Uuid) {
        let requeued = self
            .run(
                "RequeueExpiredClaimLeasesForRuntime",
                &[some(runtime), some(50)],
            )
            .await;
        let Manner::Callboard(_, deliveries) = &self.manner else {
            return;
        };
        let deliveries = deliveries.clone();
        for task in requeued {
            let id = task.id("id");
            let times = deliveries
                .get(&self.side.names.name(id))
                .copied()
                .unwrap_or(0);
            if times >= MAX_DELIVERIES {
                self.note(Difference::DeliveriesEnd);
                self.plain(&format!(
                    "update agent_task_queue
                     set status = 'failed', completed_at = now(), failure_reason = 'undeliverable',
                         error = 'handed out {times} times and never started',
                         dispatched_at = now(), claim_token = gen_random_uuid()
                     where id = '{id}'"
                ))
                .await;
            }
        }
    }

    /// The agent whose next task is the best of the runtime: each is tried, and what it is given taken back.
    async fn best(&mut self, runtime: Uuid, only: Option<Uuid>) -> Option<Uuid> {
        let candidates = self
            .run("ListQueuedClaimCandidatesByRuntime", &[some(runtime)])
            .await;
        let place = |task: &Row| {
            candidates
                .iter()
                .position(|candidate| candidate.id("id") == task.id("id"))
        };
        let mut tried = BTreeSet::new();
        let mut heads: Vec<(usize, Uuid)> = Vec::new();
        for candidate in &candidates {
            let agent = candidate.id("agent_id");
            if only.is_some_and(|only| only != agent)
                || !tried.insert(agent)
                || !self.has_room(agent).await
            {
                continue;
            }
            let given = [some(LEASE_SECS), some(agent), some(runtime)];
            let claimed = self
                .would("ClaimAgentTaskForRuntime", &given)
                .await
                .unwrap();
            heads.extend(claimed.first().map(|task| (place(task).unwrap(), agent)));
        }
        let best = heads.iter().min().copied()?;
        if heads[0] != best {
            self.note(Difference::TheBestOfAllAgentsIsFirst);
        }
        Some(best.1)
    }

    /// Whether an agent may be given a task more.
    async fn has_room(&mut self, agent: Uuid) -> bool {
        let busy = self.run("CountRunningTasks", &[some(agent)]).await[0].number("count");
        let agent = self.side.agent(&some(agent)).await;
        agent.get("archived_at").is_none() && busy < agent.number("max_concurrent_tasks")
    }

    /// The session to go on with: the last one of the issue, or what a retry brought along.
    async fn resume(&mut self, task: &Row) -> Said {
        Said::Text(
            self.session_to_resume(task)
                .await
                .unwrap_or_else(|| "no session".to_owned()),
        )
    }

    async fn session_to_resume(&mut self, task: &Row) -> Option<String> {
        if task.is("force_fresh_session") {
            return None;
        }
        let issue: Argument = task.get("issue_id").map(str::to_owned);
        if issue.is_some() {
            let last = self
                .one("GetLastTaskSession", &[some(task.id("agent_id")), issue])
                .await;
            if let Some(last) = last {
                let here = last.id("runtime_id") == task.id("runtime_id");
                return here.then(|| last.text("session_id").to_owned());
            }
        }
        if let Some(parent) = task.get("parent_task_id") {
            let parent = self.side.task(&some(parent)).await;
            if is_poisoned(&parent) {
                return None;
            }
        }
        task.get("session_id").map(str::to_owned)
    }
}
