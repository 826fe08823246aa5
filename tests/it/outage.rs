//! A database that goes away and comes back: nobody is told a lie meanwhile, no subscription ends, no event is lost.

use callboard::settings::Settings;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::harness::{Client, OwnPostgres, TestApp, TestServer, World, uuid};

const ENQUEUE: &str =
    "mutation($input: EnqueueTaskInput!) { enqueueTask(input: $input) { task { id } } }";
const CANCEL: &str = "mutation($id: UUID!) { cancelTask(taskId: $id) { status } }";

/// Events, with something below each that has to be read.
const EVENTS: &str = "subscription($id: UUID!, $after: Cursor) {
    taskEvents(workspaceId: $id, after: $after) { cursor task { usage { provider } } } }";

/// The same with a snapshot before them.
const UPDATES: &str = "subscription($id: UUID!) { workspaceUpdates(workspaceId: $id) {
    ... on WorkspaceSnapshot { activeTasks { id usage { provider } } }
    ... on TaskEvent { cursor task { usage { provider } } } } }";

#[tokio::test]
async fn a_line_that_is_cut_costs_no_subscriber_an_event() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (line, server) = app.server_on_a_line(Settings::default()).await;
    let host = world.host.at(server.address);
    let (agent, issue, start) = (world.agent(1).await, Uuid::new_v4(), world.cursor().await);
    let mut feed = world.feed(&host, json!({"after": start})).await;
    let banner = "subscription($id: UUID!) { issueTasks(issueId: $id) { activeTasks { id } } }";
    let mut banner = host.subscribe(banner, json!({"id": issue})).await;
    assert_eq!(banner.next().await["issueTasks"]["activeTasks"], json!([]));
    let presence = "subscription($id: UUID!) { agentPresence(workspaceId: $id) { workload } }";
    let variables = json!({"id": world.workspace_id.0});
    let mut presence = host.subscribe(presence, variables).await;
    assert_eq!(presence.next().await["agentPresence"]["workload"], "IDLE");

    let task = world.enqueue(agent, json!({"issueId": issue})).await;
    assert_eq!(feed.tasks(1).await, [task]);
    let shown = banner.next().await["issueTasks"]["activeTasks"].clone();
    assert_eq!(shown, json!([{"id": task.0}]));
    assert_eq!(presence.next().await["agentPresence"]["workload"], "QUEUED");

    // Cut while a request is under way; it has not happened.
    let held = app.database.hold_agent(agent).await;
    let (answer, ()) = tokio::join!(host.send(CANCEL, json!({"id": task.0})), async {
        app.database.until_waiting(1).await;
        line.cut();
    });
    assert_eq!(code(&answer), "UNAVAILABLE");
    held.roll_back().await;
    assert_eq!(world.status(task).await, "QUEUED");
    let error = host.error(CANCEL, json!({"id": task.0})).await;
    assert_eq!(error.code, "UNAVAILABLE");
    assert_eq!(get(&server, "readyz").await, 503);
    assert_eq!(get(&server, "healthz").await, 200);

    // Life goes on through another server.
    let claim = world.run().await;
    world.complete(claim).await;
    line.mend();
    while get(&server, "readyz").await != 200 {}
    let data = host.data(CANCEL, json!({"id": task.0})).await;
    assert_eq!(data["cancelTask"]["status"], "COMPLETED");
    let input = json!({"agentId": agent.0, "issueId": issue});
    let data = host.data(ENQUEUE, json!({"input": input})).await;
    let last = json!([{"id": data["enqueueTask"]["task"]["id"]}]);
    world.run().await;

    let expected = app.database.log(&start).await.split_off(1);
    assert_eq!(expected.len(), 6);
    assert_eq!(feed.take(6).await, expected);
    while banner.next().await["issueTasks"]["activeTasks"] != last {}
    while presence.next().await["agentPresence"]["workload"] != "WORKING" {}
}

