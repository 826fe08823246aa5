//! The life of a task: four calls that leave a board with one finished task more and as many waiting as before.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::board::Runtime;
use crate::client::{Client, at};

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
                let document = "mutation($input: ClaimTaskInput!) { claimTask(input: $input) {
                    claimToken leaseExpiresAt task { id priority context } resume { sessionId }
                    agent { id name instructions customEnv } } }";
                let claimed = daemon.data(document, &json!({"input": input})).await?;
                let claim = at(&claimed, "/claimTask")?;
                self.claim = json!({
                    "taskId": at(claim, "/task/id")?,
                    "claimToken": at(claim, "/claimToken")?,
                });
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
