//! The sweeper: what happens because nobody does anything.

mod listening;

use std::time::Duration;

use callboard::background::sweeper::{Swept, run_once};
use callboard::db::Writer;
use callboard::doorbell::Doorbell;
use callboard::settings::Settings;
use entity::id::TaskId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestApp, TestServer, World};

async fn sweep(app: &TestApp) -> Swept {
    let writer = Writer::new(app.database.pool.clone(), Doorbell::default());
    run_once(&writer, &Settings::default()).await.unwrap()
}

/// Lets the runtime have been silent for so many seconds.
async fn silence(app: &TestApp, world: &World<'_>, seconds: u32) {
    let id = world.runtime_id;
    app.database
        .execute(&format!("update agent_runtime set last_seen_at = now() - interval '{seconds} s' where id = '{id}'"))
        .await;
}

/// Lets a time of a task lie so many seconds back.
async fn age(app: &TestApp, task: TaskId, column: &str, seconds: u32) {
    app.database
        .execute(&format!(
            "update agent_task_queue set {column} = now() - interval '{seconds} s' where id = '{task}'"
        ))
        .await;
}

async fn runtime_status(world: &World<'_>) -> Value {
    let document = "query($id: UUID!) { runtime(id: $id) { status } }";
    world
        .host
        .data(document, json!({"id": world.runtime_id.0}))
        .await["runtime"]["status"]
        .clone()
}

#[tokio::test]
async fn a_silent_runtime_goes_off_line_and_comes_back_with_a_heartbeat() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    silence(&app, &world, 149).await;
    assert_eq!(sweep(&app).await, Swept::default());
    silence(&app, &world, 151).await;
    assert_eq!(
        sweep(&app).await,
        Swept {
            silenced: 1,
            ..Swept::default()
        }
    );
    assert_eq!(runtime_status(&world).await, "OFFLINE");
    world
        .daemon
        .mutate("heartbeat", json!({"runtimeIds": [world.runtime_id.0]}))
        .await
        .unwrap();
    assert_eq!(runtime_status(&world).await, "ONLINE");
}

#[tokio::test]
async fn a_lost_runtimes_tasks_are_left_to_it_until_the_grace_has_passed() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    let task = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    let claim = world.run().await;
    silence(&app, &world, 7200).await;
    sweep(&app).await;
    assert_eq!(world.status(task).await, "RUNNING");
    silence(&app, &world, 7200 + 151).await;
    assert_eq!(
        sweep(&app).await,
        Swept {
            lost: 1,
            ..Swept::default()
        }
    );
    let failed = world.host.task(task).await;
    assert_eq!(
        (&failed["status"], &failed["failureReason"]),
        (&json!("FAILED"), &json!("runtime_offline"))
    );
    // The next try waits, and is nobody's while the runtime is gone.
    assert_eq!(app.database.task_count("queued").await, 1);
    assert_eq!(world.claim().await, None);
    world
        .daemon
        .mutate("heartbeat", json!({"runtimeIds": [world.runtime_id.0]}))
        .await
        .unwrap();
    assert!(world.claim().await.is_some());
    // Too late: the old try is settled, and stays so.
    let late = world
        .daemon
        .mutate("completeTask", claim.input())
        .await
        .unwrap();
    assert_eq!(late["status"], "FAILED");
}

#[tokio::test]
async fn what_is_dispatched_and_not_started_times_out() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world
        .enqueue(agent, json!({"chatSessionId": Uuid::new_v4()}))
        .await;
    world.claim().await.unwrap();
    age(&app, task, "dispatched_at", 299).await;
    assert_eq!(sweep(&app).await, Swept::default());
    age(&app, task, "dispatched_at", 301).await;
    assert_eq!(
        sweep(&app).await,
        Swept {
            timed_out: 1,
            ..Swept::default()
        }
    );
    assert_eq!(world.host.task(task).await["failureReason"], "timeout");
    assert_eq!(app.database.task_count("queued").await, 1);
}

#[tokio::test]
async fn what_runs_for_long_times_out_once_its_runtime_is_silent_too() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    world.run().await;
    age(&app, task, "started_at", 9001).await;
    assert_eq!(sweep(&app).await, Swept::default());
    silence(&app, &world, 151).await;
    assert_eq!(
        sweep(&app).await,
        Swept {
            silenced: 1,
            timed_out: 1,
            ..Swept::default()
        }
    );
    assert_eq!(world.host.task(task).await["error"], "task timed out");
}