#[tokio::test]
async fn what_cannot_be_read_below_an_event_is_told_when_the_database_is_back() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (line, server) = app.server_on_a_line(Settings::default()).await;
    let host = world.host.at(server.address);
    let (agent, start) = (world.agent(1).await, world.cursor().await);
    let task = world.enqueue(agent, json!({})).await;
    // The log can be read, and what is asked for below it can not.
    let held = "lock table task_usage in access exclusive mode";
    let held = app.database.hold(held).await;
    let id = json!(world.workspace_id.0);
    let from_start = json!({"id": id, "after": start});
    let mut alike = [
        host.subscribe(EVENTS, from_start.clone()).await,
        host.subscribe(EVENTS, from_start).await,
    ];
    let mut updates = host.subscribe(UPDATES, json!({"id": id})).await;
    app.database.until_waiting(2).await;
    app.database.until_nobody_else_waits().await;
    line.cut();
    // Who asks once is told at once.
    let usage = "query($id: UUID!) { task(id: $id) { usage { provider } } }";
    let error = host.error(usage, json!({"id": task.0})).await;
    assert_eq!(error.code, "UNAVAILABLE");
    held.roll_back().await;
    line.mend();

    let snapshot = updates.next().await["workspaceUpdates"].clone();
    assert_eq!(
        snapshot["activeTasks"],
        json!([{"id": task.0, "usage": []}])
    );
    let claim = world.run().await;
    world.complete(claim).await;
    let log = app.database.log(&start).await;
    assert_eq!(log.len(), 4);
    for feed in &mut alike {
        for event in &log {
            let told = feed.next().await["taskEvents"].clone();
            assert_eq!(told["cursor"], event.cursor);
            assert_eq!(told["task"]["usage"], json!([]));
        }
    }
    for event in log.iter().skip(1) {
        while updates.next().await["workspaceUpdates"]["cursor"] != event.cursor {}
    }
}

#[tokio::test]
async fn what_time_changes_while_the_database_is_away_is_told_when_it_is_back() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (line, server) = app.server_on_a_line(Settings::default()).await;
    let host = world.host.at(server.address);
    world.agent(1).await;
    world.until_read(&host).await;
    let presence = "subscription($id: UUID!) { agentPresence(workspaceId: $id) { availability } }";
    let variables = json!({"id": world.workspace_id.0});
    let mut presence = host.subscribe(presence, variables).await;
    assert_eq!(
        presence.next().await["agentPresence"]["availability"],
        "ONLINE"
    );
    app.database
        .fall_silent(world.runtime_id, "5 min - 1000 ms")
        .await;
    assert_eq!(
        presence.next().await["agentPresence"]["availability"],
        "UNSTABLE"
    );
    line.cut();
    // So long that the server has tried to see it.
    let over = "(select last_seen_at < now() - interval '5 min 500 ms' from agent_runtime)";
    app.database.until(over).await;
    line.mend();
    assert_eq!(
        presence.next().await["agentPresence"]["availability"],
        "OFFLINE"
    );
}

