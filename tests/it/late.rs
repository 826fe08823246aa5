//! Those who are late: what the server keeps for them is bounded, and they lack nothing all the same.

use std::time::Duration;

use callboard::doorbell::Doorbell;
use callboard::event::Change;
use callboard::event::hub::{BUFFERED_BYTES, Hub};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    let hub = Hub::new(app.database.pool.clone(), TaskTracker::new());
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
