//! The daemon that comes with Callboard, on a real server, with real commands: what it promises when something goes wrong.

mod killed;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use callboard::auth::{Daemon, Identity};
use callboard_daemon::Options;
use entity::id::TaskId;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::{PATIENCE, Proxy, TestApp, World};

/// A daemon that runs until it is told to stop.
struct Running {
    stop: CancellationToken,
    ended: JoinHandle<anyhow::Result<()>>,
    /// Where it keeps what it keeps, and works.
    directory: TempDir,
}

impl Running {
    /// The daemon of the world's runtime, which runs so many tasks at a time with a command, over a line to the server.
    async fn start(
        app: &TestApp,
        world: &World<'_>,
        line: &Proxy,
        (max_tasks, command): (u16, &str),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let token = token(app, world).await;
        let mut options = options(line.address(), token, command, directory.path());
        options.max_tasks = max_tasks;
        Self::with(options, directory)
    }

    fn with(options: Options, directory: TempDir) -> Self {
        let stop = CancellationToken::new();
        let ended = tokio::spawn(callboard_daemon::run(options, stop.clone()));
        Self {
            stop,
            ended,
            directory,
        }
    }

    /// Lets it stop.
    async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.ended).await;
        ended.expect("it stops in time").unwrap().unwrap();
    }
}

/// A token of the world's daemon.
async fn token(app: &TestApp, world: &World<'_>) -> String {
    let identity = Identity::Daemon(Daemon {
        workspace_id: world.workspace_id,
        daemon_id: "laptop".into(),
    });
    app.token(identity).await
}

/// How a daemon runs that keeps everything in a directory.
fn options(server: SocketAddr, token: String, command: &str, directory: &Path) -> Options {
    let agent = format!("claude={command}").parse().unwrap();
    let mut options = Options::new(format!("http://{server}"), token.into(), vec![agent]);
    options.kill_grace = Duration::from_secs(1);
    options.state_dir = Some(directory.join("state"));
    options.work_dir = Some(directory.join("work"));
    options
}

/// A line to the server.
async fn line(app: &TestApp) -> Proxy {
    let address = app.address();
    let server = PgConnectOptions::new_without_pgpass()
        .host(&address.ip().to_string())
        .port(address.port());
    Proxy::start(&server).await
}

/// Waits until a task has a status.
async fn until(app: &TestApp, task: TaskId, status: &str) {
    let reached = format!(
        "exists (select from agent_task_queue where id = '{task}' and status = '{status}')"
    );
    app.database.until(&reached).await;
}

