//! Who is shown which events: decided for each of them, by what its viewer may see at that moment.

use entity::member::Role;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{TestApp, World};

const CANCEL: &str = "mutation($id: UUID!) { cancelTask(taskId: $id) { id } }";

#[tokio::test]
async fn members_see_the_events_of_agents_that_they_may_see() {
    let app = TestApp::start().await;
    let (world, elsewhere) = (World::new(&app).await, World::new(&app).await);
    let (owner, other) = (
        world.member(Role::Member).await,
        world.member(Role::Member).await,
    );
    let admin = world.member(Role::Admin).await;
    let private = json!({"visibility": "PRIVATE"});
    let hidden = world.agent_of(&owner, world.runtime_id, private).await;
    let (agent, stranger) = (world.agent(1).await, elsewhere.agent(1).await);
    let after = json!({"after": world.cursor().await});

    let foreign = elsewhere.enqueue(stranger, json!({})).await;
    let secret = world.enqueue(hidden, json!({})).await;
    let open = world.enqueue(agent, json!({})).await;
    for (client, expected) in [
        (&owner, vec![secret, open]),
        (&admin, vec![secret, open]),
        (&world.host, vec![secret, open]),
        (&other, vec![open]),
    ] {
        let mut feed = world.feed(client, after.clone()).await;
        assert_eq!(feed.tasks(expected.len()).await, expected);
    }
    let mut feed = world.feed(&elsewhere.host, after.clone()).await;
    assert_eq!(feed.error().await.code, "NOT_FOUND");

    // Decided for each event: an agent that is opened is seen from then on, its past too.
    let mut feed = world.feed(&other, after).await;
    assert_eq!(feed.tasks(1).await, [open]);
    app.database
        .execute(&format!(
            "update agent set visibility = 'workspace' where id = '{hidden}'"
        ))
        .await;
    world.host.data(CANCEL, json!({"id": secret.0})).await;
    elsewhere.host.data(CANCEL, json!({"id": foreign.0})).await;
    world.host.data(CANCEL, json!({"id": open.0})).await;
    assert_eq!(feed.tasks(2).await, [secret, open]);
}

#[tokio::test]
async fn a_daemon_sees_the_events_of_its_own_runtimes() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (other, runtime) = world.second_daemon("desktop").await;
    let own = world.agent(1).await;
    let public = json!({"visibility": "WORKSPACE"});
    let others = world.agent_of(&world.host, runtime, public).await;
    let after = json!({"after": world.cursor().await});
    let mut feed = world.feed(&world.daemon, after.clone()).await;
    let mut other_feed = world.feed(&other, after).await;
    for _ in 0..2 {
        let first = world
            .enqueue(others, json!({"issueId": Uuid::new_v4()}))
            .await;
        let second = world.enqueue(own, json!({"issueId": Uuid::new_v4()})).await;
        assert_eq!(other_feed.tasks(1).await, [first]);
        assert_eq!(feed.tasks(1).await, [second]);
    }
}

#[tokio::test]
async fn a_daemon_s_snapshot_has_no_outcome_from_another_s_runtime() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (other, runtime) = world.second_daemon("desktop").await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    world.complete(claim).await;
    app.database.move_agent(agent, runtime).await;
    let document = "query($id: UUID!) { workspace(id: $id) { snapshot { latestOutcomes { id } presence { agentId } } } }";
    let variables = json!({"id": world.workspace_id.0});
    let snapshot = other.data(document, variables).await["workspace"]["snapshot"].clone();
    assert_eq!(
        snapshot,
        json!({"latestOutcomes": [], "presence": [{"agentId": agent.0}]})
    );
}

#[tokio::test]
async fn a_cursor_is_a_place_in_the_one_log_whichever_workspace_it_came_from() {
    let app = TestApp::start().await;
    let (world, elsewhere) = (World::new(&app).await, World::new(&app).await);
    let (agent, stranger) = (world.agent(1).await, elsewhere.agent(1).await);
    world.enqueue(agent, json!({})).await;
    let after = json!({"after": elsewhere.cursor().await});
    elsewhere.enqueue(stranger, json!({})).await;
    let own = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    let mut feed = world.feed(&world.host, after).await;
    assert_eq!(feed.tasks(1).await, [own]);
}
