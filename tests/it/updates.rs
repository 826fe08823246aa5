//! A workspace as it is followed whole: a snapshot, then every change, and a new snapshot where sight changes.

use std::time::{Duration, Instant};

use entity::id::{AgentId, TaskId};
use entity::member::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestApp, World};

const ARCHIVE: &str = "mutation($id: UUID!) { archiveAgent(id: $id) { id } }";
const CANCEL: &str = "mutation($id: UUID!) { cancelTask(taskId: $id) { id } }";

#[tokio::test]
async fn a_snapshot_is_followed_by_every_event_and_every_change_of_presence() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    let waits = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    let mut updates = world.updates(&world.host, None).await;
    let snapshot = updates.expect("WorkspaceSnapshot").await;
    assert_eq!(
        snapshot["activeTasks"],
        json!([{"id": waits.0, "status": "QUEUED"}])
    );
    let presence = json!([{"agentId": agent.0, "workload": "QUEUED"}]);
    assert_eq!(snapshot["presence"], presence);

    let start = snapshot["cursor"].as_str().unwrap();
    let running = world.run().await;
    world.complete(running).await;
    let told = updates.until("COMPLETED").await;
    let cursors = |told: &[Value]| -> Vec<String> {
        let events = told
            .iter()
            .filter(|update| update["__typename"] == "TaskEvent");
        events
            .map(|event| event["cursor"].as_str().unwrap().to_owned())
            .collect()
    };
    let log = app.database.log(start).await;
    let expected: Vec<String> = log.into_iter().map(|event| event.cursor).collect();
    assert_eq!(cursors(&told), expected);
    // Who looked late at an earlier event has told of the end of the work already.
    let is_presence = |update: &&Value| update["__typename"] == "AgentPresence";
    let presence = match told.iter().rfind(is_presence) {
        Some(presence) if presence["workload"] == "IDLE" => presence.clone(),
        _ => updates.expect("AgentPresence").await,
    };
    assert_eq!(presence["workload"], "IDLE");
    // Those that only time brings about are among them.
    app.database
        .fall_silent(world.runtime_id, "5 min - 4 s")
        .await;
    for availability in ["UNSTABLE", "OFFLINE"] {
        let presence = updates.expect("AgentPresence").await;
        assert_eq!(presence["availability"], availability);
    }
}

#[tokio::test]
async fn what_is_committed_in_the_midst_of_its_snapshot_is_told_after_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.until_read(&world.host).await;
    let task = TaskId(Uuid::now_v7());
    // Between the look for the end of the log and everything else.
    let held = app
        .database
        .hold("lock table task_event_pruned in access exclusive mode")
        .await;
    let mut updates = world.updates(&world.host, None).await;
    app.database.until_waiting(1).await;
    held.execute(&world.insertion(agent, task)).await;
    held.commit().await;
    let snapshot = updates.expect("WorkspaceSnapshot").await;
    let queued = json!([{"id": task.0, "status": "QUEUED"}]);
    assert_eq!(snapshot["activeTasks"], queued);
    // In both, and not in neither.
    let event = updates.expect("TaskEvent").await;
    assert_eq!(event["task"]["id"], json!(task.0));
    assert!(event["cursor"].as_str() > snapshot["cursor"].as_str());
}

#[tokio::test]
async fn it_goes_on_from_a_cursor_without_a_snapshot_and_tells_everyone_s_presence() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let second = app.second_server().await;
    let agent = world.agent(1).await;
    let mut updates = world.updates(&world.host, None).await;
    let snapshot = updates.expect("WorkspaceSnapshot").await;
    let cursor = snapshot["cursor"].as_str().unwrap();
    let task = world.enqueue(agent, json!({})).await;
    updates.until("QUEUED").await;
    drop(updates);

    for address in [app.address(), second.address] {
        let client = world.host.at(address);
        world.until_read(&client).await;
        let mut updates = world.updates(&client, Some(cursor)).await;
        let presence = updates.expect("AgentPresence").await;
        assert_eq!(presence["workload"], "QUEUED");
        let event = updates.expect("TaskEvent").await;
        assert_eq!(event["task"]["id"], json!(task.0));
    }
    let mut updates = world.updates(&world.host, Some("c7fffffffffffffff")).await;
    assert_eq!(updates.error().await, "BAD_USER_INPUT");
}

