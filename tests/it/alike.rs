//! Subscriptions that are alike are executed once, and each is told everything all the same.

mod crowd;
mod sight;

use callboard::settings::Settings;
use entity::id::{AgentId, TaskId};
use serde_json::{Value, json};
use uuid::Uuid;

use crowd::{Crowd, Listener};

use crate::harness::{Proxy, TestApp, TestServer, World};

/// What most ask for: below each event something that has to be read.
const DOCUMENT: &str = "subscription($id: UUID!, $filter: TaskEventFilter, $after: Cursor) {
    taskEvents(workspaceId: $id, filter: $filter, after: $after) { cursor kind task { id agent { name } } } }";

/// The same with checkpoints.
const UPDATES: &str = "subscription($id: UUID!, $after: Cursor) {
    taskUpdates(workspaceId: $id, after: $after) {
        ... on TaskEvent { cursor kind task { id agent { name } } } ... on Checkpoint { checkpoint: cursor } } }";

/// A server on a line on which is counted.
struct Scene {
    // In this order: the server is stopped before its line is cut.
    server: TestServer,
    line: Proxy,
}

impl Scene {
    async fn set(app: &TestApp) -> Self {
        // Nothing sweeps while statements are counted.
        let settings = Settings {
            sweep_interval: std::time::Duration::from_hours(24),
            ..Settings::default()
        };
        let (line, server) = app.server_on_a_line(settings).await;
        Self { server, line }
    }

    /// How often a page of the log was read.
    fn reads_of_pages(&self) -> usize {
        let statements = self.line.tally.statements();
        let of_pages = |sql: &&String| sql.contains("task_event_page(");
        statements.iter().filter(of_pages).count()
    }

    /// How often agents were read by their ids.
    fn reads_of_agents(&self) -> usize {
        let statements = self.line.tally.statements();
        let of_agents = |sql: &&String| sql.contains("FROM \"agent\" WHERE \"agent\".\"id\" IN");
        statements.iter().filter(of_agents).count()
    }
}

/// Puts so many tasks on the board in one transaction.
async fn put(app: &TestApp, world: &World<'_>, agent: AgentId, count: usize) {
    let task = |_| world.insertion(agent, TaskId(Uuid::now_v7()));
    let tasks: Vec<String> = (0..count).map(task).collect();
    app.database.execute(&tasks.join(";")).await;
}

