//! Presence as it is watched: who is in, what they have to do, and what time alone changes.

use entity::id::AgentId;
use entity::member::Role;
use serde_json::{Value, json};

use crate::harness::{Client, Subscription, TestApp, World};

const FIELDS: &str = "agentId availability workload runningCount queuedCount capacity";

#[tokio::test]
async fn workload_follows_the_tasks_and_only_changes_are_told() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(3).await;
    let mut presence = watch(&world, &world.host, None).await;
    expect(&mut presence, agent, "ONLINE", "IDLE", (0, 0, 3)).await;

    world.enqueue(agent, json!({"issueId": id()})).await;
    expect(&mut presence, agent, "ONLINE", "QUEUED", (0, 1, 3)).await;
    world.enqueue(agent, json!({"issueId": id()})).await;
    expect(&mut presence, agent, "ONLINE", "QUEUED", (0, 2, 3)).await;
    // A dispatched task still waits to be worked on: nothing to tell.
    let claim = world.claim().await.expect("a task");
    world.start(claim).await;
    expect(&mut presence, agent, "ONLINE", "WORKING", (1, 1, 3)).await;
    world.complete(claim).await;
    expect(&mut presence, agent, "ONLINE", "QUEUED", (0, 1, 3)).await;
    app.database
        .execute("update agent_task_queue set status = 'cancelled', completed_at = now() where status = 'queued'")
        .await;
    expect(&mut presence, agent, "ONLINE", "IDLE", (0, 0, 3)).await;
    app.database
        .execute("update agent set max_concurrent_tasks = 5")
        .await;
    expect(&mut presence, agent, "ONLINE", "IDLE", (0, 0, 5)).await;
}

#[tokio::test]
async fn a_runtime_that_signs_off_is_unstable_and_its_heartbeat_brings_it_back() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let mut presence = watch(&world, &world.host, None).await;
    expect(&mut presence, agent, "ONLINE", "IDLE", (0, 0, 1)).await;

    let deregister = "mutation($id: UUID!) { deregisterRuntime(id: $id) { status } }";
    let runtime = json!({"id": world.runtime_id.0});
    world.daemon.data(deregister, runtime.clone()).await;
    expect(&mut presence, agent, "UNSTABLE", "IDLE", (0, 0, 1)).await;
    let heartbeat =
        "mutation($id: UUID!) { heartbeat(input: {runtimeIds: [$id]}) { runtimes { status } } }";
    world.daemon.data(heartbeat, runtime.clone()).await;
    expect(&mut presence, agent, "ONLINE", "IDLE", (0, 0, 1)).await;
    // A heartbeat of one that is on line changes nothing, and nothing is told.
    world.daemon.data(heartbeat, runtime).await;
    world.enqueue(agent, json!({})).await;
    expect(&mut presence, agent, "ONLINE", "QUEUED", (0, 1, 1)).await;
}

#[tokio::test]
async fn an_unstable_runtime_goes_off_line_by_time_alone() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let mut presence = watch(&world, &world.host, None).await;
    expect(&mut presence, agent, "ONLINE", "IDLE", (0, 0, 1)).await;

    app.database
        .fall_silent(world.runtime_id, "5 min - 1500 ms")
        .await;
    expect(&mut presence, agent, "UNSTABLE", "IDLE", (0, 0, 1)).await;
    let before = world.cursor().await;
    expect(&mut presence, agent, "OFFLINE", "IDLE", (0, 0, 1)).await;
    // Not a moment too early, and no event brought it about.
    let left = "select count(*) from agent_runtime where last_seen_at > now() - interval '5 min'";
    assert_eq!(app.database.count(left).await, 0);
    assert_eq!(world.cursor().await, before);
}

#[tokio::test]
async fn a_heartbeat_keeps_an_unstable_runtime_from_going_off_line() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (other, other_runtime) = world.second_daemon("desktop").await;
    let agent = world.agent(1).await;
    let public = json!({"visibility": "WORKSPACE", "maxConcurrentTasks": 1});
    let bystander = world.agent_of(&world.host, other_runtime, public).await;
    let mut presence = watch(&world, &world.host, Some(vec![agent, bystander])).await;
    presence.next().await;
    presence.next().await;

    app.database
        .fall_silent(world.runtime_id, "5 min - 1000 ms")
        .await;
    expect(&mut presence, agent, "UNSTABLE", "IDLE", (0, 0, 1)).await;
    app.database
        .fall_silent(other_runtime, "5 min - 2000 ms")
        .await;
    expect(&mut presence, bystander, "UNSTABLE", "IDLE", (0, 0, 1)).await;
    let heartbeat =
        "mutation($id: UUID!) { heartbeat(input: {runtimeIds: [$id]}) { runtimes { status } } }";
    world
        .daemon
        .data(heartbeat, json!({"id": world.runtime_id.0}))
        .await;
    expect(&mut presence, agent, "ONLINE", "IDLE", (0, 0, 1)).await;
    // The other's time comes; this one's, which would have come before, does not.
    expect(&mut presence, bystander, "OFFLINE", "IDLE", (0, 0, 1)).await;
    drop(other);
}

