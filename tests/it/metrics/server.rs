//! What a server is made of: its own counts, its connections, its sweeps.

use std::time::Duration;

use callboard::auth::Identity;
use callboard::db::{self, ConnectOptions, Pool};
use callboard::settings::Settings;
use futures::FutureExt;
use sea_orm::ConnectionTrait;
use serde_json::json;

use super::page::Page;
use super::{QUERY, page, until};
use crate::harness::{TestApp, TestDatabase, World};

#[tokio::test]
async fn several_servers_in_a_process_count_apart() {
    let app = TestApp::start().await;
    let second = app.second_server().await;
    let client = app.client(Identity::Admin).await;
    client.data(QUERY, json!({})).await;
    let asked = |page: &Page| {
        let labels = [("kind", "query"), ("field", "viewer"), ("code", "OK")];
        page.count("callboard_operations_total", &labels)
    };
    assert_eq!(asked(&page(app.address()).await), 1);
    assert_eq!(asked(&page(second.address).await), 0);
    client.at(second.address).data(QUERY, json!({})).await;
    assert_eq!(asked(&page(app.address()).await), 1);
    assert_eq!(asked(&page(second.address).await), 1);
}

#[tokio::test]
async fn its_connections_are_idle_or_busy_and_no_more_than_there_may_be() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    world.host.data(QUERY, json!({})).await;
    let page = page(app.address()).await;
    let of = |state| page.count("callboard_database_connections", &[("state", state)]);
    let most = page.count("callboard_database_connections_max", &[]);
    assert_eq!(most, 10);
    assert!((1..=most).contains(&(of("idle") + of("busy"))));
}

#[tokio::test]
async fn who_waits_for_a_connection_is_counted_until_it_is_there_or_not_wanted() {
    let database = TestDatabase::create().await;
    let options = ConnectOptions {
        max_connections: 1,
        statement_timeout: Duration::from_secs(15),
    };
    let pool = Pool::from(db::connect(&database.options, &options));
    let held = pool.begin().await.unwrap();
    let count = pool.count();
    assert_eq!((count.most, count.open), (1, 1));
    assert_eq!((count.idle, count.waiting), (0, 0));
    let mut statement = Box::pin(pool.execute_unprepared("select 1"));
    let mut transaction = Box::pin(pool.begin());
    assert!((&mut statement).now_or_never().is_none());
    assert!((&mut transaction).now_or_never().is_none());
    assert_eq!(pool.count().waiting, 2);
    drop(transaction);
    assert_eq!(pool.count().waiting, 1);
    held.rollback().await.unwrap();
    statement.await.unwrap();
    assert_eq!(pool.count().waiting, 0);
    pool.close().await;
}

#[tokio::test]
async fn what_its_sweeps_did_is_counted() {
    let settings = Settings {
        sweep_interval: Duration::from_millis(10),
        // For so long it listens first.
        runtime_silent_after: Duration::from_secs(1),
        ..Settings::default()
    };
    let app = TestApp::with(settings).await;
    let swept = |page: &Page, what| page.count("callboard_swept_total", &[("what", what)]);
    assert_eq!(swept(&page(app.address()).await, "runtime_silenced"), 0);
    let world = World::new(&app).await;
    let id = world.runtime_id;
    let silence = format!(
        "update agent_runtime set last_seen_at = now() - interval '1 hour' where id = '{id}'"
    );
    app.database.execute(&silence).await;
    let is_counted = |page: &Page| swept(page, "runtime_silenced") == 1;
    let page = until(app.address(), is_counted).await;
    assert_eq!(swept(&page, "task_expired"), 0);
}
