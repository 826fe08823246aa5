//! Subscriptions of those of another workspace, and of another daemon.

use serde_json::json;
use uuid::Uuid;

use crate::harness::{Client, Surface, TestApp, World};

/// The code that a subscription is refused with.
async fn refused(client: &Client, document: &str, id: Uuid) -> String {
    client
        .subscribe(document, json!({"id": id}))
        .await
        .error()
        .await
        .code
}

#[tokio::test]
async fn watching_what_is_anothers_is_refused_like_watching_what_is_not_there() {
    let app = TestApp::start().await;
    let (world, other) = (World::new(&app).await, World::new(&app).await);
    let (second, _) = world.second_daemon("desktop").await;
    let workspace = world.workspace_id.0;
    let runtime = world.runtime_id.0;
    let events = "subscription($id: UUID!) { taskEvents(workspaceId: $id) { kind } }";
    let presence = "subscription($id: UUID!) { agentPresence(workspaceId: $id) { agentId } }";
    let available = "subscription($id: UUID!) { taskAvailable(runtimeIds: [$id]) { runtimeId } }";
    for (document, id) in [
        (events, workspace),
        (presence, workspace),
        (available, runtime),
    ] {
        for stranger in [&other.host, &other.daemon] {
            for id in [id, Uuid::new_v4()] {
                assert_eq!(
                    refused(stranger, document, id).await,
                    "NOT_FOUND",
                    "{document}"
                );
            }
        }
    }
    assert_eq!(refused(&second, available, runtime).await, "NOT_FOUND");
}

#[tokio::test]
async fn an_issue_of_another_workspace_is_watched_as_one_that_has_no_tasks() {
    let app = TestApp::start().await;
    let (world, other) = (World::new(&app).await, World::new(&app).await);
    let (agent_id, own_id) = (world.agent(5).await, other.agent(5).await);
    let issue_id = Uuid::new_v4();
    world.enqueue(agent_id, json!({"issueId": issue_id})).await;
    let document = "subscription($id: UUID!) { issueTasks(issueId: $id) { activeTasks { id } } }";
    let mut banner = other
        .host
        .subscribe(document, json!({"id": issue_id}))
        .await;
    assert_eq!(banner.next().await["issueTasks"]["activeTasks"], json!([]));
    // What happens there is not told; what happens here is.
    world
        .host
        .mutate("cancelByIssue", json!({"issueId": issue_id}))
        .await
        .unwrap();
    let task_id = other.enqueue(own_id, json!({"issueId": issue_id})).await;
    assert_eq!(
        banner.next().await["issueTasks"]["activeTasks"],
        json!([{"id": task_id.0}])
    );
}

#[tokio::test]
async fn events_of_another_workspace_are_not_told() {
    let app = TestApp::start().await;
    let (world, other) = (World::new(&app).await, World::new(&app).await);
    let (agent_id, own_id) = (world.agent(5).await, other.agent(5).await);
    let mut events = other.follow(&other.cursor().await).await;
    world.enqueue(agent_id, json!({})).await;
    let task_id = other.enqueue(own_id, json!({})).await;
    assert_eq!(events.next().await.task_id, task_id);
}

#[tokio::test]
async fn a_daemon_sees_its_own_runtimes_only() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let (second, runtime_id) = world.second_daemon("desktop").await;
    let agent_id = world.agent(1).await;
    let task_id = world.enqueue(agent_id, json!({})).await;
    let more = json!({"visibility": "WORKSPACE"});
    let own_agent = world.agent_of(&world.host, runtime_id, more).await;
    for (document, _) in super::view::documents(&surface)
        .iter()
        .map(|(of, document)| (document, of))
    {
        for id in [
            world.workspace_id.0,
            world.runtime_id.0,
            agent_id.0,
            task_id.0,
        ] {
            let answer = second.send(document, json!({"id": id})).await.to_string();
            for trace in [world.runtime_id.0, agent_id.0, task_id.0] {
                assert!(!answer.contains(&trace.to_string()), "{answer}");
            }
        }
    }
    let document = "query($id: UUID!) { workspace(id: $id) { agents { id } runtimes { id } } }";
    let data = second
        .data(document, json!({"id": world.workspace_id.0}))
        .await;
    let expected = json!({"agents": [{"id": own_agent.0}], "runtimes": [{"id": runtime_id.0}]});
    assert_eq!(data["workspace"], expected);
}
