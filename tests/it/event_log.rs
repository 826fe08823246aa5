//! The one order of the event log: nothing is missed and nothing overtaken, whoever writes and however they end.

use std::cell::Cell;

use callboard::event;
use entity::id::TaskId;
use futures::future::join_all;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::harness::{TestApp, TestDatabase, World};

/// The locks of writers in this database.
const WRITERS: &str = "(select count(*) from pg_locks where locktype = 'advisory' and objsubid = 1
    and database = (select oid from pg_database where datname = current_database()))";

#[tokio::test]
async fn a_lower_number_that_commits_later_is_waited_for() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, cursor) = (world.agent(1).await, world.cursor().await);
    let [low, high] = tasks();
    let mut feed = world.follow(&cursor).await;

    let slow = app.database.hold(&world.insertion(agent, low)).await;
    app.database.execute(&world.insertion(agent, high)).await;
    assert_eq!(app.database.readable(&cursor).await, []);
    slow.commit().await;

    assert_eq!(feed.tasks(2).await, [low, high]);
    assert_eq!(app.database.readable(&cursor).await, [low, high]);
}

#[tokio::test]
async fn a_lower_number_that_is_rolled_back_is_not_waited_for_any_longer() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, cursor) = (world.agent(1).await, world.cursor().await);
    let [low, high] = tasks();
    let mut feed = world.follow(&cursor).await;

    let slow = app.database.hold(&world.insertion(agent, low)).await;
    app.database.execute(&world.insertion(agent, high)).await;
    assert_eq!(app.database.readable(&cursor).await, []);
    slow.roll_back().await;

    // No bell is rung for a roll-back.
    assert_eq!(feed.tasks(1).await, [high]);
}

#[tokio::test]
async fn a_writer_that_has_looked_but_not_locked_is_neither_missed_nor_waited_for() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, cursor) = (world.agent(1).await, world.cursor().await);
    let [first, late, other] = tasks();
    let mut feed = world.follow(&cursor).await;

    // What task_event_open does, with another writer in the midst of it.
    let looked = app
        .database
        .count("select last_value from task_event_position")
        .await;
    app.database.execute(&world.insertion(agent, first)).await;
    assert_eq!(app.database.readable(&cursor).await, [first]);
    let seen = feed.next().await;
    let writer = app
        .database
        .hold(&format!(
            "select pg_advisory_xact_lock_shared({looked}), set_config('callboard.event_log_open', 'yes', true)"
        ))
        .await;
    assert_eq!(app.database.readable(&seen.cursor).await, []);
    writer.execute(&world.insertion(agent, late)).await;
    app.database.execute(&world.insertion(agent, other)).await;
    assert_eq!(app.database.readable(&seen.cursor).await, []);
    writer.commit().await;

    assert_eq!(seen.task_id, first);
    assert_eq!(feed.tasks(2).await, [late, other]);
}

#[tokio::test]
async fn no_number_is_drawn_before_the_lock_is_held() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let [task] = tasks();
    let drawn = "select last_value from task_event_position";
    let before = app.database.count(drawn).await;

    let gate = app
        .database
        .hold(&format!("select pg_advisory_xact_lock({before})"))
        .await;
    let insertion = world.insertion(agent, task);
    let writing = vec![app.database.execute(&insertion)];
    let opened = async {
        assert_eq!(app.database.count(drawn).await, before);
        gate.roll_back().await;
    };
    app.database.collide(opened, writing).await;
    assert_eq!(app.database.count(drawn).await, before + 1);
}

#[tokio::test]
async fn a_reader_looks_for_locks_only_after_it_has_looked_for_the_last_number() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let [low, high] = tasks();
    let drawn = "select last_value from task_event_position";
    let before = app.database.count(drawn).await;
    // For whoever looks there first, a view of the locks at whose end one waits.
    app.database
        .execute(
            "create schema pausing;
             create function pausing.wait() returns setof pg_catalog.pg_locks language plpgsql
             as 'begin perform pg_advisory_xact_lock_shared(1, 1); end';
             create view pausing.pg_locks as
             select * from pg_catalog.pg_locks union all select * from pausing.wait();
             create table told (horizon bigint)",
        )
        .await;
    let gate = app
        .database
        .hold("select pg_advisory_xact_lock(1, 1)")
        .await;
    let reader = app
        .database
        .hold("set local search_path = pausing, pg_catalog, public")
        .await;
    let reading = reader.execute("insert into told select task_event_horizon()");
    let (writer, ()) = tokio::join!(
        async {
            app.database.until_waiting(1).await;
            let writer = app.database.hold(&world.insertion(agent, low)).await;
            app.database.execute(&world.insertion(agent, high)).await;
            gate.roll_back().await;
            writer
        },
        reading
    );
    reader.commit().await;
    assert_eq!(app.database.count("select horizon from told").await, before);
    writer.commit().await;
}

