//! The life of a task: four calls that leave a board with one finished task more and as many waiting as before.

use anyhow::Context;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::board::Runtime;
use crate::client::{Client, at};

/// What a daemon wants to know of a claim.
const CLAIM: &str = "claimToken leaseExpiresAt task { id priority context } resume { sessionId }
                    agent { id name instructions customEnv }";

/// A call in the life of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Puts it on the board.
    Enqueue,
    /// Gives the best one to its daemon, which need not be the one that was just put there.
    Claim,
    /// Begins to run it.
    Start,
    /// Ends it.
    Complete,
}

impl Step {
    /// In the order in which they are made.
    pub(crate) const ALL: [Self; 4] = [Self::Enqueue, Self::Claim, Self::Start, Self::Complete];

    /// What it is called in the tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueueTask",
            Self::Claim => "claimTask",
            Self::Start => "startTask",
            Self::Complete => "completeTask",
        }
    }

    /// What it does.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Enqueue => "puts a task on the board",
            Self::Claim => "hands the best claimable task of the runtime to its daemon",
            Self::Start => "begins to run it",
            Self::Complete => "ends it well",
        }
    }
}

/// A task on its way.
#[derive(Debug)]
pub(crate) struct Life<'a> {
    host: &'a Client,
    runtime: &'a Runtime,
    agent_id: Uuid,
    claim: Value,
}

impl<'a> Life<'a> {
    /// One of an agent on a runtime.
    pub(crate) const fn new(host: &'a Client, runtime: &'a Runtime, agent_id: Uuid) -> Self {
        Self {
            host,
            runtime,
            agent_id,
            claim: Value::Null,
        }
    }

    /// One that was claimed together with others.
    pub(crate) fn claimed(
        host: &'a Client,
        runtime: &'a Runtime,
        claim: &Value,
    ) -> anyhow::Result<Self> {
        let agent_id = at(claim, "/agent/id")?.as_str();
        Ok(Self {
            host,
            runtime,
            agent_id: agent_id.context("an id is text")?.parse()?,
            claim: proof(claim)?,
        })
    }

    /// Makes the call.
    pub(crate) async fn make(&mut self, step: Step) -> anyhow::Result<()> {
        let daemon = &self.runtime.daemon;
        match step {
            Step::Enqueue => {
                let input = json!({"agentId": self.agent_id, "issueId": Uuid::new_v4()});
                let document = "mutation($input: EnqueueTaskInput!) { enqueueTask(input: $input) { task { id } } }";
                let variables = json!({"input": input});
                self.host.data(document, &variables).await?;
            }
            Step::Claim => {
                let input = json!({"runtimeId": self.runtime.id, "requestId": Uuid::new_v4()});
                let document = format!(
                    "mutation($input: ClaimTaskInput!) {{ claimTask(input: $input) {{ {CLAIM} }} }}"
                );
                let claimed = daemon.data(&document, &json!({"input": input})).await?;
                self.claim = proof(at(&claimed, "/claimTask")?)?;
            }
            Step::Start => {
                let document =
                    "mutation($input: StartTaskInput!) { startTask(input: $input) { id status } }";
                daemon.data(document, &json!({"input": self.claim})).await?;
            }
            Step::Complete => {
                let document = "mutation($input: CompleteTaskInput!) { completeTask(input: $input) { id status } }";
                daemon.data(document, &json!({"input": self.claim})).await?;
            }
        }
        Ok(())
    }
}

/// Claims as many tasks as there are, and at most so many.
pub(crate) async fn claim_together(runtime: &Runtime, most: usize) -> anyhow::Result<Vec<Value>> {
    let input = json!({"runtimeIds": [runtime.id], "max": most, "requestId": Uuid::new_v4()});
    let document =
        format!("mutation($input: ClaimTasksInput!) {{ claimTasks(input: $input) {{ {CLAIM} }} }}");
    let variables = json!({"input": input});
    let mut claimed = runtime.daemon.data(&document, &variables).await?;
    let claims = claimed.get_mut("claimTasks").map(Value::take);
    match claims {
        Some(Value::Array(claims)) => Ok(claims),
        _ => anyhow::bail!("no claims are in {claimed}"),
    }
}

/// Whose the claim is, for the calls that come after it.
fn proof(claim: &Value) -> anyhow::Result<Value> {
    Ok(json!({
        "taskId": at(claim, "/task/id")?,
        "claimToken": at(claim, "/claimToken")?,
    }))
}
