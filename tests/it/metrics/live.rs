//! How changes come to those who watch.

use callboard::db::Pool;
use callboard::doorbell::Doorbell;
use callboard::event::Cursor;
use callboard::event::hub::Hub;
use callboard::metrics::Metrics;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::page::Page;
use super::{page, until};
use crate::harness::{PATIENCE, TestApp, World};

const CONNECTED: &str = "callboard_listener_connected";
const CONNECTS: &str = "callboard_listener_connects_total";

#[tokio::test]
async fn events_are_counted_by_their_kind_when_they_are_read_and_how_old_they_were() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.until_read(&world.host).await;
    let queued = |page: &Page| page.count("callboard_events_read_total", &[("kind", "queued")]);
    let delays = |page: &Page| page.count("callboard_event_delay_seconds_count", &[]);
    let before = page(app.address()).await;
    world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    let after = until(app.address(), |page| queued(page) > queued(&before)).await;
    assert_eq!(queued(&after), queued(&before) + 1);
    let after = until(app.address(), |page| delays(page) > delays(&before)).await;
    let seconds = after.value("callboard_event_delay_seconds_sum", &[]);
    assert!(
        (0.0..PATIENCE.as_secs_f64()).contains(&seconds),
        "{seconds}"
    );
}

#[tokio::test]
async fn whether_the_listener_listens_and_how_often_it_had_to_begin() {
    let app = TestApp::start().await;
    let listens = |page: &Page| page.count(CONNECTED, &[]) == 1;
    let first = until(app.address(), listens).await;
    assert_eq!(first.count(CONNECTS, &[]), 1);
    app.database
        .execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity
             where datname = current_database() and query ilike 'listen %'",
        )
        .await;
    until(app.address(), |page| !listens(page)).await;
    let again = until(app.address(), listens).await;
    assert_eq!(again.count(CONNECTS, &[]), 2);
}

#[tokio::test]
async fn a_subscriber_that_falls_behind_is_counted_once_for_each_time() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let (metrics, stop) = (Metrics::default(), CancellationToken::new());
    let pool = Pool::from(app.database.pool.clone());
    let hub = Hub::new(pool.clone(), TaskTracker::new(), &metrics);
    let bell = Doorbell::new(&metrics.live);
    let running = tokio::spawn(hub.clone().run(bell.clone(), stop.clone()));
    let mut late = hub.follow(None).await.unwrap();
    let mut watcher = hub.watch().await.unwrap();
    // More than is kept for anybody.
    app.database
        .execute(&format!(
            "insert into agent_task_queue (agent_id, runtime_id, issue_id, context)
             select '{agent}', '{}', gen_random_uuid(), (select jsonb_agg(0) from generate_series(1, 100000))
             from generate_series(1, 30)",
            world.runtime_id
        ))
        .await;
    bell.ring();
    let end: Cursor = world.cursor().await.parse().unwrap();
    let read = async {
        while hub.position().await.unwrap() < end {
            tokio::task::yield_now().await;
        }
    };
    let read = tokio::time::timeout(PATIENCE, read).await;
    read.expect("it is read in time");
    let lagged = || {
        let page = metrics.page(pool.count()).unwrap();
        Page::read(&page).count("callboard_subscribers_lagged_total", &[])
    };
    assert_eq!(lagged(), 0);
    late.next().await.unwrap().unwrap();
    assert_eq!(lagged(), 1);
    watcher.next().await.unwrap();
    assert_eq!(lagged(), 2);
    stop.cancel();
    running.await.unwrap();
}
