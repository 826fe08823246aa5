//! Private agents: their owner's and the workspace's owners' and admins', and hidden from everyone else in it, with all
//! that they do.

use callboard::auth::Identity;
use entity::id::{AgentId, MemberId, TaskId};
use entity::member::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use super::view::{Of, nothing, read};
use crate::harness::{Client, Surface, TestApp, World};

/// A workspace in which a private agent has done something, does something and is to do something.
struct Household<'a> {
    app: &'a TestApp,
    world: World<'a>,
    owner: Client,
    agent_id: AgentId,
    issue_id: Uuid,
    tasks: Vec<TaskId>,
}

impl<'a> Household<'a> {
    async fn new(app: &'a TestApp) -> Self {
        let world = World::new(app).await;
        let owner = world.member(Role::Member).await;
        let more = json!({"visibility": "PRIVATE", "maxConcurrentTasks": 2});
        let agent_id = world.agent_of(&owner, world.runtime_id, more).await;
        let issue_id = Uuid::new_v4();
        let mut tasks = Vec::new();
        tasks.push(world.enqueue(agent_id, json!({})).await);
        let done = world.run().await;
        world.complete(done).await;
        tasks.push(world.enqueue(agent_id, json!({})).await);
        world.run().await;
        tasks.push(world.enqueue(agent_id, json!({"issueId": issue_id})).await);
        Self {
            app,
            world,
            owner,
            agent_id,
            issue_id,
            tasks,
        }
    }

    /// What betrays the agent: its id and those of its tasks.
    fn traces(&self) -> Vec<String> {
        let tasks = self.tasks.iter().map(TaskId::to_string);
        tasks.chain([self.agent_id.to_string()]).collect()
    }

    async fn somebody(&self, role: Role) -> Client {
        let (workspace_id, member_id) = (self.world.workspace_id, MemberId(Uuid::new_v4()));
        self.app
            .client(Identity::Member {
                workspace_id,
                member_id,
                role,
            })
            .await
    }
}

#[tokio::test]
async fn other_members_find_no_trace_of_a_private_agent() {
    let app = TestApp::start().await;
    let house = Household::new(&app).await;
    let surface = Surface::of(&house.world.host).await;
    let stranger = house.somebody(Role::Member).await;
    for (of, id) in [
        (Of::Workspace, house.world.workspace_id.0),
        (Of::Runtime, house.world.runtime_id.0),
    ] {
        for answer in read(&surface, &stranger, of, id).await {
            assert!(
                !answer.contains("errors") && answer.contains(&id.to_string()),
                "{answer}"
            );
            for trace in house.traces() {
                assert!(!answer.contains(&trace), "{of:?}: {answer}");
            }
        }
    }
    let tasks = house.tasks.iter().map(|id| (Of::Task, id.0));
    for (of, id) in tasks.chain([(Of::Agent, house.agent_id.0), (Of::Issue, house.issue_id)]) {
        for answer in read(&surface, &stranger, of, id).await {
            assert_eq!(answer, nothing(), "{of:?}");
        }
    }
}

#[tokio::test]
async fn its_owner_and_those_who_run_the_workspace_see_a_private_agent() {
    let app = TestApp::start().await;
    let house = Household::new(&app).await;
    let surface = Surface::of(&house.world.host).await;
    let admins = [
        house.somebody(Role::Owner).await,
        house.somebody(Role::Admin).await,
    ];
    let daemon = house.world.daemon.clone();
    for client in admins
        .into_iter()
        .chain([house.owner.clone(), house.world.host.clone(), daemon])
    {
        let mut seen = read(&surface, &client, Of::Workspace, house.world.workspace_id.0)
            .await
            .concat();
        seen += &read(&surface, &client, Of::Issue, house.issue_id)
            .await
            .concat();
        for trace in house.traces() {
            assert!(seen.contains(&trace), "{trace} in {seen}");
        }
    }
}

#[tokio::test]
async fn other_members_are_told_nothing_of_a_private_agent_while_they_watch() {
    let app = TestApp::start().await;
    let house = Household::new(&app).await;
    let stranger = house.somebody(Role::Member).await;
    let public_id = house.world.agent(5).await;
    let workspace = json!({"id": house.world.workspace_id.0});
    let after = json!({"after": house.world.cursor().await});
    let mut events = house.world.feed(&stranger, after).await;
    let mut presence = stranger
        .subscribe(
            "subscription($id: UUID!) { agentPresence(workspaceId: $id) { agentId queuedCount } }",
            workspace.clone(),
        )
        .await;
    let mut banner = stranger
        .subscribe(
            "subscription($id: UUID!) { issueTasks(issueId: $id) { activeTasks { agentId } } }",
            json!({"id": house.issue_id}),
        )
        .await;
    assert_eq!(banner.next().await["issueTasks"]["activeTasks"], json!([]));
    let first = json!({"agentId": public_id.0, "queuedCount": 0});
    assert_eq!(presence.next().await["agentPresence"], first);
    // Something private, then something for everyone: the second is the first that the stranger hears of.
    house
        .world
        .enqueue(house.agent_id, json!({"issueId": Uuid::new_v4()}))
        .await;
    let issue = json!({"issueId": house.issue_id});
    let task_id = house.world.enqueue(public_id, issue).await;
    let agent = |id: AgentId| json!({"agentId": id.0});
    assert_eq!(events.next().await.task_id, task_id);
    assert_eq!(
        banner.next().await["issueTasks"]["activeTasks"],
        json!([agent(public_id)])
    );
    let told = json!({"agentId": public_id.0, "queuedCount": 1});
    assert_eq!(presence.next().await["agentPresence"], told);
}

#[tokio::test]
async fn asking_for_the_presence_of_a_private_agent_by_its_id_does_not_help() {
    let app = TestApp::start().await;
    let house = Household::new(&app).await;
    let stranger = house.somebody(Role::Member).await;
    let public_id = house.world.agent(1).await;
    let document = "subscription($id: UUID!, $agents: [UUID!]) { agentPresence(workspaceId: $id, agentIds: $agents) { agentId } }";
    let variables =
        json!({"id": house.world.workspace_id.0, "agents": [house.agent_id.0, public_id.0]});
    let mut presence = stranger.subscribe(document, variables).await;
    assert_eq!(
        presence.next().await["agentPresence"]["agentId"],
        json!(public_id.0)
    );
}

#[tokio::test]
async fn a_private_agent_that_is_shown_to_everyone_is_seen_at_once_and_hidden_again_as_soon() {
    let app = TestApp::start().await;
    let house = Household::new(&app).await;
    let stranger = house.somebody(Role::Member).await;
    let document = "query($id: UUID!) { agent(id: $id) { id } }";
    for (visibility, expected) in [
        ("workspace", json!({"id": house.agent_id.0})),
        ("private", Value::Null),
    ] {
        let sql = format!("update agent set visibility = '{visibility}'");
        app.database.execute(&sql).await;
        let seen = stranger
            .data(document, json!({"id": house.agent_id.0}))
            .await;
        assert_eq!(seen["agent"], expected);
    }
}