#[tokio::test]
async fn a_cursor_from_before_the_log_begins_has_expired_here_too() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let cursor = world.cursor().await;
    world.enqueue(agent, json!({})).await;
    app.database
        .execute(
            "update task_event_pruned set through = (select last_value from task_event_position)",
        )
        .await;
    let mut updates = world.updates(&world.host, Some(&cursor)).await;
    assert_eq!(updates.error().await, "CURSOR_EXPIRED");
}

#[tokio::test]
async fn an_agent_that_is_opened_or_hidden_comes_and_goes_with_its_tasks() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (owner, other) = (
        world.member(Role::Member).await,
        world.member(Role::Member).await,
    );
    let private = json!({"visibility": "PRIVATE"});
    let hidden = world.agent_of(&owner, world.runtime_id, private).await;
    let secret = world.enqueue(hidden, json!({})).await;
    let mut watched = world.updates(&other, None).await;
    let mut host = world.updates(&world.host, None).await;
    let snapshot = watched.expect("WorkspaceSnapshot").await;
    assert_eq!(snapshot["activeTasks"], json!([]));
    assert_eq!(snapshot["presence"], json!([]));
    host.expect("WorkspaceSnapshot").await;

    // In its private days nothing is told of it.
    world.run().await;
    world.until_read(&world.host).await;
    set_visibility(&app, hidden, "workspace").await;
    let snapshot = watched.expect("WorkspaceSnapshot").await;
    let running = json!([{"id": secret.0, "status": "RUNNING"}]);
    assert_eq!(snapshot["activeTasks"], running);
    let presence = json!([{"agentId": hidden.0, "workload": "WORKING"}]);
    assert_eq!(snapshot["presence"], presence);
    set_visibility(&app, hidden, "private").await;
    let snapshot = watched.expect("WorkspaceSnapshot").await;
    assert_eq!(snapshot["activeTasks"], json!([]));
    assert_eq!(snapshot["presence"], json!([]));

    // Who sees everything anyway is told nothing of that.
    world.host.data(CANCEL, json!({"id": secret.0})).await;
    let told = host.until("CANCELLED").await;
    assert!(
        told.iter()
            .all(|update| update["__typename"] != "WorkspaceSnapshot"),
        "{told:?}"
    );
}

#[tokio::test]
async fn what_was_hidden_while_a_member_was_away_is_gone_when_they_come_back() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let member = world.member(Role::Member).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let cursor = world.cursor().await;
    set_visibility(&app, agent, "private").await;
    world.until_read(&member).await;
    let mut updates = world.updates(&member, Some(&cursor)).await;
    let snapshot = updates.expect("WorkspaceSnapshot").await;
    assert_eq!(snapshot["activeTasks"], json!([]));
    assert_eq!(snapshot["presence"], json!([]));
}

#[tokio::test]
async fn an_agent_that_is_archived_is_gone_by_a_new_snapshot() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, stays) = (world.agent(1).await, world.agent(1).await);
    world.enqueue(agent, json!({})).await;
    let mut updates = world.updates(&world.host, None).await;
    let cursor = updates.expect("WorkspaceSnapshot").await["cursor"].clone();
    world.host.data(ARCHIVE, json!({"id": agent.0})).await;
    updates.until("CANCELLED").await;
    let present = json!([{"agentId": stays.0, "workload": "IDLE"}]);
    let snapshot = updates.expect("WorkspaceSnapshot").await;
    assert_eq!(snapshot["presence"], present);

    // Also for those who were away meanwhile.
    world.until_read(&world.host).await;
    let mut updates = world.updates(&world.host, cursor.as_str()).await;
    updates.expect("AgentPresence").await;
    updates.until("CANCELLED").await;
    let snapshot = updates.expect("WorkspaceSnapshot").await;
    assert_eq!(snapshot["presence"], present);
    // A new one comes by itself.
    let new = world.agent(1).await;
    let presence = updates.expect("AgentPresence").await;
    assert_eq!(presence["agentId"], json!(new.0));
}

