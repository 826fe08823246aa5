//! The bell: rung by the triggers for plain SQL, by the server, after the commit, for its own changes.

use std::time::Duration;

use entity::id::TaskId;
use serde_json::json;
use sqlx::postgres::PgListener;
use tokio::time::Instant;
use uuid::Uuid;

use crate::harness::{PATIENCE, TestApp, World};

#[tokio::test]
async fn plain_sql_rings_in_its_transaction_and_the_server_after_its_own() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.until_read(&world.host).await;
    let pool = app.database.pool.get_postgres_connection_pool();
    let mut listener = PgListener::connect_with(pool).await.unwrap();
    listener.listen("callboard").await.unwrap();

    // The server says who it is, so that it does not hear itself; the triggers say nothing.
    world.enqueue(agent, json!({})).await;
    assert_ne!(heard(&mut listener).await, "");
    let task = TaskId(Uuid::now_v7());
    app.database.execute(&world.insertion(agent, task)).await;
    app.database.execute("notify callboard, 'end'").await;
    let mut rings = 0;
    loop {
        match heard(&mut listener).await.as_str() {
            "" => rings += 1,
            "end" => break,
            _server => {}
        }
    }
    assert_eq!(rings, 1);
}

#[tokio::test]
async fn changes_made_elsewhere_are_heard_of_and_not_found_by_looking_now_and_then() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let second = app.second_server().await;
    let (agent, after) = (world.agent(1).await, json!({"after": world.cursor().await}));
    let mut feed = world.feed(&world.host.at(second.address), after).await;
    let listening = "select count(*) from pg_stat_activity
        where datname = current_database() and query ilike 'listen %'";
    app.database.until(&format!("({listening}) = 2")).await;

    // Each change waits for the one before to be told, which by looking takes about a second.
    let began = Instant::now();
    for _ in 0..10 {
        world
            .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
            .await;
        feed.next().await;
        app.database.put_many(agent, world.runtime_id, 1).await;
        feed.next().await;
    }
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?} for what is told at once",
        began.elapsed()
    );
}

#[tokio::test]
async fn plain_sql_that_changes_nothing_worth_telling_does_not_ring() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    world.until_read(&world.host).await;
    let pool = app.database.pool.get_postgres_connection_pool();
    let mut listener = PgListener::connect_with(pool).await.unwrap();
    listener.listen("callboard").await.unwrap();

    for sql in [
        // A heartbeat, a note on a task, a change of no row, a change to the same.
        "update agent_runtime set last_seen_at = now(), status = 'online'",
        &format!("update agent_task_queue set trigger_summary = 'x' where id = '{task}'"),
        "update agent_task_queue set status = 'cancelled', completed_at = now() where false",
        &format!("update agent_task_queue set status = 'queued' where id = '{task}'"),
        "update agent set instructions = 'other', updated_at = now()",
    ] {
        app.database.execute(sql).await;
    }
    app.database.execute("notify callboard, 'end'").await;
    loop {
        match heard(&mut listener).await.as_str() {
            "" => panic!("a bell was rung for nothing"),
            "end" => break,
            _server => {}
        }
    }
}

async fn heard(listener: &mut PgListener) -> String {
    let notification = tokio::time::timeout(PATIENCE, listener.recv())
        .await
        .expect("a notification in time");
    notification.unwrap().payload().to_owned()
}