#[tokio::test]
async fn a_postgres_that_is_killed_keeps_what_it_acknowledged_and_every_server_goes_on() {
    let mut postgres = OwnPostgres::start().await;
    let app = TestApp::start_on(&postgres).await;
    let world = World::new(&app).await;
    let second = app.second_server().await;
    let (agent, after) = (world.agent(1).await, json!({"after": world.cursor().await}));
    let start = after["after"].as_str().unwrap();
    let servers = [world.host.clone(), world.host.at(second.address)];
    let mut feeds = Vec::new();
    for host in &servers {
        feeds.push(world.feed(host, after.clone()).await);
    }

    let (progress, mut watched) = watch::channel(Progress::default());
    let write = |host: &Client| {
        let (host, progress) = (host.clone(), &progress);
        async move {
            while !progress.borrow().done {
                let input = json!({"agentId": agent.0, "issueId": Uuid::new_v4()});
                let answer = host.send(ENQUEUE, json!({"input": input})).await;
                progress.send_modify(|progress| progress.count(&answer));
            }
        }
    };
    let killing = async {
        let reached =
            |count: usize| move |progress: &Progress| progress.acknowledged.len() >= count;
        watched.wait_for(reached(40)).await.unwrap();
        postgres.kill();
        watched
            .wait_for(|progress| progress.refused > 0)
            .await
            .unwrap();
        assert_eq!(get(&second, "readyz").await, 503);
        postgres.start_again().await;
        let before = watched.borrow().acknowledged.len();
        watched.wait_for(reached(before + 40)).await.unwrap();
        progress.send_modify(|progress| progress.done = true);
    };
    let [here, there] = &servers;
    tokio::join!(
        write(here),
        write(here),
        write(there),
        write(there),
        killing
    );

    let log = app.database.log(start).await;
    for feed in &mut feeds {
        assert_eq!(feed.take(log.len()).await, log);
    }
    for id in &progress.borrow().acknowledged {
        assert!(log.iter().any(|event| event.task_id.0 == *id), "{id}");
    }
}

#[tokio::test]
async fn a_position_that_a_crash_gives_away_anew_was_told_to_nobody() {
    let mut postgres = OwnPostgres::start().await;
    let app = TestApp::start_on(&postgres).await;
    let world = World::new(&app).await;
    let (agent, start) = (world.agent(1).await, world.cursor().await);
    let mut feed = world.follow(&start).await;
    let first = world.enqueue(agent, json!({})).await;
    assert_eq!(feed.tasks(1).await, [first]);
    // What is not flushed by a commit is not flushed at all.
    for setting in ["wal_writer_delay = '10s'", "autovacuum = off"] {
        let sql = format!("alter system set {setting}");
        app.database.execute(&sql).await;
    }
    app.database.execute("select pg_reload_conf()").await;

    // A sequence is logged 32 numbers ahead. The first number beyond is drawn by nobody that commits.
    let left = "select log_cnt from task_event_position";
    loop {
        let before = app.database.count(left).await;
        let task = entity::id::TaskId(Uuid::now_v7());
        let undone = app.database.hold(&world.insertion(agent, task)).await;
        undone.roll_back().await;
        if app.database.count(left).await > before {
            break;
        }
    }
    let drawn = "select last_value from task_event_position";
    let given_away = app.database.count(drawn).await;
    let cursor = world.cursor().await;
    // A roll-back rings no bell, but the server looks once a second.
    let now = "(extract(epoch from clock_timestamp()) * 1000)::int8";
    let looked = app.database.count(&format!("select {now} + 1500")).await;
    app.database.until(&format!("{now} > {looked}")).await;
    postgres.kill();
    postgres.start_again().await;
    while get_at(app.address(), "readyz").await != 200 {}
    assert!(app.database.count(drawn).await < given_away);

    let task = world.enqueue(agent, json!({})).await;
    assert_eq!(world.follow(&cursor).await.tasks(1).await, [task]);
    assert_eq!(feed.tasks(1).await, [task]);
}

/// How far the writers are.
#[derive(Default)]
struct Progress {
    acknowledged: Vec<Uuid>,
    refused: usize,
    done: bool,
}

impl Progress {
    fn count(&mut self, answer: &Value) {
        if answer.get("errors").is_some() {
            assert_eq!(code(answer), "UNAVAILABLE", "{answer}");
            self.refused += 1;
        } else {
            let id = &answer["data"]["enqueueTask"]["task"]["id"];
            self.acknowledged.push(uuid(id));
        }
    }
}

/// The code of the first error of an answer.
fn code(answer: &Value) -> &Value {
    &answer["errors"][0]["extensions"]["code"]
}

/// The status of a page.
async fn get(server: &TestServer, page: &str) -> u16 {
    get_at(server.address, page).await
}

async fn get_at(address: std::net::SocketAddr, page: &str) -> u16 {
    let response = reqwest::get(format!("http://{address}/{page}")).await;
    response.unwrap().status().as_u16()
}
