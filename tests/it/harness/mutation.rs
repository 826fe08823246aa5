//! Mutations by their names, for tests of what each allows: the answer, or the error, with the fields that tests look at.

use serde_json::{Value, json};

use super::Client;
use super::client::GraphqlError;

/// Of a task, what a mutation's answer is read for.
const TASK: &str = "id status runtimeId priority attempt maxAttempts createdAt dispatchedAt startedAt completedAt
    claimExpiresAt result error failureReason sessionId workDir progress { summary step total }";

/// Of a task's whole record, what a test reads.
const WHOLE_TASK: &str = "id status agentId runtimeId issueId chatSessionId autopilotRunId triggerCommentId triggerSummary
    priority attempt maxAttempts createdAt dispatchedAt startedAt completedAt claimExpiresAt context result error
    failureReason sessionId workDir forceFreshSession isLeaderTask parentTask { id } agent { status }
    progress { summary step total }
    usage { provider model inputTokens outputTokens cacheReadTokens cacheWriteTokens }";

impl Client {
    /// The result of a mutation with one argument: `input`, or else the one that the contract gives it.
    pub(crate) async fn mutate(&self, mutation: &str, argument: Value) -> Result<Value, GraphqlError> {
        let (arguments, variables) = match mutation {
            "cancelTask" => ("$v: UUID!) { it: cancelTask(taskId: $v", argument),
            "deregisterRuntime" => ("$v: UUID!) { it: deregisterRuntime(id: $v", argument),
            "recoverOrphanedTasks" => ("$v: UUID!) { it: recoverOrphanedTasks(runtimeId: $v", argument),
            _ => ("", argument),
        };
        let document = if arguments.is_empty() {
            let input = format!("{}Input", capitalised(mutation));
            format!("mutation($v: {input}!) {{ it: {mutation}(input: $v) {{ {} }} }}", fields(mutation))
        } else {
            format!("mutation({arguments}) {{ {} }} }}", fields(mutation))
        };
        let response = self.send(&document, json!({"v": variables})).await;
        match response["errors"].get(0) {
            None => Ok(response["data"]["it"].clone()),
            Some(error) => Err(GraphqlError {
                code: error["extensions"]["code"]
                    .as_str()
                    .unwrap_or_else(|| panic!("no code in {response}"))
                    .to_owned(),
                message: error["message"].as_str().expect("a message").to_owned(),
            }),
        }
    }

    /// A task as its record has it, for whoever may see it.
    pub(crate) async fn task(&self, id: entity::id::TaskId) -> Value {
        let document = format!("query($id: UUID!) {{ task(id: $id) {{ {WHOLE_TASK} }} }}");
        self.data(&document, json!({"id": id.0})).await["task"].clone()
    }
}

/// What is selected of a mutation's answer.
fn fields(mutation: &str) -> String {
    match mutation {
        "claimTask" => format!(
            "claimToken leaseExpiresAt task {{ {TASK} }} resume {{ sessionId workDir runtimeId }}
             agent {{ id name instructions model runtimeConfig customArgs customEnv mcpConfig }}"
        ),
        "failTask" => format!("task {{ {TASK} }} retry {{ {TASK} }}"),
        "enqueueTask" => format!("task {{ {TASK} }} deduplicated"),
        "recoverOrphanedTasks" => format!("failed {{ {TASK} }} retried {{ {TASK} }}"),
        "heartbeat" => "runtimes { id status lastSeenAt } lost { id status }".to_owned(),
        "registerRuntime" | "deregisterRuntime" => {
            "id daemonId name provider runtimeMode status deviceInfo metadata lastSeenAt createdAt".to_owned()
        }
        "createAgent" => "id name description avatarUrl runtime { id } runtimeMode runtimeConfig visibility status
            maxConcurrentTasks ownerId instructions model customArgs customEnvKeys hasMcpConfig archivedAt"
            .to_owned(),
        _ => TASK.to_owned(),
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
