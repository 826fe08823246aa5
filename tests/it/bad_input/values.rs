//! Values of the right type that can never be right.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Bad, refused};
use crate::harness::{Surface, TestApp, World};

/// The arguments of a mutation with some of its input replaced, each of which is to be refused under a name.
async fn refuse_inputs(
    mutation: &str,
    input: impl AsyncFn(&World<'_>) -> Value,
    cases: Vec<(&str, Value)>,
) {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let field = surface.field(mutation);
    let input = input(&world).await;
    let requests = cases.into_iter().map(|(name, value)| {
        let mut variables = json!({"input": input});
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        if rest.is_empty() || variables["input"].get(first).is_none() {
            variables["input"][first] = value;
        } else {
            crate::harness::put(&mut variables, &format!("input.{name}"), value);
        }
        Bad {
            document: field.document(&variables),
            variables,
            says: format!("input.{name}"),
        }
    });
    refused(&app, &world, requests.collect()).await;
}

/// Longer than a line may be.
fn long_line() -> Value {
    json!("x".repeat(1025))
}

/// A megabyte.
fn megabyte() -> Value {
    json!("x".repeat(1024 * 1024))
}

#[tokio::test]
async fn an_agent_that_can_never_be_is_refused() {
    let input = async |world: &World<'_>| json!({"workspaceId": world.workspace_id.0, "name": "agent", "runtimeId": world.runtime_id.0});
    let cases = vec![
        ("name", json!("")),
        ("name", json!(" \t\n")),
        ("name", json!("\0")),
        ("name", long_line()),
        ("description", megabyte()),
        ("instructions", megabyte()),
        ("model", long_line()),
        ("avatarUrl", long_line()),
        ("maxConcurrentTasks", json!(0)),
        ("maxConcurrentTasks", json!(-1)),
        ("maxConcurrentTasks", json!(1001)),
        ("runtimeConfig", json!([])),
        ("runtimeConfig", json!("text")),
        ("runtimeConfig", json!({"a": megabyte()})),
        ("mcpConfig", json!(["server"])),
        ("customEnv", json!([])),
        ("customEnv", json!(["A=1"])),
        ("customEnv", json!("A=1")),
        ("customEnv", json!({"": "1"})),
        ("customEnv", json!({"A=B": "1"})),
        ("customEnv", json!({"A": 1})),
        ("customEnv", json!({"A": null})),
        ("customEnv", json!({"A": {"b": "c"}})),
        ("customEnv", json!({"A": megabyte()})),
        ("customArgs", json!({})),
        ("customArgs", json!("--verbose")),
        ("customArgs", json!([1])),
        ("customArgs", json!([["a"]])),
        ("customArgs", json!([null])),
        ("customArgs", json!([megabyte()])),
    ];
    refuse_inputs("createAgent", input, cases).await;
}

#[tokio::test]
async fn a_runtime_that_can_never_be_is_refused() {
    let input = async |world: &World<'_>| json!({"workspaceId": world.workspace_id.0, "daemonId": "laptop", "provider": "claude", "name": "laptop"});
    let cases = vec![
        ("daemonId", json!("")),
        ("daemonId", long_line()),
        ("provider", json!("  ")),
        ("provider", long_line()),
        ("name", json!("")),
        ("name", long_line()),
        ("deviceInfo", megabyte()),
        ("metadata", json!([])),
        ("metadata", json!(1)),
        ("metadata", json!({"a": megabyte()})),
    ];
    refuse_inputs("registerRuntime", input, cases).await;
}

#[tokio::test]
async fn a_task_that_can_never_be_is_refused() {
    let input = async |world: &World<'_>| json!({"agentId": world.agent(1).await.0});
    let cases = vec![
        ("priority", json!(-1)),
        ("priority", json!(i32::MIN)),
        ("maxAttempts", json!(0)),
        ("maxAttempts", json!(-1)),
        ("maxAttempts", json!(101)),
        ("triggerSummary", megabyte()),
        ("context", json!({"prompt": megabyte()})),
    ];
    refuse_inputs("enqueueTask", input, cases).await;
}

/// The claim of a running task.
async fn running(world: &World<'_>) -> Value {
    let agent_id = world.agent(1).await;
    world
        .enqueue(agent_id, json!({"issueId": Uuid::new_v4()}))
        .await;
    world.run().await.input()
}

#[tokio::test]
async fn a_settlement_that_can_never_be_is_refused_and_the_task_goes_on() {
    let cases = vec![
        ("result", json!({"answer": megabyte()})),
        ("sessionId", long_line()),
        ("workDir", long_line()),
    ];
    refuse_inputs("completeTask", running, cases).await;
}

#[tokio::test]
async fn a_failure_with_a_megabyte_of_error_is_refused_and_the_task_goes_on() {
    let input = async |world: &World<'_>| {
        let mut input = running(world).await;
        input["error"] = json!("it broke");
        input
    };
    let cases = vec![
        ("error", megabyte()),
        ("failureReason", long_line()),
        ("sessionId", long_line()),
        ("workDir", long_line()),
    ];
    refuse_inputs("failTask", input, cases).await;
}

