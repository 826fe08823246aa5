//! The feed of events: the same for everyone, resumed anywhere, whatever happens to those who carry it.

use callboard::event::Cursor;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Claim, Seen, TestApp, World, claim};

/// The connections on which a server of this database listens.
const LISTENERS: &str = "from pg_stat_activity
    where datname = current_database() and application_name = 'callboard' and query ilike 'listen %'";

#[tokio::test]
async fn every_filter_shows_what_it_names_and_nothing_else() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, other) = (world.agent(2).await, world.agent(2).await);
    let codex = world.second_runtime("codex").await;
    let public = json!({"visibility": "WORKSPACE"});
    let elsewhere = world.agent_of(&world.host, codex, public).await;
    let (issue, start) = (Uuid::new_v4(), world.cursor().await);

    let first = world.enqueue(agent, json!({"issueId": issue})).await;
    let rounds = || async {
        let running = world.run().await;
        world.enqueue(other, json!({"issueId": issue})).await;
        world
            .enqueue(elsewhere, json!({"issueId": Uuid::new_v4()}))
            .await;
        claim(&world.daemon, codex).await.expect("the task");
        world.complete(running).await;
        let last = world.run().await;
        world.fail(last, "agent_error").await;
        world.enqueue(agent, json!({"issueId": issue})).await;
    };
    let filters = [
        (json!({"issueId": issue}), format!("issue_id = '{issue}'")),
        (json!({"agentId": agent.0}), format!("agent_id = '{agent}'")),
        (
            json!({"runtimeId": codex.0}),
            format!("runtime_id = '{codex}'"),
        ),
        (json!({"taskId": first.0}), format!("task_id = '{first}'")),
        (
            json!({"kinds": ["FAILED", "RUNNING"]}),
            "kind in ('failed', 'running')".to_owned(),
        ),
        (
            json!({"issueId": issue, "agentId": other.0, "kinds": ["QUEUED"]}),
            format!("issue_id = '{issue}' and agent_id = '{other}' and kind = 'queued'"),
        ),
        (json!({"kinds": []}), "false".to_owned()),
        (json!({}), "true".to_owned()),
    ];
    // Half of it is caught up with, half of it comes while they watch.
    rounds().await;
    let mut feeds = Vec::new();
    for (filter, condition) in filters {
        let arguments = json!({"after": start, "filter": filter});
        feeds.push((world.feed(&world.host, arguments).await, filter, condition));
    }
    rounds().await;
    for (mut feed, filter, condition) in feeds {
        let expected = app.database.log_where(&start, &condition).await;
        assert_eq!(feed.take(expected.len()).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn a_subscriber_resumes_where_it_was_on_any_server() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let second = app.second_server().await;
    let (agent, start) = (world.agent(9).await, world.cursor().await);
    let mut feed = world.follow(&start).await;
    let mut seen = Vec::new();
    for round in 0..4 {
        finish(&world, agent).await;
        seen.extend(feed.take(4).await);
        drop(feed);
        if round % 2 == 0 {
            // Missed by nobody, whether or not it happens while nobody follows.
            finish(&world, agent).await;
        }
        let last: &Seen = seen.last().unwrap();
        let address = [app.address(), second.address][round % 2];
        let client = world.host.at(address);
        feed = world.feed(&client, json!({"after": last.cursor})).await;
        if round % 2 == 0 {
            seen.extend(feed.take(4).await);
        }
    }
    assert_eq!(seen, app.database.log(&start).await);
}

#[tokio::test]
async fn everyone_sees_the_same_order_from_every_server() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let second = app.second_server().await;
    let (agent, start) = (world.agent(50).await, world.cursor().await);
    let after = json!({"after": start});
    let (host, there) = (world.host.clone(), world.host.at(second.address));
    let mut feeds = vec![
        world.feed(&host, after.clone()).await,
        world.feed(&there, after).await,
    ];
    // At once, through both servers and by plain SQL.
    let enqueue =
        "mutation($input: EnqueueTaskInput!) { enqueueTask(input: $input) { task { id } } }";
    let writing = FuturesUnordered::new();
    for number in 0..30 {
        let client = if number % 2 == 0 { &host } else { &there };
        let input = json!({"agentId": agent.0, "issueId": Uuid::new_v4()});
        writing.push(client.data(enqueue, json!({"input": input})));
    }
    let plain = app.database.put_many(agent, world.runtime_id, 10);
    tokio::join!(writing.collect::<Vec<Value>>(), plain);
    let log = app.database.log(&start).await;
    assert_eq!(log.len(), 40);
    for feed in &mut feeds {
        assert_eq!(feed.take(40).await, log);
    }
}

#[tokio::test]
async fn a_subscriber_that_stops_reading_is_caught_up_from_the_log() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, start) = (world.agent(1).await, world.cursor().await);
    let task = world.enqueue(agent, json!({})).await;
    let document =
        "subscription($id: UUID!, $after: Cursor) { taskEvents(workspaceId: $id, after: $after) {
        cursor task { context } } }";
    let variables = json!({"id": world.workspace_id.0, "after": start});
    let mut slow = world.host.subscribe(document, variables).await;
    let mut quick = world.follow(&start).await;
    slow.next().await;
    quick.next().await;
    world.until_read(&world.host).await;

    // More than the buffers of a socket hold, so that the server cannot go on sending; then more stretches of the log
    // than the hub keeps for anyone.
    let progress = |size: usize| {
        format!(
            "update agent_task_queue set progress_at = clock_timestamp(), context = to_jsonb(repeat('x', {size}))
             where id = '{task}'"
        )
    };
    for number in 0..330 {
        let size = if number < 30 { 1_000_000 } else { 1 };
        app.database.execute(&progress(size)).await;
        quick.next().await;
    }
    // One more, which it will find handed out already when it has caught up with the rest.
    app.database.execute(&progress(1)).await;
    let mut cursors = Vec::new();
    for _ in 0..331 {
        let event = slow.next().await["taskEvents"].clone();
        cursors.push(event["cursor"].as_str().unwrap().to_owned());
    }
    let log = app.database.log(&start).await.into_iter().skip(1);
    let expected: Vec<String> = log.map(|event| event.cursor).collect();
    assert_eq!(cursors, expected);
    // What is still kept for it from meanwhile is not told twice.
    app.database.execute(&progress(1)).await;
    let last = slow.next().await["taskEvents"]["cursor"].clone();
    assert!(last.as_str() > cursors.last().map(String::as_str), "{last}");
}

