//! Those who are late: what the server keeps for them is bounded, and they lack nothing all the same.

use std::time::Duration;

use callboard::doorbell::Doorbell;
use callboard::event::hub::{BUFFERED_BYTES, Hub};
use callboard::event::{self, Change, Cursor, Follower};
use callboard::metrics::Metrics;
use entity::id::TaskId;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::harness::{PATIENCE, TestApp, World};

/// How many tasks are cancelled at a blow.
const TASKS: usize = 10_000;

#[tokio::test]
async fn what_is_kept_for_those_who_are_late_is_bounded_and_they_lack_nothing() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    // With so much to say that it is more than what is kept for anybody.
    app.database
        .execute(&format!(
            "insert into agent_task_queue (agent_id, runtime_id, issue_id, context)
             select '{agent}', '{}', gen_random_uuid(), jsonb_build_object('text', repeat('x', 2000))
             from generate_series(1, {TASKS})",
            world.runtime_id
        ))
        .await;
    let hub = Hub::new(
        app.database.pool.clone().into(),
        TaskTracker::new(),
        &Metrics::default(),
    );
    let stop = CancellationToken::new();
    let running = tokio::spawn(hub.clone().run(Doorbell::default(), stop.clone()));
    let start = world.cursor().await;
    until_read(&hub, &start).await;
    let mut late = hub.follow(None).await.unwrap();
    let mut watcher = hub.watch().await.unwrap();
    assert_eq!(late.position(), start.parse().unwrap());

    app.database
        .execute("update agent_task_queue set status = 'cancelled', completed_at = now()")
        .await;
    until_read(&hub, &world.cursor().await).await;
    let kept = hub.buffered_bytes();
    assert!(
        kept > BUFFERED_BYTES / 2 && kept <= BUFFERED_BYTES,
        "{kept}"
    );

    let expected = app.database.log(&start).await;
    assert_eq!(expected.len(), TASKS);
    let mut seen = Vec::new();
    while seen.len() < TASKS {
        let batch = tokio::time::timeout(PATIENCE, late.next()).await;
        let batch = batch.expect("a batch in time").unwrap().unwrap();
        seen.extend(batch.events.iter().map(|event| event.cursor().to_string()));
    }
    let expected: Vec<String> = expected.into_iter().map(|seen| seen.cursor).collect();
    assert_eq!(seen, expected);
    // Who shows how things are is told to look, and comes by nothing of before.
    let change = watcher.next().await.expect("the hub goes on");
    assert!(matches!(change, Change::Anything(_)), "{change:?}");
    assert_eq!(change.through(), late.position());
    // They are in step again, and nothing is kept for those who are gone.
    let task = world.enqueue(agent, json!({})).await;
    let batch = late.next().await.unwrap().unwrap();
    assert_eq!(batch.events[0].row.task_id, Some(task));
    assert_eq!(watcher.next().await.unwrap().through(), batch.through);
    drop((late, watcher));
    assert_eq!(hub.buffered_bytes(), 0);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_page_of_large_tasks_takes_no_more_than_there_is_room_for_and_nothing_is_left_out() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let start = world.cursor().await;
    // Short where it is stored, for it is compressed, longer as text, and by far the longest in memory; and as much again of
    // what is too small to be compressed.
    for (tasks, element, elements) in [(50, "0", 100_000), (1500, "''::text", 400)] {
        app.database
            .execute(&format!(
                "insert into agent_task_queue (agent_id, runtime_id, issue_id, context)
                 select '{agent}', '{}', gen_random_uuid(), (select jsonb_agg({element}) from generate_series(1, {elements}))
                 from generate_series(1, {tasks})",
                world.runtime_id
            ))
            .await;
    }
    let (mut after, mut seen): (Cursor, Vec<String>) = (start.parse().unwrap(), Vec::new());
    loop {
        let batch = event::read(&app.database.pool, after).await.unwrap();
        assert!(batch.bytes() < 17 * 1024 * 1024, "{}", batch.bytes());
        seen.extend(batch.events.iter().map(|event| event.cursor().to_string()));
        after = batch.through;
        if !batch.more {
            break;
        }
    }
    let expected = app.database.log(&start).await;
    let expected: Vec<String> = expected.into_iter().map(|seen| seen.cursor).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn who_comes_later_to_the_same_place_is_not_given_less_than_there_is_by_then() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    let start = world.cursor().await;
    let hub = Hub::new(
        app.database.pool.clone().into(),
        TaskTracker::new(),
        &Metrics::default(),
    );
    let (bell, stop) = (Doorbell::default(), CancellationToken::new());
    let running = tokio::spawn(hub.clone().run(bell.clone(), stop.clone()));
    until_read(&hub, &start).await;
    let first = world.enqueue(agent, json!({})).await;
    bell.ring();
    until_read(&hub, &world.cursor().await).await;
    let after = Some(start.parse().unwrap());
    let mut early = hub.follow(after).await.unwrap();
    assert_eq!(tasks(&mut early, 1).await, [first]);
    // The page that was just read is at hand, and lacks what the hub has read by now and tells nobody again.
    let second = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    bell.ring();
    until_read(&hub, &world.cursor().await).await;
    let mut late = hub.follow(after).await.unwrap();
    assert_eq!(tasks(&mut late, 2).await, [first, second]);
    assert_eq!(tasks(&mut early, 1).await, [second]);
    stop.cancel();
    running.await.unwrap();
}

/// The tasks of so many events.
async fn tasks(follower: &mut Follower, count: usize) -> Vec<TaskId> {
    let mut tasks = Vec::new();
    while tasks.len() < count {
        let batch = tokio::time::timeout(PATIENCE, follower.next()).await;
        let batch = batch.expect("a batch in time").unwrap().unwrap();
        tasks.extend(batch.events.iter().filter_map(|event| event.row.task_id));
    }
    tasks
}

async fn until_read(hub: &Hub, cursor: &str) {
    let cursor = cursor.parse().unwrap();
    let reading = async {
        let mut looks = hub.looks();
        while hub.read_through() < Some(cursor) {
            looks.changed().await.unwrap();
        }
    };
    let read = tokio::time::timeout(PATIENCE + Duration::from_secs(10), reading).await;
    read.expect("the hub reads");
}
