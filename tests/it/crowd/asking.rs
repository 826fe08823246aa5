//! Every mutation there is, about one of the few things there are, and what is learned from its answer.

use entity::id::TaskId;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Crowd, either, one};
use crate::harness::{Claim, Client, uuid};

/// What can be asked for.
pub(crate) const MUTATIONS: [&str; 29] = [
    "appendTaskMessages",
    "archiveAgent",
    "archiveAgentsByRuntime",
    "cancelByAgent",
    "cancelByChatSession",
    "cancelByIssue",
    "cancelByTriggerComment",
    "cancelTask",
    "claimTask",
    "claimTasks",
    "completeTask",
    "createAgent",
    "deregisterRuntime",
    "enqueueQuickCreate",
    "enqueueTask",
    "failTask",
    "heartbeat",
    "linkTaskToIssue",
    "pinTaskSession",
    "recoverOrphanedTasks",
    "registerRuntime",
    "reportTaskProgress",
    "reportTaskUsage",
    "rerunIssue",
    "restoreAgent",
    "retryTask",
    "setAgentStatus",
    "startTask",
    "updateAgent",
];

/// What is asked of whom.
pub(super) struct Asked<'c> {
    pub(super) client: &'c Client,
    /// The number of the daemon, where it is one's.
    pub(super) daemon: usize,
    pub(super) mutation: &'static str,
    pub(super) given: Value,
    /// What a claim calls itself.
    pub(super) request: Uuid,
}

