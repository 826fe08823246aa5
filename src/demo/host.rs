//! The demo's host application: makes the agents once, then goes on putting work on the board, and now and then takes
//! some off it.

#![expect(
    clippy::indexing_slicing,
    reason = "a field that a JSON value lacks is null, not a panic"
)]

use std::time::Duration;

use entity::id::WorkspaceId;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Client;
use super::agents::{Agent, DAEMONS};

/// How long the host waits between two things it does.
const PACE: Duration = Duration::from_millis(900);

/// How many active tasks are enough.
const ENOUGH: usize = 12;

/// How many issues there are to work on: few enough that tasks meet on them.
const ISSUES: usize = 6;

/// The demo's host application.
#[derive(Debug)]
pub(super) struct Host {
    client: Client,
    workspace_id: WorkspaceId,
}

impl Host {
    pub(super) fn new(client: Client, workspace_id: WorkspaceId) -> Self {
        Self {
            client,
            workspace_id,
        }
    }

    /// Plays until it is dropped.
    pub(super) async fn play(self) -> anyhow::Result<()> {
        let mut agents = Vec::new();
        for (daemon_id, offered) in DAEMONS {
            for agent in offered {
                agents.push((agent, self.agent(daemon_id, agent).await?));
            }
        }
        let issues: Vec<Uuid> = (0..ISSUES).map(|_| Uuid::now_v7()).collect();
        loop {
            if let Err(error) = self.act(&agents, &issues).await {
                // The host of a demo outlives an outage, as its server does.
                tracing::warn!(error = %error, "the demo's host was refused");
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// The agent's id: as it is, or as it is made once its runtime is registered.
    async fn agent(&self, daemon_id: &str, agent: &Agent) -> anyhow::Result<Value> {
        let document = "query($id: UUID!) { workspace(id: $id) {
            agents { id name } runtimes { id daemonId provider } } }";
        loop {
            let data = self
                .client
                .execute(document, json!({"id": self.workspace_id.0}))
                .await?;
            let known = find(&data["workspace"]["agents"], |row| {
                row["name"] == agent.name
            });
            if let Some(row) = known {
                return Ok(row["id"].clone());
            }
            let runtime = find(&data["workspace"]["runtimes"], |row| {
                row["daemonId"] == daemon_id && row["provider"] == agent.name
            });
            if let Some(runtime) = runtime {
                let input = json!({
                    "workspaceId": self.workspace_id.0, "runtimeId": runtime["id"], "name": agent.name,
                    "description": agent.description, "visibility": "WORKSPACE",
                    "maxConcurrentTasks": agent.max_concurrent_tasks,
                });
                let document =
                    "mutation($input: CreateAgentInput!) { createAgent(input: $input) { id } }";
                let made = self
                    .client
                    .execute(document, json!({"input": input}))
                    .await?;
                return Ok(made["createAgent"]["id"].clone());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Does one thing: puts a task on the board, or takes something off it.
    async fn act(&self, agents: &[(&Agent, Value)], issues: &[Uuid]) -> anyhow::Result<()> {
        let document = "query($id: UUID!) { workspace(id: $id) {
            tasks(filter: {status: [QUEUED, DISPATCHED, RUNNING]}, first: 50) { nodes { id issueId status } } } }";
        let data = self
            .client
            .execute(document, json!({"id": self.workspace_id.0}))
            .await?;
        let active = data["workspace"]["tasks"]["nodes"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let (chance, agent, issue) = {
            let mut random = rand::rng();
            (
                random.random_range(0..10),
                agents.choose(&mut random),
                issues.choose(&mut random),
            )
        };
        match (active.last(), chance) {
            // The oldest has had its time.
            (Some(task), 0) => {
                let document = "mutation($id: UUID!) { cancelTask(taskId: $id) { id } }";
                self.client
                    .execute(document, json!({"id": task["id"]}))
                    .await?;
            }
            // Somebody closed the issue.
            (Some(task), 1) if !task["issueId"].is_null() => {
                let document = "mutation($id: UUID!) { cancelByIssue(issueId: $id) { id } }";
                self.client
                    .execute(document, json!({"id": task["issueId"]}))
                    .await?;
            }
            _ if active.len() < ENOUGH => {
                if let (Some((agent, agent_id)), Some(issue)) = (agent, issue) {
                    self.enqueue(agent, agent_id, *issue).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks an agent something.
    async fn enqueue(&self, agent: &Agent, agent_id: &Value, issue_id: Uuid) -> anyhow::Result<()> {
        let (prompt, priority) = {
            let mut random = rand::rng();
            (
                agent
                    .prompts
                    .choose(&mut random)
                    .copied()
                    .unwrap_or_default(),
                random.random_range(0..3),
            )
        };
        let input = json!({
            "agentId": agent_id, "issueId": issue_id, "priority": priority, "triggerSummary": prompt,
            "context": {"prompt": prompt},
        });
        let document =
            "mutation($input: EnqueueTaskInput!) { enqueueTask(input: $input) { deduplicated } }";
        self.client
            .execute(document, json!({"input": input}))
            .await?;
        Ok(())
    }
}

/// The first element of a list that is the one.
fn find(list: &Value, is_it: impl Fn(&Value) -> bool) -> Option<&Value> {
    list.as_array()?.iter().find(|row| is_it(row))
}
