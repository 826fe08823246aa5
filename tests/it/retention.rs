//! How far back the event log reaches: its partitions, and cursors that it no longer knows, or never did.

use serde_json::json;

use crate::harness::{TestApp, TestDatabase, World};

/// What servers do now and then.
const MAINTAIN: &str = "select task_event_maintain(interval '7 days')";

#[tokio::test]
async fn the_days_to_come_have_partitions_and_get_what_went_to_the_default() {
    let database = TestDatabase::create().await;
    database.until(&format!("{} = 8", partitions())).await;
    let third = partition(&database, 3).await;
    database.execute(&format!("drop table {third}")).await;
    let written = format!(
        "insert into task_event (at, workspace_id, kind) values ({}, gen_random_uuid(), 'agent_changed')",
        day(3)
    );
    database.execute(&written).await;
    database
        .until("(select count(*) = 1 from task_event_default)")
        .await;

    // Two servers may do it at once.
    tokio::join!(database.execute(MAINTAIN), database.execute(MAINTAIN));
    database
        .until("(select count(*) = 0 from task_event_default)")
        .await;
    database
        .until(&format!(
            "(select count(*) = 1 from {third} where position = (select last_value from task_event_position))"
        ))
        .await;
    database.until(&format!("{} = 8", partitions())).await;
}

#[tokio::test]
async fn a_partition_is_made_for_a_day_of_which_somebody_is_writing_events() {
    let database = TestDatabase::create().await;
    let third = partition(&database, 3).await;
    database.execute(&format!("drop table {third}")).await;
    let written = format!(
        "insert into task_event (at, workspace_id, kind) values ({}, gen_random_uuid(), 'agent_changed')",
        day(3)
    );
    let writing = database.hold(&written).await;
    let writes = async {
        database.until_waiting(1).await;
        writing.commit().await;
    };
    tokio::join!(database.execute(MAINTAIN), writes);
    database
        .until(&format!("(select count(*) = 1 from {third})"))
        .await;
}

#[tokio::test]
async fn a_server_makes_the_partitions_that_are_missing_when_it_starts() {
    let app = TestApp::start().await;
    let _world = World::new(&app).await;
    let last = partition(&app.database, 7).await;
    app.database.execute(&format!("drop table {last}")).await;
    let _second = app.second_server().await;
    app.database.until(&format!("{} = 8", partitions())).await;
}

#[tokio::test]
async fn what_is_older_than_the_log_reaches_back_is_dropped_and_its_end_remembered() {
    let database = TestDatabase::create().await;
    // A day of which all is too old, one of which a part is not, and a stray that went to the default.
    for days in [-8, -7] {
        let (name, from, to) = (partition(&database, days).await, day(days), day(days + 1));
        let sql = format!(
            "create table {name} partition of task_event for values from ({from}) to ({to})"
        );
        database.execute(&sql).await;
    }
    let mut positions = Vec::new();
    for at in [day(-20), day(-8), day(-7), "now()".to_owned()] {
        let sql = format!(
            "insert into task_event (at, workspace_id, kind) values ({at}, gen_random_uuid(), 'agent_changed')"
        );
        database.execute(&sql).await;
        let drawn = "select last_value from task_event_position";
        positions.push(database.count(drawn).await);
    }
    database.execute(MAINTAIN).await;
    let kept = "select min(position) from task_event";
    assert_eq!(database.count(kept).await, positions[2]);
    let through = "select through from task_event_pruned";
    assert_eq!(database.count(through).await, positions[1]);
    // Never back.
    database.execute(MAINTAIN).await;
    assert_eq!(database.count(through).await, positions[1]);
    database.until(&format!("{} = 9", partitions())).await;
}

#[tokio::test]
async fn a_cursor_from_before_the_log_begins_has_expired_and_the_last_that_was_dropped_has_not() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, first) = (world.agent(1).await, world.cursor().await);
    let mut live = world.feed(&world.host, json!({})).await;
    let task = world.enqueue(agent, json!({})).await;
    // The server has read it before it is dropped, or else all who follow would have lost something.
    assert_eq!(live.next().await.kind, "QUEUED");
    let last = world.cursor().await;
    app.database
        .execute("update task_event set at = at - interval '20 days'")
        .await;
    app.database.execute(MAINTAIN).await;

    let error = world.follow(&first).await.error().await;
    assert_eq!(error.code, "CURSOR_EXPIRED");
    // A log without an event in it goes on from where it was.
    assert_eq!(world.cursor().await, last);
    let mut feed = world.follow(&last).await;
    let cancel = "mutation($id: UUID!) { cancelTask(taskId: $id) { id } }";
    world.host.data(cancel, json!({"id": task.0})).await;
    assert_eq!(feed.next().await.kind, "CANCELLED");
}

#[tokio::test]
async fn what_is_no_cursor_of_this_log_is_refused_by_the_name_of_the_argument() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    for after in [
        json!("c7fffffffffffffff"),
        json!(""),
        json!("7"),
        json!("c000000000000000G"),
        json!(7),
    ] {
        let mut feed = world.feed(&world.host, json!({"after": after})).await;
        let error = feed.error().await;
        assert_eq!(error.code, "BAD_USER_INPUT", "{after}");
        assert!(
            error.message.contains("after"),
            "{after}: {}",
            error.message
        );
    }
}

/// How many days have a partition.
fn partitions() -> &'static str {
    "(select count(*) from pg_inherits where inhparent = 'task_event'::regclass
      and inhrelid <> 'task_event_default'::regclass)"
}

/// The start of a day, counted from today, as SQL has it.
fn day(days: i32) -> String {
    format!("((now() at time zone 'utc')::date + {days})::timestamp at time zone 'utc'")
}

/// The name of the partition of a day.
async fn partition(database: &TestDatabase, days: i32) -> String {
    let sql = format!(
        "select 'task_event_' || to_char({} at time zone 'utc', 'YYYYMMDD')",
        day(days)
    );
    database.rows(&sql).await[0].try_get_by_index(0).unwrap()
}