#[tokio::test]
async fn what_waits_expires_but_not_behind_work_on_a_runtime_that_is_there() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (busy, neighbour) = (world.agent(1).await, world.agent(1).await);
    let elsewhere = world.second_runtime("codex").await;
    let more = json!({"visibility": "WORKSPACE"});
    let idle = world.agent_of(&world.host, elsewhere, more).await;
    world
        .enqueue(busy, json!({"issueId": Uuid::new_v4()}))
        .await;
    world.run().await;
    let patient = world
        .enqueue(busy, json!({"issueId": Uuid::new_v4()}))
        .await;
    // The daemon may have no room for it beside the other.
    let beside = world
        .enqueue(neighbour, json!({"issueId": Uuid::new_v4()}))
        .await;
    let forgotten = world
        .enqueue(idle, json!({"issueId": Uuid::new_v4()}))
        .await;
    let recent = world
        .enqueue(idle, json!({"issueId": Uuid::new_v4()}))
        .await;
    age(&app, patient, "created_at", 7201).await;
    age(&app, beside, "created_at", 7201).await;
    age(&app, forgotten, "created_at", 7201).await;
    age(&app, recent, "created_at", 7100).await;
    assert_eq!(
        sweep(&app).await,
        Swept {
            expired: 1,
            ..Swept::default()
        }
    );
    assert_eq!(
        world.host.task(forgotten).await["failureReason"],
        "queued_expired"
    );
    for waiting in [patient, beside, recent] {
        assert_eq!(world.status(waiting).await, "QUEUED");
    }
    world
        .daemon
        .mutate("deregisterRuntime", json!({"id": world.runtime_id.0}))
        .await
        .unwrap();
    assert_eq!(
        sweep(&app).await,
        Swept {
            expired: 2,
            ..Swept::default()
        }
    );
    assert_eq!(world.status(patient).await, "FAILED");
}

#[tokio::test]
async fn an_old_runtime_without_agents_goes_and_its_history_stays() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    world.complete(claim).await;
    let week = 7 * 24 * 3600;
    silence(&app, &world, week + 1).await;
    assert_eq!(
        sweep(&app).await,
        Swept {
            silenced: 1,
            ..Swept::default()
        }
    );
    let other = world.second_runtime("codex").await;
    app.database.move_agent(agent, other).await;
    assert_eq!(
        sweep(&app).await,
        Swept {
            removed: 1,
            ..Swept::default()
        }
    );
    let kept = world.host.task(task).await;
    assert_eq!(kept["runtimeId"], json!(world.runtime_id.0));
    assert_eq!(kept["status"], "COMPLETED");
}

#[tokio::test]
async fn what_fails_in_a_sweep_keeps_nothing_else_from_being_done() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    age(&app, task, "created_at", 7201).await;
    let old = world.second_runtime("codex").await;
    app.database.fall_silent(old, "8 days").await;
    app.database
        .execute("drop function tasks_timed_out(interval, interval, interval, bigint)")
        .await;
    let settings = Settings {
        sweep_interval: Duration::from_millis(10),
        runtime_silent_after: Duration::from_secs(1),
        ..Settings::default()
    };
    let _server = TestServer::start(&app.database, settings).await;
    // Nor does it count as if nobody could have been heard.
    let condition = format!(
        "exists (select from agent_task_queue where id = '{task}' and failure_reason = 'queued_expired')
         and not exists (select from agent_runtime where id = '{old}')
         and not exists (select from agent_runtime where status = 'online')"
    );
    app.database.until(&condition).await;
}

#[tokio::test]
async fn a_task_or_runtime_that_cannot_be_read_keeps_no_other_from_its_end() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    for _ in 0..2 {
        let issue = json!({"issueId": Uuid::new_v4()});
        world.enqueue(agent, issue).await;
        world.run().await;
    }
    silence(&app, &world, 7200 + 151).await;
    app.database
        .execute(
            r#"update agent_runtime set metadata = '{"n": 1e400}';
               update agent_task_queue set context = '{"n": 1e400}'
               where id = (select id from agent_task_queue order by id limit 1)"#,
        )
        .await;
    let swept = sweep(&app).await;
    assert_eq!((swept.silenced, swept.lost), (1, 2));
    assert_eq!(app.database.task_count("queued").await, 2);
}

#[tokio::test]
async fn sweepers_that_meet_do_everything_once() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(50).await;
    app.database.put_many(agent, world.runtime_id, 40).await;
    for _ in 0..40 {
        world.claim().await.unwrap();
    }
    app.database
        .execute("update agent_task_queue set dispatched_at = now() - interval '1 h'")
        .await;
    let all = tokio::join!(sweep(&app), sweep(&app), sweep(&app), sweep(&app));
    let timed_out: usize = [all.0, all.1, all.2, all.3]
        .iter()
        .map(|swept| swept.timed_out)
        .sum();
    assert_eq!(timed_out, 40);
    assert_eq!(app.database.event_count("failed").await, 40);
    assert_eq!(app.database.task_count("queued").await, 40);
}

#[test]
fn settings_that_contradict_one_another_are_refused() {
    let minute = Duration::from_mins(1);
    let sound = Settings::default();
    sound.check().unwrap();
    let lease = Settings {
        claim_lease: sound.dispatch_timeout,
        ..sound.clone()
    };
    assert!(
        lease
            .check()
            .unwrap_err()
            .to_string()
            .contains("claim lease")
    );
    let queue = Settings {
        queue_ttl: minute,
        ..sound.clone()
    };
    assert!(queue.check().unwrap_err().to_string().contains("queue"));
    let retention = Settings {
        runtime_retention: minute,
        ..sound
    };
    assert!(
        retention
            .check()
            .unwrap_err()
            .to_string()
            .contains("runtime")
    );
}
