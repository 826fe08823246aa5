//! Who asks the same is not told the same if they may not see the same.

use callboard::auth::Identity;
use entity::id::{AgentId, MemberId, TaskId};
use entity::member::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use super::crowd::{self, Crowd};
use super::cursors;
use crate::harness::{Client, TestApp, World};

/// Something below each event goes by who is asking.
const DOCUMENT: &str = "subscription($id: UUID!, $after: Cursor) {
    taskEvents(workspaceId: $id, after: $after) { cursor task { agent { id name runtime { agents { id } } } } } }";

/// A workspace with an agent for everyone and a member's private one.
struct Scene<'a> {
    app: &'a TestApp,
    world: World<'a>,
    open: AgentId,
    hidden: AgentId,
    owner: String,
}

impl<'a> Scene<'a> {
    async fn set(app: &'a TestApp) -> Self {
        let world = World::new(app).await;
        let open = world.agent(1).await;
        let owner = token(app, &world, MemberId(Uuid::new_v4()), Role::Member).await;
        let client = Client::new(app.address(), &owner);
        let private = json!({"visibility": "PRIVATE"});
        let hidden = world.agent_of(&client, world.runtime_id, private).await;
        Self {
            app,
            world,
            open,
            hidden,
            owner,
        }
    }

    /// Puts a task on the board for either agent, in one transaction; returns the cursors of the private one's event and of
    /// the other.
    async fn put_both(&self) -> [String; 2] {
        let before = self.world.cursor().await;
        let [hidden, open] = [self.hidden, self.open]
            .map(|agent| self.world.insertion(agent, TaskId(Uuid::now_v7())));
        self.app.database.execute(&format!("{hidden};{open}")).await;
        cursors(self.app, &before).await.try_into().unwrap()
    }

    /// Two that ask the same with the same token.
    async fn crowd(&self, token: &str, after: &str) -> Crowd {
        let variables = json!({"id": self.world.workspace_id.0, "after": after});
        Crowd::open(self.app.server(), token, DOCUMENT, &variables, 2).await
    }
}

/// A member's token.
async fn token(app: &TestApp, world: &World<'_>, member_id: MemberId, role: Role) -> String {
    app.token(Identity::Member {
        workspace_id: world.workspace_id,
        member_id,
        role,
    })
    .await
}

/// The agents on the runtime, as the first event tells of them.
fn agents(told: &[Vec<Value>]) -> usize {
    let counts = told.iter().map(|told| {
        told[0]["task"]["agent"]["runtime"]["agents"]
            .as_array()
            .unwrap()
            .len()
    });
    let counts: Vec<usize> = counts.collect();
    assert_eq!(counts[0], counts[1]);
    counts[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_see_an_agent_is_told_nothing_of_it_beside_those_who_may() {
    let app = TestApp::start().await;
    let scene = Scene::set(&app).await;
    let other = token(&app, &scene.world, MemberId(Uuid::new_v4()), Role::Member).await;
    let admin = token(&app, &scene.world, MemberId(Uuid::new_v4()), Role::Admin).await;
    let host = crowd::token_of_host(&app, &scene.world).await;
    let start = scene.world.cursor().await;
    let mut seeing = Vec::new();
    for token in [&scene.owner, &admin, &host] {
        seeing.push(scene.crowd(token, &start).await);
    }
    let mut blind = scene.crowd(&other, &start).await;
    for _ in 0..3 {
        let both = scene.put_both().await;
        blind.expect(&both[1..]).await;
        for crowd in &mut seeing {
            crowd.expect(&both).await;
        }
    }
    // Nor below the events that both are told.
    scene.put_both().await;
    assert_eq!(agents(&blind.take(1).await), 1);
    for crowd in &mut seeing {
        assert_eq!(agents(&crowd.take(2).await), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_see_less_than_before_goes_on_without_what_those_see_who_were_alike() {
    let app = TestApp::start().await;
    let scene = Scene::set(&app).await;
    let demoted = token(&app, &scene.world, MemberId(Uuid::nil()), Role::Admin).await;
    let admin = token(&app, &scene.world, MemberId(Uuid::new_v4()), Role::Admin).await;
    let start = scene.world.cursor().await;
    let (mut one, mut other) = (
        scene.crowd(&demoted, &start).await,
        scene.crowd(&admin, &start).await,
    );
    let both = scene.put_both().await;
    one.expect(&both).await;
    other.expect(&both).await;

    app.database
        .execute(&format!(
            "update member set role = 'member' where id = '{}'",
            Uuid::nil()
        ))
        .await;
    assert_eq!(one.closed().await.0, 4403);
    let mut one = scene.crowd(&demoted, &both[1]).await;
    let both = scene.put_both().await;
    one.expect(&both[1..]).await;
    other.expect(&both).await;

    // An agent that is opened is everyone's from then on, its next event too.
    let opened = format!(
        "update agent set visibility = 'workspace' where id = '{}'",
        scene.hidden
    );
    app.database.execute(&opened).await;
    let both = scene.put_both().await;
    one.expect(&both).await;
    other.expect(&both).await;
}
