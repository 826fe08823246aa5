//! Secrets: environments, MCP servers and claim tokens leave in the claim that they are for, and nowhere else.

use callboard::agent::NewAgent;
use callboard::auth::Identity;
use entity::member::Role;
use entity::secret::SecretJson;
use entity::{agent, task};
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::view::{Of, read};
use crate::harness::{Claim, Surface, TestApp, World};

const ENV: &str = "s3cret-of-the-environment";
const MCP: &str = "s3cret-of-the-mcp-servers";

/// What is configured of an agent that has secrets.
fn configuration() -> Value {
    json!({"visibility": "WORKSPACE", "maxConcurrentTasks": 3, "customEnv": {"API_KEY": ENV},
        "mcpConfig": {"servers": [{"token": MCP}]}})
}

#[tokio::test]
async fn a_claim_brings_the_secrets_and_nothing_else_does() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let mut said: Vec<Value> = Vec::new();

    // Everyone who can watch, watches.
    let (task, agent) = (surface.values_of("Task"), surface.values_of("Agent"));
    let (issue_id, workspace) = (Uuid::new_v4(), json!({"id": world.workspace_id.0}));
    let events = format!(
        "subscription($id: UUID!, $after: Cursor) {{ taskEvents(workspaceId: $id, after: $after) {{ kind task {{ {task} agent {{ {agent} }} }} }} }}"
    );
    let presence = format!(
        "subscription($id: UUID!) {{ agentPresence(workspaceId: $id) {{ agent {{ {agent} }} }} }}"
    );
    let banner = format!(
        "subscription($id: UUID!) {{ issueTasks(issueId: $id) {{ activeTasks {{ {task} }} }} }}"
    );
    let available = "subscription($id: UUID!) { taskAvailable(runtimeIds: [$id]) { runtimeId } }";
    let after = json!({"id": world.workspace_id.0, "after": world.cursor().await});
    let mut events = world.host.subscribe(&events, after).await;
    let mut banner = world.host.subscribe(&banner, json!({"id": issue_id})).await;
    let mut available = world
        .daemon
        .subscribe(available, json!({"id": world.runtime_id.0}))
        .await;
    said.push(banner.next().await);

    // An agent with secrets goes through everything that there is.
    let mut input = json!({"workspaceId": world.workspace_id.0, "name": "the secretive", "runtimeId": world.runtime_id.0});
    crate::harness::merge(&mut input, configuration());
    let created = world.host.mutate("createAgent", input).await.unwrap();
    let agent_id = created["id"].clone();
    said.push(created);
    let mut presence = world.host.subscribe(&presence, workspace).await;
    said.push(presence.next().await);
    let input = json!({"agentId": agent_id, "issueId": issue_id});
    said.push(
        world
            .host
            .mutate("enqueueTask", input.clone())
            .await
            .unwrap(),
    );
    said.push(available.next().await);

    let request = json!({"runtimeId": world.runtime_id.0, "requestId": Uuid::new_v4()});
    let claimed = world
        .daemon
        .mutate("claimTask", request.clone())
        .await
        .unwrap();
    assert_eq!(claimed["agent"]["customEnv"], json!({"API_KEY": ENV}));
    assert_eq!(
        claimed["agent"]["mcpConfig"],
        json!({"servers": [{"token": MCP}]})
    );
    let claim = Claim::of(&claimed);
    let again = world.daemon.mutate("claimTask", request).await.unwrap();
    assert_eq!(Claim::of(&again), claim);
    // A claim without its own secrets has nobody else's either.
    said.push(claimed["task"].clone());

    let wrong = json!({"taskId": claim.task_id.0, "claimToken": Uuid::new_v4()});
    said.push(json!(
        world
            .daemon
            .mutate("startTask", wrong)
            .await
            .unwrap_err()
            .message
    ));
    for (mutation, more) in [
        ("startTask", json!({})),
        ("pinTaskSession", json!({"sessionId": "s", "workDir": "/w"})),
        ("reportTaskProgress", json!({"summary": "half"})),
        (
            "appendTaskMessages",
            json!({"messages": [{"seq": 1, "type": "text", "content": "hello"}]}),
        ),
        (
            "reportTaskUsage",
            json!({"usage": [{"provider": "p", "model": "m"}]}),
        ),
        (
            "failTask",
            json!({"error": "gone", "failureReason": "runtime_offline"}),
        ),
        (
            "failTask",
            json!({"error": "gone", "failureReason": "runtime_offline"}),
        ),
    ] {
        said.push(
            world
                .daemon
                .mutate(mutation, claim.with(more))
                .await
                .unwrap(),
        );
    }
    let heartbeat = json!({"runtimeIds": [world.runtime_id.0], "holding": [claim.input()]});
    said.push(world.daemon.mutate("heartbeat", heartbeat).await.unwrap());
    let second = world.run().await;
    let recover = json!({"runtimeId": world.runtime_id.0});
    said.push(
        world
            .daemon
            .mutate("recoverOrphanedTasks", recover)
            .await
            .unwrap(),
    );
    said.push(world.host.mutate("enqueueTask", input).await.unwrap());
    let third = world.run().await;
    said.push(
        world
            .host
            .mutate("cancelTask", json!({"taskId": third.task_id.0}))
            .await
            .unwrap(),
    );

    // Everyone reads everything.
    let admin = app.client(Identity::Admin).await;
    let (owner, member) = (
        world.member(Role::Owner).await,
        world.member(Role::Member).await,
    );
    let things = [
        (Of::Workspace, world.workspace_id.0),
        (Of::Runtime, world.runtime_id.0),
        (Of::Agent, agent_id.as_str().unwrap().parse().unwrap()),
        (Of::Issue, issue_id),
        (Of::Task, claim.task_id.0),
        (Of::Task, second.task_id.0),
        (Of::Task, third.task_id.0),
    ];
    for client in [&admin, &world.host, &owner, &member, &world.daemon] {
        for (of, id) in things {
            said.extend(
                read(&surface, client, of, id)
                    .await
                    .into_iter()
                    .map(Value::from),
            );
        }
    }
    let mut cancelled = false;
    while !cancelled {
        let event = events.next().await;
        cancelled = event["taskEvents"]["kind"] == "CANCELLED";
        said.push(event);
    }
    said.push(banner.next().await);
    said.push(presence.next().await);

    let mut log = format!("{}", Value::from(said));
    assert!(log.contains("API_KEY") && log.contains("the secretive") && log.contains("hello"));
    log += &app.database.contents().await["task_event"];
    let tokens = [claim, second, third].map(|claim| claim.token.0);
    let forms = tokens
        .iter()
        .flat_map(|token| [token.to_string(), token.simple().to_string()]);
    for secret in forms.chain([ENV.to_owned(), MCP.to_owned()]) {
        assert!(!log.contains(&secret), "{secret} was told");
    }
}

