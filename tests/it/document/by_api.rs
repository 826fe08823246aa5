//! Deeds done through the API: by the host application, by the daemon, by the sweeper.

use callboard::background::sweeper::{self, Swept};
use callboard::db::Writer;
use callboard::doorbell::Doorbell;
use callboard::settings::Settings;
use serde_json::{Value, json};
use uuid::Uuid;

use super::by_queries::{ByQueries, Manner};
use super::deed::{Change, Deed, Link, Token, Whose};
use super::side::{Answer, Said, Side};
use crate::harness::{Client, TestApp, World, uuid};

/// The refusals that the queries know too, as finding no row.
const REFUSALS: [&str; 2] = ["CLAIM_CONFLICT", "FAILED_PRECONDITION"];

/// Somebody who works by the API.
pub(super) struct ByApi<'a> {
    pub(super) side: &'a mut Side,
    pub(super) app: &'a TestApp,
    pub(super) world: &'a World<'a>,
    pub(super) settings: &'a Settings,
}

impl ByApi<'_> {
    /// Does a deed.
    #[expect(
        clippy::too_many_lines,
        reason = "a table: what each deed is to the API"
    )]
    pub(super) async fn act(&mut self, deed: &Deed) -> Answer {
        let id = |name: &String| self.side.names.id(name);
        let (host, daemon) = (&self.world.host, &self.world.daemon);
        match deed {
            Deed::Enqueue {
                agent,
                link,
                priority,
                comment,
                leader,
                fresh,
            } => {
                let Link { issue, chat, run } = link;
                let given = json!({
                    "agentId": id(agent), "issueId": issue.as_ref().map(id), "chatSessionId": chat.as_ref().map(id),
                    "autopilotRunId": run.as_ref().map(id), "priority": priority,
                    "triggerCommentId": comment.as_ref().map(id), "isLeaderTask": leader, "forceFreshSession": fresh,
                });
                enqueued(ask(host, "enqueueTask", given).await)
            }
            Deed::QuickCreate { agent, priority } => {
                let given =
                    json!({"agentId": id(agent), "prompt": "make it", "priority": priority});
                enqueued(ask(host, "enqueueQuickCreate", given).await)
            }
            Deed::Claim {
                runtime,
                agent,
                max: 1,
            } => {
                let given = json!({"runtimeId": id(runtime), "agentId": agent.as_ref().map(id)});
                Some(claimed(&ask(daemon, "claimTask", given).await?))
            }
            Deed::Claim { runtime, max, .. } => {
                let given = json!({"runtimeIds": [id(runtime)], "max": max});
                let claims = ask(daemon, "claimTasks", given).await?;
                Some(
                    claims
                        .as_array()
                        .unwrap()
                        .iter()
                        .flat_map(claimed)
                        .collect(),
                )
            }
            Deed::Start { task, token } => {
                self.of_daemon("startTask", task, *token, json!({})).await
            }
            Deed::Pin {
                task,
                token,
                session,
            } => {
                let more = json!({"sessionId": session});
                self.of_daemon("pinTaskSession", task, *token, more).await
            }
            Deed::Complete {
                task,
                token,
                session,
            } => {
                let more = json!({"result": {"done": true}, "sessionId": session});
                self.of_daemon("completeTask", task, *token, more).await
            }
            Deed::Fail {
                task,
                token,
                reason,
                error,
                session,
            } => {
                let more = json!({"error": error, "failureReason": reason, "sessionId": session});
                self.of_daemon("failTask", task, *token, more).await
            }
            Deed::Cancel { task } => {
                rows(ask(host, "cancelTask", json!({"taskId": id(task)})).await)
            }
            Deed::CancelAll(whose) => self.cancel_all(whose).await,
            Deed::LinkToIssue { task, issue } => {
                let given = json!({"taskId": id(task), "issueId": id(issue)});
                rows(ask(host, "linkTaskToIssue", given).await)
            }
            Deed::Rerun { issue, agent } => {
                let given = json!({"issueId": id(issue), "agentId": id(agent)});
                enqueued(ask(host, "rerunIssue", given).await)
            }
            Deed::Retry { task } => rows(ask(host, "retryTask", json!({"taskId": id(task)})).await),
            Deed::Recover { runtime } => rows(
                ask(
                    daemon,
                    "recoverOrphanedTasks",
                    json!({"runtimeId": id(runtime)}),
                )
                .await,
            ),
            Deed::Archive { agent } => {
                rows(ask(host, "archiveAgent", json!({"id": id(agent)})).await)
            }
            Deed::ArchiveAll { runtime } => rows(
                ask(
                    host,
                    "archiveAgentsByRuntime",
                    json!({"runtimeIds": [id(runtime)]}),
                )
                .await,
            ),
            Deed::Restore { agent } => {
                rows(ask(host, "restoreAgent", json!({"id": id(agent)})).await)
            }
            Deed::Change { agent, change } => {
                let input = match change {
                    Change::Name(name) => json!({"name": name}),
                    Change::Capacity(capacity) => json!({"maxConcurrentTasks": capacity}),
                    Change::Runtime(runtime) => json!({"runtimeId": id(runtime)}),
                    Change::NoMcpConfig => json!({"mcpConfig": null}),
                };
                rows(
                    ask(
                        host,
                        "updateAgent",
                        json!({"id": id(agent), "input": input}),
                    )
                    .await,
                )
            }
            Deed::SetStatus { agent, status } => {
                let given = json!({"id": id(agent), "status": status.to_uppercase()});
                rows(ask(host, "setAgentStatus", given).await)
            }
            Deed::Heartbeat { runtime } => {
                ask(daemon, "heartbeat", json!({"runtimeIds": [id(runtime)]})).await?;
                Some(Vec::new())
            }
            Deed::Sweep => Some(self.sweep().await),
            // What no request brings about.
            Deed::LegacyClaim { .. } | Deed::Silence { .. } | Deed::TurnBack { .. } => {
                let manner = Manner::AsWritten;
                ByQueries {
                    side: self.side,
                    manner,
                }
                .act(deed)
                .await
            }
        }
    }

    /// A daemon's write on behalf of a claim.
    async fn of_daemon(&mut self, mutation: &str, task: &str, token: Token, more: Value) -> Answer {
        let id = self.side.argument(task);
        let row = self.side.task(&id).await;
        let token = match token {
            Token::Right => row.get("claim_token").map(|token| token.parse().unwrap()),
            Token::Wrong => Some(Uuid::new_v4()),
            Token::Missing => None,
        };
        let mut given = json!({"taskId": id, "claimToken": token});
        crate::harness::merge(&mut given, more);
        rows(ask(&self.world.daemon, mutation, given).await)
    }

    async fn cancel_all(&mut self, whose: &Whose) -> Answer {
        let id = |name: &String| self.side.names.id(name);
        let (mutation, given) = match whose {
            Whose::Issue(issue) => ("cancelByIssue", json!({"issueId": id(issue)})),
            Whose::IssueAndAgent(issue, agent) => (
                "cancelByIssue",
                json!({"issueId": id(issue), "agentId": id(agent)}),
            ),
            Whose::Agent(agent) => ("cancelByAgent", json!({"agentId": id(agent)})),
            Whose::Comment(comment) => {
                ("cancelByTriggerComment", json!({"commentId": id(comment)}))
            }
            Whose::Chat(chat) => ("cancelByChatSession", json!({"chatSessionId": id(chat)})),
        };
        rows(ask(&self.world.host, mutation, given).await)
    }

    async fn sweep(&mut self) -> Vec<Said> {
        let writer = Writer::new(self.app.database.pool.clone(), Doorbell::default());
        let swept = sweeper::run_once(&writer, self.settings).await.unwrap();
        let Swept {
            silenced,
            lost,
            timed_out,
            expired,
            removed,
        } = swept;
        assert_eq!(removed, 0);
        vec![Said::Text(format!(
            "{:?}",
            [silenced, lost, timed_out, expired]
        ))]
    }
}