#[tokio::test]
async fn those_who_are_shown_nothing_are_told_how_far_they_have_come() {
    let app = TestApp::start().await;
    let (world, elsewhere) = (World::new(&app).await, World::new(&app).await);
    let stranger = elsewhere.agent(1).await;
    let start = world.cursor().await;
    // So many that they are told at once.
    app.database
        .put_many(stranger, elsewhere.runtime_id, 1100)
        .await;
    let come = elsewhere.cursor().await;
    let mut updates = world.updates(&world.host, Some(&start)).await;
    let mut cursor = updates.expect("Checkpoint").await["cursor"].clone();
    assert!(cursor.as_str().unwrap() > start.as_str(), "{cursor}");
    // And then, now and then, the last one too.
    while cursor.as_str().unwrap() < come.as_str() {
        cursor = updates.expect("Checkpoint").await["cursor"].clone();
    }
    assert_eq!(cursor, json!(come));

    // The log may forget what was passed by.
    app.database
        .execute(&format!(
            "update task_event_pruned set through = {}",
            come.parse::<callboard::event::Cursor>().unwrap().0
        ))
        .await;
    let mut expired = world.updates(&world.host, Some(&start)).await;
    assert_eq!(expired.error().await, "CURSOR_EXPIRED");
    let mut updates = world.updates(&world.host, cursor.as_str()).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    updates.until("QUEUED").await;
}

#[tokio::test]
async fn a_filter_moves_the_cursor_past_what_it_leaves_out() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, other) = (world.agent(1).await, world.agent(1).await);
    let start = world.cursor().await;
    app.database.put_many(other, world.runtime_id, 1100).await;
    let task = world.enqueue(agent, json!({})).await;
    let document = "subscription($id: UUID!, $filter: TaskEventFilter, $after: Cursor) {
        taskUpdates(workspaceId: $id, filter: $filter, after: $after) {
            __typename ... on TaskEvent { cursor task { id } } ... on Checkpoint { cursor } } }";
    let variables =
        json!({"id": world.workspace_id.0, "after": start, "filter": {"agentId": agent.0}});
    let mut updates = world.host.subscribe(document, variables).await;
    let checkpoint = updates.next().await["taskUpdates"].clone();
    assert_eq!(checkpoint["__typename"], "Checkpoint");
    let event = updates.next().await["taskUpdates"].clone();
    assert_eq!(event["task"]["id"], json!(task.0));
    assert!(checkpoint["cursor"].as_str() < event["cursor"].as_str());
}

#[tokio::test]
async fn who_resumes_is_told_at_once_when_they_have_caught_up_with_what_does_not_concern_them() {
    let app = TestApp::start().await;
    let (world, elsewhere) = (World::new(&app).await, World::new(&app).await);
    let (agent, stranger) = (world.agent(1).await, elsewhere.agent(1).await);
    let start = world.cursor().await;
    world.enqueue(agent, json!({})).await;
    // A few, and a page to the last: that it was the last takes one more look.
    for (more, all) in [(1, 2), (998, 1000)] {
        app.database
            .put_many(stranger, elsewhere.runtime_id, more)
            .await;
        assert_eq!(app.database.log(&start).await.len(), all);
        let come = elsewhere.cursor().await;
        let began = Instant::now();
        let mut updates = world.updates(&world.host, Some(&start)).await;
        updates.until("QUEUED").await;
        assert_eq!(updates.expect("Checkpoint").await["cursor"], json!(come));

        let document = "subscription($id: UUID!, $after: Cursor) { taskUpdates(workspaceId: $id, after: $after) {
            __typename ... on TaskEvent { cursor } ... on Checkpoint { cursor } } }";
        let variables = json!({"id": world.workspace_id.0, "after": start});
        let mut updates = world.host.subscribe(document, variables).await;
        updates.next().await;
        let checkpoint = json!({"__typename": "Checkpoint", "cursor": come});
        assert_eq!(updates.next().await["taskUpdates"], checkpoint);
        // The next of those that come now and then would be later.
        assert!(began.elapsed() < Duration::from_secs(9), "{all}");
    }
}

async fn set_visibility(app: &TestApp, agent: AgentId, visibility: &str) {
    app.database
        .execute(&format!(
            "update agent set visibility = '{visibility}' where id = '{agent}'"
        ))
        .await;
}