#[tokio::test]
async fn what_a_secret_is_in_does_not_print_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent_id = world
        .agent_of(&world.host, world.runtime_id, configuration())
        .await;
    world.enqueue(agent_id, json!({})).await;
    let claim = world.run().await;

    let agent = agent::Entity::find_by_id(agent_id)
        .one(&app.database.pool)
        .await
        .unwrap()
        .unwrap();
    let task = task::Entity::find_by_id(claim.task_id)
        .one(&app.database.pool)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(task.claim_token, Some(claim.token));
    let new = NewAgent {
        workspace_id: world.workspace_id,
        name: agent.name.clone(),
        description: String::new(),
        avatar_url: None,
        runtime_id: world.runtime_id,
        runtime_mode: agent.runtime_mode,
        runtime_config: None,
        visibility: agent.visibility,
        max_concurrent_tasks: 1,
        instructions: String::new(),
        custom_env: Some(SecretJson(json!({"API_KEY": ENV}))),
        custom_args: None,
        mcp_config: Some(SecretJson(json!({"token": MCP}))),
        model: None,
    };
    let printed = [
        format!("{agent:?}"),
        format!("{:#?}", agent::ActiveModel::from(agent)),
        format!("{new:?}"),
        format!("{task:?}"),
        format!("{:#?}", task::ActiveModel::from(task)),
        format!("{:?}", claim.token),
    ]
    .concat();
    for secret in [
        ENV,
        MCP,
        &claim.token.0.to_string(),
        &claim.token.0.simple().to_string(),
    ] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