/// The answer to a mutation; none where it is refused.
async fn ask(client: &Client, mutation: &str, given: Value) -> Option<Value> {
    match client.mutate(mutation, given.clone()).await {
        Ok(answer) => Some(answer),
        Err(error) if REFUSALS.contains(&error.code.as_str()) => None,
        Err(error) => panic!("{mutation} {given}: {error:?}"),
    }
}

/// The rows of an answer.
fn rows(answer: Option<Value>) -> Answer {
    answer.map(|answer| found(&answer))
}

/// Every row in an answer: itself, those of a list, or those in its fields.
fn found(answer: &Value) -> Vec<Said> {
    if let Some(id) = answer.get("id") {
        return vec![Said::Row(uuid(id))];
    }
    let listed = answer.as_array().into_iter().flatten();
    let fields = answer
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.values());
    listed.chain(fields).flat_map(found).collect()
}

/// The task on the board, and whether it was there before.
fn enqueued(answer: Option<Value>) -> Answer {
    answer.map(|answer| {
        let mut said = found(&answer["task"]);
        said.push(Said::Text(answer["deduplicated"].to_string()));
        said
    })
}

/// A claimed task, and the session to go on with; nothing where nothing was claimed.
fn claimed(claim: &Value) -> Vec<Said> {
    if claim.is_null() {
        return Vec::new();
    }
    let session = claim["resume"]["sessionId"]
        .as_str()
        .unwrap_or("no session");
    vec![
        Said::Row(uuid(&claim["task"]["id"])),
        Said::Text(session.to_owned()),
    ]
}
