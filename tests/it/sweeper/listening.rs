//! That nobody says anything means nothing where nobody could have been heard.

use std::time::Duration;

use callboard::settings::Settings;
use serde_json::json;

use super::{age, runtime_status, silence, sweep};
use crate::harness::{TestApp, TestServer, World};

#[tokio::test]
async fn a_server_that_has_begun_listens_before_it_concludes_anything_from_silence() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (busy, idle) = (world.agent(1).await, world.agent(1).await);
    let running = world.enqueue(busy, json!({})).await;
    world.run().await;
    let dispatched = world.enqueue(idle, json!({})).await;
    world.claim().await.unwrap();
    let queued = world.enqueue(idle, json!({})).await;
    let old = world.second_runtime("codex").await;
    // So it is after an outage of two hours and a half.
    silence(&app, &world, 9001).await;
    age(&app, running, "started_at", 9001).await;
    age(&app, dispatched, "dispatched_at", 9001).await;
    age(&app, queued, "created_at", 9001).await;
    app.database.fall_silent(old, "8 days").await;

    let settings = Settings {
        sweep_interval: Duration::from_millis(10),
        ..Settings::default()
    };
    let _server = TestServer::start(&app.database, settings).await;
    // What its sweep does last does not depend on whom it can hear.
    let is_swept = format!("not exists (select from agent_runtime where id = '{old}')");
    app.database.until(&is_swept).await;
    assert_eq!(runtime_status(&world).await, "ONLINE");
    assert_eq!(world.status(running).await, "RUNNING");
    assert_eq!(world.status(dispatched).await, "DISPATCHED");
    assert_eq!(world.status(queued).await, "QUEUED");
    // One that has been there all along does what it always does.
    let swept = sweep(&app).await;
    assert_eq!((swept.silenced, swept.lost, swept.expired), (1, 2, 1));
}

#[tokio::test]
async fn a_server_that_has_missed_the_database_listens_anew() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let settings = Settings {
        sweep_interval: Duration::from_millis(10),
        runtime_silent_after: Duration::from_secs(2),
        ..Settings::default()
    };
    let other = world.second_runtime("codex").await;
    let seen = |ago: &str| {
        format!(
            "update agent_runtime set last_seen_at = now() - interval '{ago}' where id = '{other}'"
        )
    };
    app.database.execute(&seen("-1 hour")).await;
    let (line, _server) = app.server_on_a_line(settings).await;
    let is_offline =
        |id| format!("exists (select from agent_runtime where id = '{id}' and status = 'offline')");
    silence(&app, &world, 3600).await;
    app.database.until(&is_offline(world.runtime_id)).await;

    line.cut();
    // So long that it has tried to sweep.
    let now = "(extract(epoch from clock_timestamp()) * 1000)::int8";
    let missed = app.database.count(&format!("select {now} + 500")).await;
    app.database.until(&format!("{now} > {missed}")).await;
    app.database.execute(&seen("1 hour")).await;
    let back = app.database.count(&format!("select {now}")).await;
    line.mend();
    app.database.until(&is_offline(other)).await;
    let silenced = "select (extract(epoch from max(updated_at)) * 1000)::int8 from agent_runtime";
    let listened = app.database.count(silenced).await - back;
    assert!(listened > 1000, "{listened} ms");
}
