//! The demo's front end: `taskEvents`, a line each, in the terminal.

#![expect(
    clippy::indexing_slicing,
    reason = "a field that a JSON value lacks is null, not a panic"
)]

use std::io::IsTerminal;

use entity::id::WorkspaceId;
use futures::StreamExt;
use serde_json::{Value, json};

use super::{Client, data};

/// What it subscribes to.
const EVENTS: &str = "subscription($id: UUID!) { taskEvents(
    workspaceId: $id
    filter: {kinds: [QUEUED, DISPATCHED, REQUEUED, RUNNING, PROGRESS, COMPLETED, FAILED, CANCELLED]}
) {
    kind at
    task { triggerSummary attempt error failureReason result startedAt progress { summary step total } agent { name } }
} }";

/// Prints every change of the workspace's tasks until it is dropped.
pub(super) async fn show(client: Client, workspace_id: WorkspaceId) -> anyhow::Result<()> {
    let colours = std::io::stdout().is_terminal();
    let request = client.request(EVENTS, json!({"id": workspace_id.0}));
    let mut events = async_graphql::Executor::execute_stream(&client.executor, request, None);
    while let Some(response) = events.next().await {
        print(&line(&data(response)?["taskEvents"], colours));
    }
    Err(anyhow::anyhow!("the event stream ended"))
}

/// One event for the eye: when, what, who, on what, and how it went.
fn line(event: &Value, colours: bool) -> String {
    let kind = event["kind"].as_str().unwrap_or_default();
    let (mark, colour) = match kind {
        "QUEUED" | "REQUEUED" => ("+", "37"),
        "DISPATCHED" => (">", "36"),
        "RUNNING" => ("*", "34"),
        "PROGRESS" => (".", "90"),
        "COMPLETED" => ("=", "32"),
        "FAILED" => ("!", "31"),
        _ => ("x", "33"),
    };
    let task = &event["task"];
    let time = event["at"]
        .as_str()
        .and_then(|at| at.get(11..19))
        .unwrap_or_default();
    let agent = task["agent"]["name"].as_str().unwrap_or_default();
    let prompt = task["triggerSummary"].as_str().unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    let line = format!(
        "{time} {mark} {kind:<10} {agent:<9} {prompt:<32} {}",
        outcome(&kind, task)
    );
    let line = line.trim_end();
    if colours {
        format!("\x1b[{colour}m{line}\x1b[0m")
    } else {
        line.to_owned()
    }
}

/// How it went, where there is something to say.
fn outcome(kind: &str, task: &Value) -> String {
    match kind {
        "progress" => {
            let progress = &task["progress"];
            format!(
                "{}/{} {}",
                progress["step"],
                progress["total"],
                progress["summary"].as_str().unwrap_or_default()
            )
        }
        "completed" => task["result"].to_string(),
        "failed" => {
            let error = task["error"]
                .as_str()
                .unwrap_or_default()
                .lines()
                .next()
                .unwrap_or_default();
            format!(
                "{error} ({})",
                task["failureReason"].as_str().unwrap_or_default()
            )
        }
        _ => match task["attempt"].as_i64() {
            Some(attempt) if attempt > 1 => format!("attempt {attempt}"),
            _ => String::new(),
        },
    }
}

/// Writes a line of the stream.
#[expect(clippy::print_stdout, reason = "this is the output of the command")]
fn print(line: &str) {
    println!("{line}");
}