#[tokio::test]
async fn a_savepoint_takes_back_what_it_opened() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, cursor) = (world.agent(1).await, world.cursor().await);
    let [undone, other, kept, last] = tasks();
    let mut feed = world.follow(&cursor).await;

    let writer = app.database.hold("savepoint before").await;
    writer.execute(&world.insertion(agent, undone)).await;
    app.database.until(&format!("{WRITERS} = 1")).await;
    writer.execute("rollback to savepoint before").await;
    app.database.until(&format!("{WRITERS} = 0")).await;
    app.database.execute(&world.insertion(agent, other)).await;
    assert_eq!(app.database.readable(&cursor).await, [other]);

    // With the mark gone as well as the lock, the next event opens the log anew.
    writer.execute(&world.insertion(agent, kept)).await;
    app.database.until(&format!("{WRITERS} = 1")).await;
    app.database.execute(&world.insertion(agent, last)).await;
    assert_eq!(app.database.readable(&cursor).await, [other]);
    writer.commit().await;
    assert_eq!(feed.tasks(3).await, [other, kept, last]);
}

#[tokio::test]
async fn the_feed_waits_only_for_those_that_write_events_here() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let mut feed = world.follow(&world.cursor().await).await;

    // Writes, holds a snapshot, and locks in the key space of two integers.
    let unrelated = app
        .database
        .hold(
            "set transaction isolation level repeatable read;
             create table unrelated (); select pg_advisory_xact_lock(0, 0)",
        )
        .await;
    // Writes events, with low numbers, in another database of the cluster.
    let elsewhere = TestDatabase::create().await;
    let writer = elsewhere
        .hold("select task_event_open(); select pg_advisory_xact_lock_shared(0)")
        .await;

    let task = world.enqueue(agent, json!({})).await;
    assert_eq!(feed.tasks(1).await, [task]);
    unrelated.roll_back().await;
    writer.roll_back().await;
}

#[tokio::test]
async fn a_bulk_change_by_plain_sql_is_one_event_for_each_task_in_the_order_of_their_ids() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, cursor) = (world.agent(1).await, world.cursor().await);
    let mut feed = world.follow(&cursor).await;
    // Ten times what a reader takes at once.
    app.database.put_many(agent, world.runtime_id, 10_000).await;
    app.database
        .execute(
            "update agent_task_queue set status = 'cancelled', completed_at = now()
             where status in ('queued', 'dispatched', 'running') returning *",
        )
        .await;

    let seen = feed.take(20_000).await;
    assert_eq!(seen, app.database.log(&cursor).await);
    let (queued, cancelled) = seen.split_at(10_000);
    assert!(queued.iter().all(|event| event.kind == "QUEUED"));
    assert!(cancelled.iter().all(|event| event.kind == "CANCELLED"));
    for events in [queued, cancelled] {
        assert!(events.is_sorted_by_key(|event| event.task_id));
    }
}

#[tokio::test]
async fn writers_that_commit_out_of_order_and_roll_back_are_all_followed() {
    const WRITING: usize = 16;
    const ROUNDS: usize = 20;
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, cursor) = (world.agent(1).await, world.cursor().await);
    let mut feed = world.follow(&cursor).await;

    let writers = (0..WRITING).map(|writer| {
        let (app, world) = (&app, &world);
        async move {
            let mut connection = PgConnection::connect_with(&app.database.options)
                .await
                .unwrap();
            for round in 0..ROUNDS {
                let [first, second] = tasks();
                let end = if (writer + round) % 4 == 0 {
                    "rollback"
                } else {
                    "commit"
                };
                let statements = ["begin".to_owned(), world.insertion(agent, first)]
                    .into_iter()
                    // Some stay open for longer than others.
                    .chain((0..writer % 4).map(|_| "select".to_owned()))
                    .chain([world.insertion(agent, second), end.to_owned()]);
                for statement in statements {
                    sqlx::raw_sql(AssertSqlSafe(statement))
                        .execute(&mut connection)
                        .await
                        .unwrap();
                }
            }
            connection.close().await.unwrap();
        }
    });
    let written = Cell::new(false);
    let writing = async {
        join_all(writers).await;
        written.set(true);
    };
    // A reader that never rests, beside the server's.
    let reading = async {
        let mut position = cursor.parse().unwrap();
        let mut read = Vec::new();
        loop {
            let is_last = written.get();
            let batch = event::read(&app.database.pool, position).await.unwrap();
            position = batch.through;
            read.extend(batch.events.iter().filter_map(|event| event.row.task_id));
            if is_last && batch.events.is_empty() {
                return read;
            }
        }
    };
    let ((), read) = tokio::join!(writing, reading);

    let log = app.database.log(&cursor).await;
    let written: Vec<TaskId> = log.iter().map(|event| event.task_id).collect();
    assert_eq!(written.len(), WRITING * ROUNDS * 2 * 3 / 4);
    assert_eq!(read, written);
    assert_eq!(feed.take(log.len()).await, log);
}

/// Names for tasks that plain SQL makes.
fn tasks<const N: usize>() -> [TaskId; N] {
    std::array::from_fn(|_| TaskId(Uuid::now_v7()))
}