/// What was said in a task's transcript.
async fn said(world: &World<'_>, task: TaskId) -> Vec<String> {
    let document = "query($id: UUID!) { task(id: $id) { messages(first: 200) { content } } }";
    let data = world.host.data(document, json!({"id": task.0})).await;
    let messages = data["task"]["messages"].as_array().unwrap().clone();
    let content = |message: Value| message["content"].as_str().unwrap().to_owned();
    messages.into_iter().map(content).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_start_was_not_heard_of_is_run_when_the_server_is_there_again() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let line = line(&app).await;
    // A start waits for whoever holds this.
    app.database
        .execute(
            "create function wait() returns trigger language plpgsql as $$
             begin perform pg_advisory_xact_lock_shared(1, 1); return new; end $$;
             create trigger wait before update on agent_task_queue for each row
             when (old.status = 'dispatched' and new.status = 'running') execute function wait()",
        )
        .await;
    let held = app
        .database
        .hold("select pg_advisory_xact_lock(1, 1)")
        .await;
    let daemon = Running::start(&app, &world, &line, (1, "true")).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    app.database.until_waiting(1).await;
    line.cut();
    held.commit().await;
    until(&app, task, "running").await;
    // Its own tries, and those to hear of events.
    let tries = line.tries();
    while line.tries() < tries + 8 {
        tokio::task::yield_now().await;
    }
    line.mend();
    until(&app, task, "completed").await;
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_command_says_its_task_ends_and_the_rest_is_in_the_transcript() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let line = line(&app).await;
    let command = r#"
        echo first
        printf 'a\0b\n'
        head -c 70000 /dev/zero | tr '\0' x; echo
        head -c 65536 /dev/zero | tr '\0' '\377'; echo
        printf '::callboard session %s\n' "$(head -c 2000 /dev/zero | tr '\0' s)"
        printf '::callboard progress %s\n' "$(head -c 2000 /dev/zero | tr '\0' p)"
        printf 'broken \377 \0 end\n' >&2
        echo last
        test "$CALLBOARD_PROMPT" = well"#;
    let daemon = Running::start(&app, &world, &line, (1, command)).await;
    let agent = world.agent(1).await;
    for (prompt, status) in [("well", "completed"), ("badly", "failed")] {
        let task = world
            .enqueue(agent, json!({"context": {"prompt": prompt}}))
            .await;
        until(&app, task, status).await;
        let said = said(&world, task).await;
        for line in ["first", "last"] {
            assert!(said.iter().any(|said| said == line), "{prompt}: no {line}");
        }
        let cut: Vec<_> = said.iter().filter(|line| line.ends_with("[…]")).collect();
        assert_eq!(cut.len(), 2, "{prompt}");
    }
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_does_not_wait_for_a_transcript_that_cannot_be_told() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let line = line(&app).await;
    app.database
        .execute(
            "create function refuse() returns trigger language plpgsql as $$
             begin raise exception 'no room'; end $$;
             create trigger refuse before insert on task_message for each row execute function refuse()",
        )
        .await;
    let daemon = Running::start(&app, &world, &line, (1, "echo something")).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    until(&app, task, "completed").await;
    // The slot is free, too.
    let next = world.enqueue(agent, json!({})).await;
    until(&app, next, "completed").await;
    app.database
        .execute("drop trigger refuse on task_message")
        .await;
    // What could not be told is told once it can be.
    let told =
        format!("(select count(*) = 2 from task_message where task_id in ('{task}', '{next}'))");
    app.database.until(&told).await;
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_try_waits_until_the_first_has_left_the_directory() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let line = line(&app).await;
    let command = r#"
        if test -e pid; then
            kill -0 "$(cat pid)" 2>/dev/null && echo together || echo alone
        else
            trap '' TERM
            echo $$ > pid
            echo '::callboard session s'
            while :; do sleep 0.1; done
        fi"#;
    let daemon = Running::start(&app, &world, &line, (2, command)).await;
    let agent = world.agent(2).await;
    let first = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    let pinned =
        format!("exists (select from agent_task_queue where id = '{first}' and session_id = 's')");
    app.database.until(&pinned).await;
    let cancelled = world
        .host
        .mutate("cancelTask", json!({"taskId": first.0}))
        .await;
    cancelled.unwrap();
    let again = world
        .host
        .mutate("retryTask", json!({"taskId": first.0}))
        .await
        .unwrap();
    let second: TaskId = again["id"]
        .as_str()
        .unwrap()
        .parse::<Uuid>()
        .map(TaskId)
        .unwrap();
    until(&app, second, "completed").await;
    assert_eq!(said(&world, second).await, ["alone"]);
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_can_run_nothing_does_not_burn_what_waits() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let line = line(&app).await;
    let daemon = Running::start(&app, &world, &line, (1, "true")).await;
    let work = daemon.directory.path().join("work");
    std::fs::write(&work, "no directory").unwrap();
    let agent = world.agent(6).await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(world.enqueue(agent, json!({"maxAttempts": 1})).await);
    }
    let failed =
        "(select count(*) = 1 from agent_task_queue where failure_reason = 'runtime_recovery')";
    app.database.until(failed).await;
    std::fs::remove_file(&work).unwrap();
    app.database
        .until("(select count(*) = 2 from agent_task_queue where status = 'completed')")
        .await;
    assert_eq!(app.database.task_count("failed").await, 1);
    daemon.end().await;
}