/// The cursors of the log after one.
async fn cursors(app: &TestApp, after: &str) -> Vec<String> {
    let log = app.database.log(after).await;
    log.into_iter().map(|event| event.cursor).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_that_are_alike_are_told_everything_and_it_is_read_once() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let start = world.cursor().await;
    let scene = Scene::set(&app).await;
    let host = world.host.at(scene.server.address);
    let token = crowd::token_of_host(&app, &world).await;
    let variables = json!({"id": world.workspace_id.0, "after": start});
    let mut alike = Vec::new();
    for _ in 0..4 {
        alike.push(Crowd::open(&scene.server, &token, DOCUMENT, &variables, 12).await);
    }
    let mut streams = Vec::new();
    for _ in 0..2 {
        streams.push(Listener::open(&scene.server, &token, DOCUMENT, &variables).await);
    }
    let queued =
        json!({"id": world.workspace_id.0, "after": start, "filter": {"kinds": ["CANCELLED"]}});
    let mut unlike = Crowd::open(&scene.server, &token, DOCUMENT, &queued, 2).await;
    let mut updates = Crowd::open(&scene.server, &token, UPDATES, &variables, 2).await;

    // Everyone has begun, and is where the hub is.
    let task = world.enqueue(agent, json!({})).await;
    for crowd in alike.iter_mut().chain([&mut updates]) {
        crowd.take(1).await;
    }
    for stream in &mut streams {
        stream.take(1).await;
    }
    world.until_read(&host).await;
    let begin = world.cursor().await;
    scene.line.tally.clear();

    put(&app, &world, agent, 20).await;
    let expected = cursors(&app, &begin).await;
    assert_eq!(expected.len(), 20);
    for crowd in &mut alike {
        crowd.expect(&expected).await;
    }
    for stream in &mut streams {
        stream.expect(&expected).await;
    }
    // Once for those who are alike, and once for those who ask for something else.
    updates.expect(&expected).await;
    assert_eq!(scene.reads_of_agents(), 2 * expected.len());

    // Who asks for other events is told those, and none else.
    let cancel = "mutation($id: UUID!) { cancelTask(taskId: $id) { id } }";
    let before = world.cursor().await;
    host.data(cancel, json!({"id": task.0})).await;
    let cancelled = cursors(&app, &before).await;
    assert_eq!(cancelled.len(), 1);
    unlike.expect(&cancelled).await;
    for crowd in &mut alike {
        crowd.expect(&cancelled).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_comes_back_at_once_is_told_what_it_missed_and_not_each_by_a_reading_of_its_own()
 {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let start = world.cursor().await;
    put(&app, &world, agent, 20).await;
    let expected = cursors(&app, &start).await;
    assert_eq!(expected.len(), 20);
    let scene = Scene::set(&app).await;
    world.until_read(&world.host.at(scene.server.address)).await;
    let token = crowd::token_of_host(&app, &world).await;
    let variables = json!({"id": world.workspace_id.0, "after": start});
    scene.line.tally.clear();
    let opening = (0..4).map(|_| Crowd::open(&scene.server, &token, DOCUMENT, &variables, 90));
    let mut crowds = futures::future::join_all(opening).await;
    for crowd in &mut crowds {
        crowd.expect(&expected).await;
    }
    // Again now and then, for who comes later shall not be given less; and as often what was read is written.
    let pages = scene.reads_of_pages();
    assert!((1..180).contains(&pages), "{pages}");
    // By one who is the first of them it may be written once more.
    let written = scene.reads_of_agents() / expected.len();
    assert!(written <= pages + 1, "{written} of {pages}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_resumes_in_the_middle_catches_up_by_itself_and_is_then_one_of_them() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let start = world.cursor().await;
    let scene = Scene::set(&app).await;
    let host = world.host.at(scene.server.address);
    let token = crowd::token_of_host(&app, &world).await;
    let from = |after: &str| json!({"id": world.workspace_id.0, "after": after});
    let mut crowd = Crowd::open(&scene.server, &token, DOCUMENT, &from(&start), 5).await;
    put(&app, &world, agent, 10).await;
    let expected = cursors(&app, &start).await;
    crowd.expect(&expected).await;

    let mut late = Crowd::open(&scene.server, &token, DOCUMENT, &from(&expected[4]), 1).await;
    late.expect(&expected[5..]).await;
    world.until_read(&host).await;
    scene.line.tally.clear();
    put(&app, &world, agent, 3).await;
    let expected = cursors(&app, &expected[9]).await;
    crowd.expect(&expected).await;
    late.expect(&expected).await;
    assert_eq!(scene.reads_of_agents(), 3);

    // What is no cursor is refused for who gives it, though others who are alike go on.
    let error = host
        .subscribe(DOCUMENT, from("nonsense"))
        .await
        .error()
        .await;
    assert_eq!(error.code, "BAD_USER_INPUT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_read_holds_up_none_of_the_others_and_misses_nothing() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let start = world.cursor().await;
    let task = world.enqueue(agent, json!({})).await;
    let token = crowd::token_of_host(&app, &world).await;
    let variables = json!({"id": world.workspace_id.0, "after": start});
    let document = DOCUMENT.replace("task { id", "task { id context");
    let open = |count| Crowd::open(app.server(), &token, &document, &variables, count);
    let (mut slow, mut quick) = (open(1).await, open(3).await);
    slow.take(1).await;
    quick.take(1).await;
    let begin = cursors(&app, &start).await[0].clone();

    // More than the buffers of a socket hold, some of it in one batch, and more of that than is kept for others.
    let change = format!(
        "update agent_task_queue set progress_at = clock_timestamp(), context = to_jsonb(repeat('x', 200000))
         where id = '{task}'"
    );
    for number in 0..20 {
        let changes = vec![change.as_str(); if number % 5 == 0 { 5 } else { 1 }];
        app.database.execute(&changes.join(";")).await;
    }
    let expected = cursors(&app, &begin).await;
    assert_eq!(expected.len(), 36);
    quick.expect(&expected).await;
    slow.expect(&expected).await;
}

/// The name of the agent is that of each event, whoever executed it.
fn check_name(event: &Value) {
    assert_eq!(event["task"]["agent"]["name"], "agent", "{event}");
}
