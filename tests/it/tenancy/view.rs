//! Everything that can be read of a thing, by its id.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Client, Surface};

/// What the ids of a document name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Workspace,
    Agent,
    Runtime,
    Task,
    Issue,
}

/// The documents that read everything, each by an id of one kind.
pub(super) fn documents(surface: &Surface) -> Vec<(Of, String)> {
    let [
        agent,
        runtime,
        task,
        presence,
        event,
        message,
        usage,
        progress,
    ] = [
        "Agent",
        "Runtime",
        "Task",
        "AgentPresence",
        "TaskEvent",
        "TaskMessage",
        "TaskUsage",
        "TaskProgress",
    ]
    .map(|name| surface.values_of(name));
    let agent = format!("{agent} presence {{ {presence} }}");
    let task = format!("{task} progress {{ {progress} }} usage {{ {usage} }}");
    let page = format!(
        "tasks(first: 20) {{ edges {{ cursor }} nodes {{ {task} }} pageInfo {{ hasNextPage endCursor }} }}"
    );
    let whole = format!(
        "{task} agent {{ {agent} }} parentTask {{ {task} }} events {{ {event} task {{ {task} }} }} messages {{ {message} }}"
    );
    let of_workspace = [
        format!("agents(includeArchived: true) {{ {agent} runtime {{ {runtime} }} }}"),
        format!("runtimes {{ {runtime} agents {{ id name }} pendingTasks {{ id }} }}"),
        page.clone(),
        format!(
            "snapshot {{ cursor activeTasks {{ {task} agent {{ {agent} }} }} latestOutcomes {{ {task} }}
               presence {{ {presence} agent {{ {agent} }} }} }}"
        ),
    ];
    let workspaces = of_workspace.map(|fields| {
        (
            Of::Workspace,
            format!("workspace(id: $id) {{ id slug name {fields} }}"),
        )
    });
    let others = [
        (
            Of::Agent,
            format!("agent(id: $id) {{ {agent} runtime {{ {runtime} }} {page} }}"),
        ),
        (
            Of::Runtime,
            format!(
                "runtime(id: $id) {{ {runtime} agents {{ {agent} }} pendingTasks {{ {task} }} }}"
            ),
        ),
        (Of::Task, format!("task(id: $id) {{ {whole} }}")),
        (
            Of::Issue,
            format!(
                "issue(id: $id) {{ id hasActiveTask hasPendingTask activeTasks {{ {task} }} {page} }}"
            ),
        ),
    ];
    let all = workspaces.into_iter().chain(others);
    all.map(|(of, field)| (of, format!("query($id: UUID!) {{ it: {field} }}")))
        .collect()
}

/// What somebody is answered who reads everything of a thing; the raw text.
pub(super) async fn read(surface: &Surface, client: &Client, of: Of, id: Uuid) -> Vec<String> {
    let mut answers = Vec::new();
    for (kind, document) in documents(surface) {
        if kind == of {
            answers.push(client.send(&document, json!({"id": id})).await.to_string());
        }
    }
    answers
}

/// The answer to whoever asks for what is not there.
pub(super) fn nothing() -> String {
    json!({"data": {"it": Value::Null}}).to_string()
}
