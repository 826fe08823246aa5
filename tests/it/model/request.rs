//! Steps as requests, by whoever may make them, and as what plain SQL does to bring about the past.

use callboard::background::sweeper::run_once;
use callboard::db::Writer;
use callboard::doorbell::Doorbell;
use entity::id::TaskId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::board::Silence;
use super::case::{Case, DAEMONS, Reply, SLOTS, settings};
use super::step::{Aim, User};
use super::task::Links;
use super::verb::{AgentVerb, BoardVerb, ClaimVerb, RuntimeVerb, TimeVerb, Verb};
use crate::harness::{Client, merge};

/// A mutation's name, and what it is given.
type Mutation = (&'static str, Value);

impl Case<'_> {
    /// Asks for what the step says.
    pub(super) async fn ask(&self, verb: &Verb, aim: Aim) -> Reply {
        let (client, (name, given)) = match verb {
            Verb::Board(verb) => (self.person(aim), self.of_board(*verb, aim)),
            Verb::Agent(verb) => (self.person(aim), self.of_agent(*verb)),
            Verb::Runtime(verb) => (self.asking(verb, aim), self.of_runtime(verb, aim)),
            Verb::Claim(verb) => (self.holder(aim), self.of_claim(*verb, aim)),
            Verb::Time(verb) => return Reply::Other(self.pass(*verb, aim).await),
        };
        let answer = client.mutate(name, given).await;
        Reply::Mutation(answer.map_err(|error| error.code))
    }

    fn person(&self, aim: Aim) -> &Client {
        match aim.user {
            User::Host => &self.world.host,
            User::Member => &self.member,
        }
    }

    /// The daemon that asks for a runtime. It registers what is its own.
    fn asking(&self, verb: &RuntimeVerb, aim: Aim) -> &Client {
        let slot = verb.slot();
        let stranger = aim.stranger && !matches!(verb, RuntimeVerb::Register { .. });
        &self.daemons[if stranger {
            1 - SLOTS[slot].0
        } else {
            SLOTS[slot].0
        }]
    }

    /// The daemon that holds a task, or should.
    fn holder(&self, aim: Aim) -> &Client {
        let task = self.board.tasks.get(aim.task);
        let daemon = task.map_or(0, |task| self.board.runtimes[task.runtime].daemon);
        &self.daemons[if aim.stranger { 1 - daemon } else { daemon }]
    }

    fn of_board(&self, verb: BoardVerb, aim: Aim) -> Mutation {
        let ids = &self.ids;
        let (task, agent) = (self.task_id(aim), |no: usize| ids.agents[no].0);
        match verb {
            BoardVerb::Enqueue(new) => {
                let mut input = json!({"agentId": agent(new.agent), "priority": new.priority,
                    "maxAttempts": new.max_attempts, "forceFreshSession": new.fresh});
                merge(&mut input, self.links(new.links));
                ("enqueueTask", input)
            }
            BoardVerb::QuickCreate { agent: no } => (
                "enqueueQuickCreate",
                json!({"agentId": agent(no), "prompt": "p"}),
            ),
            BoardVerb::Link { issue } => (
                "linkTaskToIssue",
                json!({"taskId": task, "issueId": ids.issues[issue]}),
            ),
            BoardVerb::Retry => ("retryTask", json!({"taskId": task})),
            BoardVerb::Rerun { issue, agent: no } => (
                "rerunIssue",
                json!({"issueId": ids.issues[issue], "agentId": agent(no)}),
            ),
            BoardVerb::Cancel => ("cancelTask", json!({"taskId": task})),
            BoardVerb::CancelByIssue { issue, agent: no } => (
                "cancelByIssue",
                json!({"issueId": ids.issues[issue], "agentId": no.map(agent)}),
            ),
            BoardVerb::CancelByAgent { agent: no } => {
                ("cancelByAgent", json!({"agentId": agent(no)}))
            }
            BoardVerb::CancelByComment { comment } => (
                "cancelByTriggerComment",
                json!({"commentId": ids.comments[comment]}),
            ),
            BoardVerb::CancelByChat { chat } => (
                "cancelByChatSession",
                json!({"chatSessionId": ids.chats[chat]}),
            ),
        }
    }

    fn of_agent(&self, verb: AgentVerb) -> Mutation {
        let agent = |no: usize| self.ids.agents[no].0;
        match verb {
            AgentVerb::Archive { agent: no } => ("archiveAgent", json!({"id": agent(no)})),
            AgentVerb::ArchiveByRuntime { slot } => (
                "archiveAgentsByRuntime",
                json!({"runtimeIds": [self.runtime_id(slot)]}),
            ),
            AgentVerb::Restore { agent: no } => ("restoreAgent", json!({"id": agent(no)})),
            AgentVerb::Move { agent: no, slot } => (
                "updateAgent",
                json!({"id": agent(no), "input": {"runtimeId": self.runtime_id(slot)}}),
            ),
            AgentVerb::Resize {
                agent: no,
                capacity,
            } => (
                "updateAgent",
                json!({"id": agent(no), "input": {"maxConcurrentTasks": capacity}}),
            ),
            AgentVerb::SetStatus { agent: no, status } => (
                "setAgentStatus",
                json!({"id": agent(no), "status": status.to_uppercase()}),
            ),
        }
    }

    fn of_runtime(&self, verb: &RuntimeVerb, aim: Aim) -> Mutation {
        let runtime = || self.runtime_id(verb.slot());
        let requested = |no: &Option<usize>| no.map(|no| self.ids.requests[no]);
        match verb {
            RuntimeVerb::Register { slot } => {
                let (workspace, (daemon, provider)) = (self.world.workspace_id.0, SLOTS[*slot]);
                let input = json!({"workspaceId": workspace, "daemonId": DAEMONS[daemon], "provider": provider,
                    "name": "name"});
                ("registerRuntime", input)
            }
            RuntimeVerb::Deregister { .. } => ("deregisterRuntime", json!({"id": runtime()})),
            RuntimeVerb::Heartbeat { .. } => {
                let held = aim.token.map(|_| self.claim(aim));
                (
                    "heartbeat",
                    json!({"runtimeIds": [runtime()], "holding": held.as_slice()}),
                )
            }
            RuntimeVerb::Recover { .. } => {
                ("recoverOrphanedTasks", json!({"runtimeId": runtime()}))
            }
            RuntimeVerb::Claim { agent, request, .. } => {
                let agent = agent.map(|no| self.ids.agents[no].0);
                (
                    "claimTask",
                    json!({"runtimeId": runtime(), "agentId": agent, "requestId": requested(request)}),
                )
            }
            RuntimeVerb::ClaimMany {
                slots,
                max,
                request,
            } => {
                let runtimes: Vec<Uuid> = slots.iter().map(|slot| self.runtime_id(*slot)).collect();
                (
                    "claimTasks",
                    json!({"runtimeIds": runtimes, "max": max, "requestId": requested(request)}),
                )
            }
        }
    }

    fn of_claim(&self, verb: ClaimVerb, aim: Aim) -> Mutation {
        let session = |name: Option<u8>| name.map(|name| format!("session {name}"));
        let (mutation, more) = match verb {
            ClaimVerb::Start => ("startTask", json!({})),
            ClaimVerb::Pin {
                session: name,
                work_dir,
            } => {
                let work_dir = work_dir.map(|name| format!("/{name}"));
                (
                    "pinTaskSession",
                    json!({"sessionId": session(name), "workDir": work_dir}),
                )
            }
            ClaimVerb::Progress => ("reportTaskProgress", json!({"summary": "on its way"})),
            ClaimVerb::Append => (
                "appendTaskMessages",
                json!({"messages": [{"seq": 1, "type": "text"}]}),
            ),
            ClaimVerb::Complete { session: name } => {
                ("completeTask", json!({"sessionId": session(name)}))
            }
            ClaimVerb::Fail {
                reason,
                error,
                session: name,
            } => (
                "failTask",
                json!({"failureReason": reason, "error": error, "sessionId": session(name)}),
            ),
        };
        let mut input = self.claim(aim);
        merge(&mut input, more);
        (mutation, input)
    }

    /// Lets it happen.
    async fn pass(&self, verb: TimeVerb, aim: Aim) -> Answer {
        if let TimeVerb::Sweep = verb {
            let writer = Writer::new(self.app.database.pool.clone(), Doorbell::default());
            return Answer::Swept(run_once(&writer, &settings()).await.unwrap());
        }
        if let TimeVerb::BeSilent { slot, silence } = verb {
            let seconds = match silence {
                Silence::None => 0,
                Silence::Offline => 200,
                Silence::Lost => 7400,
                Silence::Gone => 8 * 24 * 3600,
            };
            let set = format!("last_seen_at = now() - interval '{seconds} s'");
            self.execute(&format!(
                "update agent_runtime set {set} where id = '{}'",
                self.runtime_id(slot)
            ))
            .await;
        }
        let set = match verb {
            TimeVerb::DispatchWithoutToken => "status = 'dispatched', dispatched_at = now()",
            TimeVerb::ExpireLease => "claim_expires_at = now() - interval '1 s'",
            TimeVerb::DispatchedLong => "dispatched_at = now() - interval '301 s'",
            TimeVerb::RunLong => "started_at = now() - interval '9001 s'",
            TimeVerb::WaitLong => "created_at = now() - interval '7201 s'",
            TimeVerb::BeSilent { .. } | TimeVerb::Sweep => return Answer::Done,
        };
        self.execute(&format!(
            "update agent_task_queue set {set} where id = '{}'",
            self.task_id(aim)
        ))
        .await;
        Answer::Done
    }

    async fn execute(&self, statement: &str) {
        self.app.database.execute(statement).await;
    }

    fn runtime_id(&self, slot: usize) -> Uuid {
        self.ids.runtimes[self.board.slots[slot]].0
    }

    /// The task's id; nobody's where there is none.
    fn task_id(&self, aim: Aim) -> Uuid {
        self.ids
            .tasks
            .get(aim.task)
            .map_or_else(Uuid::new_v4, |TaskId(id)| *id)
    }

    /// A claim as an input. A token that nobody was given is nobody's.
    fn claim(&self, aim: Aim) -> Value {
        let token = aim.token.map(|no| {
            self.ids
                .tokens
                .get(no)
                .copied()
                .unwrap_or_else(Uuid::new_v4)
        });
        json!({"taskId": self.task_id(aim), "claimToken": token})
    }

    /// What a task belongs to, as fields of an input.
    fn links(&self, links: Links) -> Value {
        json!({
            "issueId": links.issue.map(|no| self.ids.issues[no]),
            "chatSessionId": links.chat.map(|no| self.ids.chats[no]),
            "autopilotRunId": links.autopilot.map(|no| self.ids.autopilots[no]),
            "triggerCommentId": links.comment.map(|no| self.ids.comments[no]),
        })
    }
}
