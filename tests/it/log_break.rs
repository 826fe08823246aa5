//! A log that is not what it was: dropped before it was read, taken back, or with its numbers behind it.

use callboard::doorbell::Doorbell;
use callboard::event::hub::Hub;
use callboard::metrics::Metrics;
use callboard::settings::Settings;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::harness::{PATIENCE, TestApp, TestDatabase, TestServer, World};

#[tokio::test]
async fn who_is_overtaken_by_the_end_of_the_log_is_told_so_and_skips_nothing() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let cursor = world.cursor().await.parse().unwrap();
    // One that has not begun to read, as one that lies far behind.
    let mut follower = Hub::new(
        app.database.pool.clone().into(),
        TaskTracker::new(),
        &Metrics::default(),
    )
    .follow_known(cursor);
    world.enqueue(agent, json!({})).await;
    let kept = world
        .enqueue(agent, json!({"issueId": uuid::Uuid::new_v4()}))
        .await;
    app.database
        .execute(&format!(
            "update task_event set at = at - interval '20 days' where task_id <> '{kept}' or task_id is null"
        ))
        .await;
    app.database
        .execute("select task_event_maintain(interval '7 days')")
        .await;
    let next = tokio::time::timeout(PATIENCE, follower.next())
        .await
        .unwrap();
    let error = next
        .expect("the server goes on")
        .expect_err("something is missing");
    assert_eq!(error.code(), "CURSOR_EXPIRED");
    app.database
        .execute("update task_event set at = now() where at < now() - interval '7 days'")
        .await;
    app.database
        .execute("delete from agent_task_queue where not exists (select from task_event where task_id = agent_task_queue.id)")
        .await;
}

#[tokio::test]
async fn who_has_caught_up_before_the_hub_begins_lacks_nothing_of_what_happened_in_between() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    let cursor = world.cursor().await.parse().unwrap();
    // A server that has just been started: its hub has not read yet.
    let hub = Hub::new(
        app.database.pool.clone().into(),
        TaskTracker::new(),
        &Metrics::default(),
    );
    let mut follower = hub.follow_known(cursor);
    let mut next = async || {
        let next = tokio::time::timeout(PATIENCE, follower.next()).await;
        let batch = next.expect("a batch in time").unwrap().unwrap();
        batch.events[0].row.task_id
    };
    let first = world.enqueue(agent, json!({})).await;
    assert_eq!(next().await, Some(first));
    let second = world
        .enqueue(agent, json!({"issueId": uuid::Uuid::new_v4()}))
        .await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(hub.run(Doorbell::default(), stop.clone()));
    assert_eq!(next().await, Some(second));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_log_that_is_taken_back_ends_those_who_were_further() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let start = world.cursor().await;
    let mut feed = world.follow(&start).await;
    let mut banner = world
        .host
        .subscribe(
            "subscription($id: UUID!) { agentPresence(workspaceId: $id) { workload } }",
            json!({"id": world.workspace_id.0}),
        )
        .await;
    assert_eq!(banner.next().await["agentPresence"]["workload"], "IDLE");
    for _ in 0..3 {
        world
            .enqueue(agent, json!({"issueId": uuid::Uuid::new_v4()}))
            .await;
    }
    feed.take(3).await;
    let position = start.parse::<callboard::event::Cursor>().unwrap().0;
    app.database
        .execute(&format!(
            "begin; delete from agent_task_queue; delete from task_event where position > {position};
             select setval('task_event_position', {position}); commit"
        ))
        .await;
    assert_eq!(feed.error().await.code, "CURSOR_EXPIRED");
    // Who shows how things are looks again, and goes on.
    while banner.next().await["agentPresence"]["workload"] != "IDLE" {}
    let mut feed = world.follow(&start).await;
    let task = world.enqueue(agent, json!({})).await;
    assert_eq!(feed.tasks(1).await, [task]);
}

#[tokio::test]
async fn numbers_that_lie_behind_the_log_are_moved_past_it_when_a_server_starts() {
    let database = TestDatabase::create().await;
    database
        .execute(
            "insert into task_event (position, workspace_id, kind)
             values (1000, gen_random_uuid(), 'runtime_changed')",
        )
        .await;
    let _server = TestServer::start(&database, Settings::default()).await;
    database
        .until("(select last_value = 1000 from task_event_position)")
        .await;
}