#[tokio::test]
async fn a_private_agent_is_watched_by_those_who_may_see_it_also_when_time_changes_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let member = world.member(Role::Member).await;
    let own = json!({"visibility": "PRIVATE"});
    let hidden = world.agent_of(&world.host, world.runtime_id, own).await;
    let second = world.second_runtime("codex").await;
    let public = json!({"visibility": "WORKSPACE", "maxConcurrentTasks": 1});
    let closed = world.agent_of(&world.host, second, public).await;
    let mut presence = watch(&world, &member, None).await;
    let mut shown = [presence.next().await, presence.next().await]
        .map(|data| data["agentPresence"]["agentId"].clone());
    shown.sort_by_key(Value::to_string);
    let mut expected = [json!(agent.0), json!(closed.0)];
    expected.sort_by_key(Value::to_string);
    assert_eq!(shown, expected);

    // Closed to others while its time runs: they are not told when it is over.
    app.database.fall_silent(second, "5 min - 1000 ms").await;
    expect(&mut presence, closed, "UNSTABLE", "IDLE", (0, 0, 1)).await;
    app.database
        .execute(&format!(
            "update agent set visibility = 'private' where id = '{closed}'"
        ))
        .await;
    world.enqueue(hidden, json!({})).await;
    app.database
        .fall_silent(world.runtime_id, "5 min - 2000 ms")
        .await;
    expect(&mut presence, agent, "UNSTABLE", "IDLE", (0, 0, 1)).await;
    expect(&mut presence, agent, "OFFLINE", "IDLE", (0, 0, 1)).await;
}

#[tokio::test]
async fn the_snapshot_and_the_agent_say_the_same_as_the_subscription() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, busy) = (world.agent(1).await, world.agent(2).await);
    world.enqueue(busy, json!({"issueId": id()})).await;
    world.run().await;
    world.enqueue(busy, json!({"issueId": id()})).await;
    app.database.fall_silent(world.runtime_id, "1 min").await;
    let mut presence = watch(&world, &world.host, Some(vec![busy])).await;
    let watched = presence.next().await["agentPresence"].clone();
    assert_eq!(watched, shown(busy, "UNSTABLE", "WORKING", (1, 1, 2)));

    let document = format!(
        "query($workspace: UUID!, $agent: UUID!) {{ agent(id: $agent) {{ presence {{ {FIELDS} }} }}
         workspace(id: $workspace) {{ snapshot {{ presence {{ {FIELDS} }} }} }} }}"
    );
    let variables = json!({"workspace": world.workspace_id.0, "agent": busy.0});
    let data = world.host.data(&document, variables).await;
    assert_eq!(data["agent"]["presence"], watched);
    let all = data["workspace"]["snapshot"]["presence"]
        .as_array()
        .unwrap();
    assert_eq!(all.len(), 2);
    assert!(all.contains(&watched));
    assert!(all.contains(&shown(agent, "UNSTABLE", "IDLE", (0, 0, 1))));
}

async fn watch(world: &World<'_>, client: &Client, only: Option<Vec<AgentId>>) -> Subscription {
    let document = format!(
        "subscription($id: UUID!, $only: [UUID!]) {{ agentPresence(workspaceId: $id, agentIds: $only) {{ {FIELDS} }} }}"
    );
    let only = only.map(|agents| agents.into_iter().map(|agent| agent.0).collect::<Vec<_>>());
    client
        .subscribe(&document, json!({"id": world.workspace_id.0, "only": only}))
        .await
}

/// A presence; `counts` are what runs, what waits, and the capacity.
fn shown(agent: AgentId, availability: &str, workload: &str, counts: (i32, i32, i32)) -> Value {
    let (running, queued, capacity) = counts;
    json!({"agentId": agent.0, "availability": availability, "workload": workload,
        "runningCount": running, "queuedCount": queued, "capacity": capacity})
}

async fn expect(
    presence: &mut Subscription,
    agent: AgentId,
    availability: &str,
    workload: &str,
    counts: (i32, i32, i32),
) {
    let data = presence.next().await;
    assert_eq!(
        data["agentPresence"],
        shown(agent, availability, workload, counts)
    );
}

fn id() -> uuid::Uuid {
    uuid::Uuid::new_v4()
}
