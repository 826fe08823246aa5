//! Mutations by their names, for tests of what each allows: the answer, with the fields that tests look at, or the error.

use entity::id::TaskId;
use serde_json::{Value, json};

use super::Client;
use super::client::GraphqlError;

/// What a mutation's answer is read for, of a task.
const TASK: &str =
    "id status runtimeId priority attempt maxAttempts createdAt dispatchedAt startedAt completedAt
    claimExpiresAt result error failureReason sessionId workDir progress { summary step total }";

/// What a task's record is read for.
const RECORD: &str =
    "agentId issueId chatSessionId autopilotRunId triggerCommentId triggerSummary context
    forceFreshSession isLeaderTask parentTask { id } agent { status }
    usage { provider model inputTokens outputTokens cacheReadTokens cacheWriteTokens }";

/// What a runtime is read for.
const RUNTIME: &str =
    "id daemonId name provider runtimeMode status deviceInfo metadata lastSeenAt createdAt";

impl Client {
    /// The answer to a mutation; `given` is its input, or its arguments where it has others.
    pub(crate) async fn mutate(&self, mutation: &str, given: Value) -> Result<Value, GraphqlError> {
        let (declared, passed) = match mutation {
            "cancelTask" | "retryTask" => ("$taskId: UUID!", "taskId: $taskId"),
            "cancelByIssue" => (
                "$issueId: UUID!, $agentId: UUID",
                "issueId: $issueId, agentId: $agentId",
            ),
            "cancelByAgent" => ("$agentId: UUID!", "agentId: $agentId"),
            "cancelByTriggerComment" => ("$commentId: UUID!", "commentId: $commentId"),
            "cancelByChatSession" => ("$chatSessionId: UUID!", "chatSessionId: $chatSessionId"),
            "deregisterRuntime" | "archiveAgent" | "restoreAgent" => ("$id: UUID!", "id: $id"),
            "updateAgent" => (
                "$id: UUID!, $input: UpdateAgentInput!",
                "id: $id, input: $input",
            ),
            "setAgentStatus" => (
                "$id: UUID!, $status: AgentStatus!",
                "id: $id, status: $status",
            ),
            "archiveAgentsByRuntime" => ("$runtimeIds: [UUID!]!", "runtimeIds: $runtimeIds"),
            "linkTaskToIssue" => (
                "$taskId: UUID!, $issueId: UUID!",
                "taskId: $taskId, issueId: $issueId",
            ),
            "rerunIssue" => (
                "$issueId: UUID!, $agentId: UUID!",
                "issueId: $issueId, agentId: $agentId",
            ),
            "recoverOrphanedTasks" => ("$runtimeId: UUID!", "runtimeId: $runtimeId"),
            _ => ("", "input: $input"),
        };
        let (declared, variables) = if declared.is_empty() {
            let input = format!("$input: {}Input!", capitalised(mutation));
            (input, json!({"input": given}))
        } else {
            (declared.to_owned(), given)
        };
        let fields = fields(mutation);
        let document =
            format!("mutation({declared}) {{ it: {mutation}({passed}) {{ {fields} }} }}");
        let response = self.send(&document, variables).await;
        let Some(error) = response["errors"].get(0) else {
            return Ok(response["data"]["it"].clone());
        };
        Err(GraphqlError {
            code: error["extensions"]["code"]
                .as_str()
                .unwrap_or_else(|| panic!("no code in {response}"))
                .to_owned(),
            message: error["message"].as_str().expect("a message").to_owned(),
        })
    }

    /// The code that a mutation is refused with.
    pub(crate) async fn refused(&self, mutation: &str, given: Value) -> String {
        match self.mutate(mutation, given).await {
            Ok(answer) => panic!("{mutation} is not refused: {answer}"),
            Err(error) => error.code,
        }
    }

    /// A task's record.
    pub(crate) async fn task(&self, id: TaskId) -> Value {
        let document = format!("query($id: UUID!) {{ task(id: $id) {{ {TASK} {RECORD} }} }}");
        self.data(&document, json!({"id": id.0})).await["task"].clone()
    }

    /// The kinds of what has happened to a task, oldest first.
    pub(crate) async fn events(&self, id: TaskId) -> Vec<String> {
        let document = "query($id: UUID!) { task(id: $id) { events { kind } } }";
        let data = self.data(document, json!({"id": id.0})).await;
        let events = data["task"]["events"].as_array().expect("events").iter();
        events
            .map(|event| event["kind"].as_str().expect("a kind").to_owned())
            .collect()
    }
}

/// What is selected of a mutation's answer.
fn fields(mutation: &str) -> String {
    match mutation {
        "claimTask" | "claimTasks" => format!(
            "claimToken leaseExpiresAt task {{ {TASK} }} resume {{ sessionId workDir runtimeId }}
             agent {{ id name instructions model runtimeConfig customArgs customEnv mcpConfig }}"
        ),
        "failTask" => format!("task {{ {TASK} }} retry {{ {TASK} parentTask {{ id }} }}"),
        "enqueueTask" | "enqueueQuickCreate" | "rerunIssue" => format!("task {{ {TASK} }} deduplicated"),
        "recoverOrphanedTasks" => {
            format!("failed {{ {TASK} }} retried {{ {TASK} parentTask {{ id }} }}")
        }
        "heartbeat" => format!("runtimes {{ {RUNTIME} }} lost {{ {TASK} }}"),
        "registerRuntime" | "deregisterRuntime" => RUNTIME.to_owned(),
        "createAgent" | "updateAgent" | "archiveAgent" | "archiveAgentsByRuntime" | "restoreAgent"
        | "setAgentStatus" => {
            "id name description avatarUrl runtime { id } runtimeMode runtimeConfig visibility status ownerId
             maxConcurrentTasks instructions model customArgs customEnvKeys hasMcpConfig archivedAt"
        }
        .to_owned(),
        _ => TASK.to_owned(),
    }
}

/// `startTask` as the type of its input begins: `StartTask`.
fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