#[tokio::test]
async fn a_snapshot_and_the_events_after_it_are_the_whole_story() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(3).await;
    let ended = finish(&world, agent).await;
    let waits = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    let document = "query($id: UUID!) { workspace(id: $id) { snapshot { cursor
        activeTasks { id status } latestOutcomes { id } } } }";
    let variables = json!({"id": world.workspace_id.0});
    let data = world.host.data(document, variables).await;
    let snapshot = &data["workspace"]["snapshot"];
    assert_eq!(
        snapshot["activeTasks"],
        json!([{"id": waits.0, "status": "QUEUED"}])
    );
    assert_eq!(snapshot["latestOutcomes"], json!([{"id": ended.task_id.0}]));

    let cursor = snapshot["cursor"].as_str().unwrap();
    finish(&world, agent).await;
    let mut feed = world.follow(cursor).await;
    let expected = app.database.log(cursor).await;
    assert_eq!(expected.len(), 4);
    assert_eq!(feed.take(4).await, expected);
}

#[tokio::test]
async fn what_happens_in_the_midst_of_a_snapshot_comes_after_its_cursor() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = entity::id::TaskId(Uuid::now_v7());
    // Nobody else looks at agents then.
    world.until_read(&world.host).await;
    let held = app
        .database
        .hold("lock table agent in access exclusive mode")
        .await;
    let document =
        "query($id: UUID!) { workspace(id: $id) { snapshot { cursor activeTasks { id } } } }";
    let variables = json!({"id": world.workspace_id.0});
    let between = async {
        held.execute(&world.insertion(agent, task)).await;
        held.commit().await;
    };
    let reading = vec![world.host.data(document, variables)];
    let data = app.database.collide(between, reading).await.remove(0);
    let snapshot = &data["workspace"]["snapshot"];
    assert_eq!(snapshot["activeTasks"], json!([]));
    let mut feed = world.follow(snapshot["cursor"].as_str().unwrap()).await;
    assert_eq!(feed.tasks(1).await, [task]);
}

#[tokio::test]
async fn nothing_is_lost_when_the_listener_s_connection_is() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, start) = (world.agent(1).await, world.cursor().await);
    let mut feed = world.follow(&start).await;
    let listening = format!("(select count(*) = 1 {LISTENERS})");
    for _ in 0..2 {
        app.database.until(&listening).await;
        app.database.put_many(agent, world.runtime_id, 1).await;
        let cut = format!("select pg_terminate_backend(pid) {LISTENERS}");
        let several = app.database.hold("select").await;
        several.execute(&cut).await;
        app.database.put_many(agent, world.runtime_id, 1).await;
        several.commit().await;
        app.database.put_many(agent, world.runtime_id, 1).await;
        // Without the bell, by looking now and then.
        feed.take(3).await;
    }
    // It comes back by itself, and hears again.
    app.database.until(&listening).await;
    app.database.put_many(agent, world.runtime_id, 1).await;
    feed.next().await;
}

#[tokio::test]
async fn an_event_leads_to_what_it_is_about() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let document =
        "subscription($id: UUID!, $after: Cursor) { taskEvents(workspaceId: $id, after: $after) {
        kind fromStatus toStatus task { status agent { id runtime { id } } events { kind } } } }";
    let variables = json!({"id": world.workspace_id.0, "after": world.cursor().await});
    let mut events = world.host.subscribe(document, variables).await;
    world.enqueue(agent, json!({})).await;
    let agent = json!({"id": agent.0, "runtime": {"id": world.runtime_id.0}});
    assert_eq!(
        events.next().await["taskEvents"],
        json!({"kind": "QUEUED", "fromStatus": null, "toStatus": "QUEUED",
            "task": {"status": "QUEUED", "agent": agent, "events": [{"kind": "QUEUED"}]}})
    );
}

/// A task of its own issue from the board to its end: four events.
async fn finish(world: &World<'_>, agent: entity::id::AgentId) -> Claim {
    world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    let claim = world.run().await;
    world.complete(claim).await;
    claim
}

#[tokio::test]
async fn who_begins_while_a_late_writer_holds_back_what_the_hub_has_read_waits_for_no_further_event()
 {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, start) = (world.agent(1).await, world.cursor().await);
    let mut before = world.follow(&start).await;
    let first = world.enqueue(agent, json!({})).await;
    let second = world.enqueue(agent, json!({})).await;
    let seen = before.take(2).await;
    // It looked at the last position before the second was written, locks it only now, and will write nothing.
    let position: Cursor = seen[0].cursor.parse().unwrap();
    let late = format!("select pg_advisory_xact_lock_shared({})", position.0);
    let late = app.database.hold(&late).await;
    let mut behind = world.follow(&start).await;
    assert_eq!(behind.tasks(1).await, [first]);
    late.roll_back().await;
    assert_eq!(behind.tasks(1).await, [second]);
}
