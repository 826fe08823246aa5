//! Those of another workspace, whoever they are, whatever they ask for.

use callboard::auth::{Daemon, Identity};
use entity::id::MemberId;
use entity::member::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use super::view::{Of, nothing, read};
use crate::harness::{Client, Field, Surface, TestApp, World};

/// Everyone who can be of a workspace.
async fn everyone(app: &TestApp, world: &World<'_>) -> Vec<Client> {
    let (workspace_id, member_id) = (world.workspace_id, MemberId(Uuid::new_v4()));
    let daemon_id = "laptop".to_owned();
    let identities = [
        Identity::Service { workspace_id },
        Identity::Member {
            workspace_id,
            member_id,
            role: Role::Owner,
        },
        Identity::Member {
            workspace_id,
            member_id: MemberId(Uuid::new_v4()),
            role: Role::Member,
        },
        Identity::Daemon(Daemon {
            workspace_id,
            daemon_id,
        }),
    ];
    let mut clients = Vec::new();
    for identity in identities {
        clients.push(app.client(identity).await);
    }
    clients
}

#[tokio::test]
async fn what_is_of_another_workspace_is_answered_as_what_is_not_there() {
    let app = TestApp::start().await;
    let (world, other) = (World::new(&app).await, World::new(&app).await);
    let surface = Surface::of(&world.host).await;
    let agent_id = world.agent(1).await;
    let issue_id = Uuid::new_v4();
    let task_id = world.enqueue(agent_id, json!({"issueId": issue_id})).await;
    let things = [
        (Of::Workspace, world.workspace_id.0),
        (Of::Agent, agent_id.0),
        (Of::Runtime, world.runtime_id.0),
        (Of::Task, task_id.0),
        (Of::Issue, issue_id),
    ];
    for (of, id) in things {
        for own in [&world.host, &world.daemon] {
            for answer in read(&surface, own, of, id).await {
                assert!(
                    answer.contains(&id.to_string()) && !answer.contains("errors"),
                    "{of:?}: {answer}"
                );
            }
        }
        for stranger in everyone(&app, &other).await {
            for id in [id, Uuid::new_v4()] {
                for answer in read(&surface, &stranger, of, id).await {
                    assert_eq!(answer, nothing(), "{of:?} {id}");
                }
            }
        }
    }
}

#[tokio::test]
async fn every_query_that_takes_an_id_is_among_those() {
    let app = TestApp::start().await;
    let surface = Surface::of(&World::new(&app).await.host).await;
    let documents = super::view::documents(&surface);
    for field in surface.fields().into_iter().filter(Field::is_query) {
        let is_asked = documents
            .iter()
            .any(|(_, document)| document.contains(&format!("it: {}(", field.name)));
        assert!(
            is_asked || surface.places(&field).is_empty(),
            "{}",
            field.name
        );
    }
}

#[tokio::test]
async fn an_issue_that_two_workspaces_name_is_each_ones_own() {
    let app = TestApp::start().await;
    let (world, other) = (World::new(&app).await, World::new(&app).await);
    let surface = Surface::of(&world.host).await;
    let issue_id = Uuid::new_v4();
    let (agent_id, stranger_id) = (world.agent(1).await, other.agent(1).await);
    let task_id = world
        .enqueue(agent_id, json!({"issueId": issue_id, "isLeaderTask": true}))
        .await;
    let hidden_id = other
        .enqueue(
            stranger_id,
            json!({"issueId": issue_id, "isLeaderTask": true}),
        )
        .await;
    for answer in read(&surface, &world.host, Of::Issue, issue_id).await {
        assert!(answer.contains(&task_id.to_string()), "{answer}");
        assert!(!answer.contains(&hidden_id.to_string()), "{answer}");
    }
    let document =
        "query($id: UUID!, $agent: UUID!) { issue(id: $id) { hasPendingTask(agentId: $agent)
        latestTaskIsLeader(agentId: $agent) lastSession(agentId: $agent) { sessionId } } }";
    let data = world
        .host
        .data(document, json!({"id": issue_id, "agent": stranger_id.0}))
        .await;
    let expected =
        json!({"hasPendingTask": false, "latestTaskIsLeader": null, "lastSession": null});
    assert_eq!(data["issue"], expected);

    let cancelled = world
        .host
        .mutate("cancelByIssue", json!({"issueId": issue_id}))
        .await
        .unwrap();
    assert_eq!(cancelled.as_array().unwrap().len(), 1);
    assert_eq!(other.status(hidden_id).await, "QUEUED");
}