impl Crowd<'_> {
    /// Who asks for what. What needs a task or a claim while there is none is a new task instead.
    pub(super) fn request(&self, mutation: &'static str, dice: &mut StdRng) -> Asked<'_> {
        let asked = self.of_a_claim(mutation, dice);
        let asked = asked.or_else(|| self.of_a_daemon(mutation, dice));
        let asked = asked.or_else(|| self.of_a_task(mutation, dice));
        let asked = asked.or_else(|| self.of_an_agent(mutation, dice));
        asked.unwrap_or_else(|| self.by_host("enqueueTask", self.a_new_task(dice), dice))
    }

    /// Learns from an answer: which tasks there are, and who was given them by which request.
    pub(super) fn learn(&self, asked: &Asked<'_>, answer: &Value) -> Result<(), String> {
        let claims = match asked.mutation {
            "claimTasks" => answer.as_array().cloned().unwrap_or_default(),
            "claimTask" if answer.is_object() => vec![answer.clone()],
            _ => Vec::new(),
        };
        let mut learned = self.learned();
        match asked.mutation {
            "enqueueTask" | "enqueueQuickCreate" | "rerunIssue" => {
                learned.tasks.push(TaskId(uuid(&answer["task"]["id"])));
            }
            "retryTask" => {
                learned.by_hand.insert(TaskId(uuid(&answer["id"])));
            }
            _ => {}
        }
        for claim in &claims {
            let claim = Claim::of(claim);
            learned.tasks.push(claim.task_id);
            learned.claims.push((asked.daemon, claim));
            let known = *learned.given.entry(claim.token.0).or_insert(asked.request);
            if known != asked.request {
                return Err(format!("{claim:?} was given out by two requests"));
            }
        }
        Ok(())
    }

    fn by_host(&self, mutation: &'static str, given: Value, dice: &mut StdRng) -> Asked<'_> {
        let client = either(&self.hosts, dice);
        Asked {
            client,
            daemon: 0,
            mutation,
            given,
            request: Uuid::new_v4(),
        }
    }

    /// What the holder of a claim says.
    fn of_a_claim(&self, mutation: &'static str, dice: &mut StdRng) -> Option<Asked<'_>> {
        let number = dice.random_range(1..4);
        let more = match mutation {
            "startTask" => json!({}),
            "completeTask" => json!({"sessionId": number.to_string()}),
            "failTask" => {
                let reason = one(&["timeout", "runtime_recovery", "agent_error"], dice);
                json!({"error": "it broke", "failureReason": reason})
            }
            "pinTaskSession" => json!({"sessionId": number.to_string(), "workDir": "/work"}),
            "reportTaskProgress" => json!({"summary": "on its way", "step": number}),
            "appendTaskMessages" => {
                let line = |seq| json!({"seq": seq, "type": "text", "content": "line"});
                json!({"messages": [line(number + 1), line(number)]})
            }
            "reportTaskUsage" => {
                let row = |model| json!({"provider": "p", "model": model, "inputTokens": number});
                json!({"usage": [row("b"), row("a")]})
            }
            _ => return None,
        };
        let (daemon, claim) = self.a_claim(dice)?;
        let client = either(&self.daemons[daemon], dice);
        Some(Asked {
            client,
            daemon,
            mutation,
            given: claim.with(more),
            request: Uuid::new_v4(),
        })
    }

    /// What daemons ask of their runtimes.
    fn of_a_daemon(&self, mutation: &'static str, dice: &mut StdRng) -> Option<Asked<'_>> {
        let (daemon, runtime, provider) = one(&self.runtimes, dice);
        let request = Uuid::new_v4();
        let own = self.runtimes.iter().filter(|known| known.0 == daemon);
        let own: Vec<Uuid> = own.map(|known| known.1.0).collect();
        let given = match mutation {
            "claimTask" => json!({"runtimeId": runtime.0, "requestId": request}),
            "claimTasks" => json!({"runtimeIds": own, "max": 3, "requestId": request}),
            "heartbeat" => {
                let held = self
                    .a_claim(dice)
                    .filter(|held| held.0 == daemon)
                    .map(|held| held.1.input());
                json!({"runtimeIds": own, "holding": held.as_slice()})
            }
            "deregisterRuntime" => json!({"id": runtime.0}),
            "recoverOrphanedTasks" => json!({"runtimeId": runtime.0}),
            "registerRuntime" => {
                let (workspace, daemon) =
                    (self.world.workspace_id.0, ["laptop", "desktop"][daemon]);
                json!({"workspaceId": workspace, "daemonId": daemon, "provider": provider, "name": "runtime"})
            }
            _ => return None,
        };
        let client = either(&self.daemons[daemon], dice);
        Some(Asked {
            client,
            daemon,
            mutation,
            given,
            request,
        })
    }

    /// What the host application asks of a task.
    fn of_a_task(&self, mutation: &'static str, dice: &mut StdRng) -> Option<Asked<'_>> {
        let task = self.a_task(dice);
        let given = match mutation {
            "cancelTask" | "retryTask" => json!({"taskId": task?.0}),
            "linkTaskToIssue" => json!({"taskId": task?.0, "issueId": one(&self.issues, dice)}),
            _ => return None,
        };
        Some(self.by_host(mutation, given, dice))
    }

    /// What the host application asks of agents, and of what it calls issues and the like.
    fn of_an_agent(&self, mutation: &'static str, dice: &mut StdRng) -> Option<Asked<'_>> {
        let (agent, runtime) = (one(&self.agents, dice).0, one(&self.runtimes, dice).1.0);
        let issue = one(&self.issues, dice);
        let given = match mutation {
            "archiveAgent" | "restoreAgent" => json!({"id": agent}),
            "archiveAgentsByRuntime" => json!({"runtimeIds": [runtime]}),
            "cancelByAgent" => json!({"agentId": agent}),
            "cancelByChatSession" => json!({"chatSessionId": one(&self.chats, dice)}),
            "cancelByIssue" => json!({"issueId": issue}),
            "cancelByTriggerComment" => json!({"commentId": one(&self.comments, dice)}),
            "createAgent" => {
                json!({"workspaceId": self.world.workspace_id.0, "name": "another", "runtimeId": runtime})
            }
            "enqueueQuickCreate" => json!({"agentId": agent, "prompt": "p"}),
            "rerunIssue" => json!({"issueId": issue, "agentId": agent}),
            "setAgentStatus" => json!({"id": agent, "status": "IDLE"}),
            "updateAgent" => json!({"id": agent, "input": {"runtimeId": runtime}}),
            _ => return None,
        };
        Some(self.by_host(mutation, given, dice))
    }

    /// A task with some links or none.
    fn a_new_task(&self, dice: &mut StdRng) -> Value {
        let mut likely = |odds| dice.random_bool(odds);
        let (issue, chat, autopilot, comment) =
            (likely(0.5), likely(0.3), likely(0.1), likely(0.3));
        json!({
            "agentId": one(&self.agents, dice).0,
            "issueId": issue.then(|| one(&self.issues, dice)),
            "chatSessionId": chat.then(|| one(&self.chats, dice)),
            "autopilotRunId": autopilot.then(Uuid::new_v4),
            "triggerCommentId": comment.then(|| one(&self.comments, dice)),
            "priority": dice.random_range(0..3),
        })
    }
}