#[tokio::test]
async fn a_session_or_progress_that_can_never_be_is_refused() {
    let cases = vec![("sessionId", long_line()), ("workDir", long_line())];
    refuse_inputs("pinTaskSession", running, cases).await;

    let input = async |world: &World<'_>| {
        let mut input = running(world).await;
        input["summary"] = json!("half");
        input
    };
    let cases = vec![
        ("summary", json!("")),
        ("summary", long_line()),
        ("step", json!(-1)),
        ("total", json!(-1)),
    ];
    refuse_inputs("reportTaskProgress", input, cases).await;
}

#[tokio::test]
async fn a_transcript_that_can_never_be_is_refused_as_a_whole() {
    let input = async |world: &World<'_>| {
        let mut input = running(world).await;
        input["messages"] = json!([
            {"seq": 1, "type": "text", "content": "good"},
            {"seq": 2, "type": "text", "tool": "t", "content": "c", "input": {}, "output": "o"},
        ]);
        input
    };
    let cases = vec![
        ("messages.1.seq", json!(0)),
        ("messages.1.seq", json!(-1)),
        ("messages.1.type", json!("")),
        ("messages.1.tool", long_line()),
        ("messages.1.content", megabyte()),
        ("messages.1.input", json!({"a": megabyte()})),
        ("messages.1.output", megabyte()),
    ];
    refuse_inputs("appendTaskMessages", input, cases).await;
}

#[tokio::test]
async fn usage_that_can_never_be_is_refused_as_a_whole() {
    let input = async |world: &World<'_>| {
        let mut input = running(world).await;
        let row = json!({"provider": "p", "model": "m", "inputTokens": 1, "outputTokens": 1, "cacheReadTokens": 1,
            "cacheWriteTokens": 1});
        input["usage"] = json!([row.clone(), row]);
        input
    };
    let cases = vec![
        ("usage.1.provider", json!("")),
        ("usage.1.model", long_line()),
        ("usage.1.inputTokens", json!(-1)),
        ("usage.1.outputTokens", json!(-1)),
        ("usage.1.cacheReadTokens", json!(-1)),
        ("usage.1.cacheWriteTokens", json!(-1)),
    ];
    refuse_inputs("reportTaskUsage", input, cases).await;
}

#[tokio::test]
async fn a_page_that_can_never_be_is_refused() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent_id = world.agent(1).await;
    let issue_id = Uuid::new_v4();
    let task_id = world.enqueue(agent_id, json!({"issueId": issue_id})).await;
    let (workspace_id, agent_id, task_id) = (world.workspace_id.0, agent_id.0, task_id.0);
    let mut requests = Vec::new();
    for arguments in [
        "first: 201",
        "first: -1",
        "first: 2147483647",
        r#"after: "nonsense""#,
        r#"after: """#,
    ] {
        let says = arguments.split(':').next().unwrap();
        for list in [
            format!(r#"workspace(id: "{workspace_id}")"#),
            format!(r#"agent(id: "{agent_id}")"#),
            format!(r#"issue(id: "{issue_id}")"#),
        ] {
            requests.push(Bad {
                document: format!("{{ {list} {{ tasks({arguments}) {{ nodes {{ id }} }} }} }}"),
                variables: json!({}),
                says: says.to_owned(),
            });
        }
    }
    let many = "QUEUED ".repeat(1001);
    requests.push(Bad {
        document: format!(
            r#"{{ workspace(id: "{workspace_id}") {{ tasks(filter: {{status: [{many}]}}) {{ nodes {{ id }} }} }} }}"#
        ),
        variables: json!({}),
        says: "filter.status".to_owned(),
    });
    for arguments in ["first: 201", "first: -1", "afterSeq: -1"] {
        requests.push(Bad {
            document: format!(
                r#"{{ task(id: "{task_id}") {{ messages({arguments}) {{ seq }} }} }}"#
            ),
            variables: json!({}),
            says: arguments.split(':').next().unwrap().to_owned(),
        });
    }
    refused(&app, &world, requests).await;
}