#[tokio::test]
async fn filters_do_not_reach_into_another_workspace() {
    let app = TestApp::start().await;
    let (world, other) = (World::new(&app).await, World::new(&app).await);
    let (agent_id, issue_id) = (other.agent(1).await, Uuid::new_v4());
    other.enqueue(agent_id, json!({"issueId": issue_id})).await;
    let document = "query($id: UUID!, $filter: TaskFilter) { workspace(id: $id) { tasks(filter: $filter) { nodes { id } } } }";
    for filter in [
        json!({"agentId": agent_id.0}),
        json!({"runtimeId": other.runtime_id.0}),
        json!({"issueId": issue_id}),
        json!({"status": ["QUEUED"]}),
    ] {
        let variables = json!({"id": world.workspace_id.0, "filter": filter});
        let data = world.host.data(document, variables).await;
        assert_eq!(data["workspace"]["tasks"]["nodes"], json!([]), "{filter}");
    }
}

#[tokio::test]
async fn nothing_of_another_workspace_can_be_part_of_ones_own() {
    let app = TestApp::start().await;
    let (world, other) = (World::new(&app).await, World::new(&app).await);
    let agent_id = other.agent(1).await;
    other.enqueue(agent_id, json!({})).await;
    let held = other.run().await;
    let own_agent = world.agent(1).await;
    world.enqueue(own_agent, json!({})).await;
    let before = app.database.contents().await;

    let (own, foreign) = (world.runtime_id.0, other.runtime_id.0);
    let agent = |runtime_id: Uuid, workspace_id: Uuid| json!({"workspaceId": workspace_id, "name": "a", "runtimeId": runtime_id});
    let by_host = [
        ("createAgent", agent(foreign, world.workspace_id.0)),
        ("createAgent", agent(own, other.workspace_id.0)),
        ("enqueueTask", json!({"agentId": agent_id.0})),
        ("cancelTask", json!({"taskId": held.task_id.0})),
    ];
    for (mutation, given) in by_host {
        assert_eq!(
            world.host.refused(mutation, given).await,
            "NOT_FOUND",
            "{mutation}"
        );
    }
    let runtime = json!({"workspaceId": other.workspace_id.0, "daemonId": "laptop", "provider": "claude", "name": "mine"});
    let by_daemon = [
        ("registerRuntime", runtime),
        ("heartbeat", json!({"runtimeIds": [own, foreign]})),
        ("claimTask", json!({"runtimeId": foreign})),
        ("completeTask", held.input()),
    ];
    for (mutation, given) in by_daemon {
        assert_eq!(
            world.daemon.refused(mutation, given).await,
            "NOT_FOUND",
            "{mutation}"
        );
    }
    // An agent that is not the runtime's has nothing to do on it.
    let given = json!({"runtimeId": own, "agentId": agent_id.0});
    assert_eq!(
        world.daemon.mutate("claimTask", given).await.unwrap(),
        Value::Null
    );
    assert_eq!(app.database.contents().await, before);

    // What another daemon holds is not among what this one has lost.
    let given = json!({"runtimeIds": [own], "holding": [held.input()]});
    let answer = world.daemon.mutate("heartbeat", given).await.unwrap();
    assert_eq!(answer["lost"], json!([]));
}
