//! Reading along in transcripts: each line once and in order, whoever writes it and however it comes about.

use std::time::Duration;

use callboard::auth::Identity;
use callboard::settings::{Edge, Settings};
use entity::id::TaskId;
use entity::member::Role;
use serde_json::{Value, json};

use crate::harness::{Claim, Client, Socket, Subscription, TestApp, World};

const APPEND: &str =
    "mutation($input: AppendTaskMessagesInput!) { appendTaskMessages(input: $input) { id } }";

const LINES: &str = "subscription($id: UUID!, $after: Int!) {
    taskMessages(taskId: $id, afterSeq: $after) { seq content } }";

#[tokio::test]
async fn what_is_there_comes_first_and_then_each_new_line_wherever_it_is_written() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let second = app.second_server().await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    append(&world.daemon, claim, 1..=450).await;
    let mut whole = read(&world.host, claim.task_id, 0).await;
    let mut rest = read(&world.host, claim.task_id, 449).await;
    expect(&mut whole, 1..=450).await;
    expect(&mut rest, 450..=450).await;

    append(&world.daemon, claim, 451..=452).await;
    append(&world.daemon.at(second.address), claim, 452..=453).await;
    insert(&app, claim.task_id, 454).await;
    // Also after the end of the task.
    world.complete(claim).await;
    append(&world.daemon, claim, 455..=455).await;
    for reading in [&mut whole, &mut rest] {
        expect(reading, 451..=455).await;
    }
}

#[tokio::test]
async fn a_line_is_told_at_once_and_not_found_by_looking_now_and_then() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let second = app.second_server().await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    let mut here = read(&world.host, claim.task_id, 0).await;
    let mut there = read(&world.host.at(second.address), claim.task_id, 0).await;
    let listening = "select count(*) from pg_stat_activity
        where datname = current_database() and query ilike 'listen %'";
    app.database.until(&format!("({listening}) = 2")).await;
    let began = tokio::time::Instant::now();
    for seq in 1..=20 {
        if seq % 2 == 0 {
            append(&world.daemon, claim, seq..=seq).await;
        } else {
            insert(&app, claim.task_id, seq).await;
        }
        expect(&mut here, seq..=seq).await;
        expect(&mut there, seq..=seq).await;
    }
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_batch_that_is_committed_before_the_one_in_front_of_it_waits_for_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    let mut reading = read(&world.host, claim.task_id, 0).await;
    let earlier = app.database.hold(&insertion(claim.task_id, 1)).await;
    insert(&app, claim.task_id, 2).await;
    // Rung for, looked for, and kept back.
    world.until_read(&world.host).await;
    earlier.commit().await;
    expect(&mut reading, 1..=2).await;
    // What never comes is not waited for without end.
    insert(&app, claim.task_id, 4).await;
    expect(&mut reading, 4..=4).await;
}

#[tokio::test]
async fn nothing_is_lost_while_the_line_to_the_database_is_cut() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (line, server) = app.server_on_a_line(Settings::default()).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    let mut reading = read(&world.host.at(server.address), claim.task_id, 0).await;
    append(&world.daemon, claim, 1..=2).await;
    expect(&mut reading, 1..=2).await;
    line.cut();
    append(&world.daemon, claim, 3..=4).await;
    line.mend();
    append(&world.daemon, claim, 5..=5).await;
    expect(&mut reading, 3..=5).await;
}

#[tokio::test]
async fn one_whose_socket_is_stalled_while_it_looks_holds_nobody_up() {
    let settings = Settings {
        edge: Edge {
            write_timeout: Duration::from_hours(1),
            ..Edge::default()
        },
        ..Settings::default()
    };
    let app = TestApp::with(settings).await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let start = world.cursor().await;
    let task = world.enqueue(agent, json!({})).await;
    insert(&app, task, 1).await;
    let token = app.token(Identity::Admin).await;
    let mut stalled = Socket::acknowledged(app.address(), &token).await;
    let variables = json!({"id": task.0, "after": 0});
    stalled.subscribe("lines", LINES, variables).await;
    assert_eq!(stalled.receive().await["id"], "lines");

    // It looks for lines, and has got no answer when its socket can take no more.
    let held = "lock table task_message in access exclusive mode";
    let held = app.database.hold(held).await;
    app.database.put_many(agent, world.runtime_id, 10).await;
    app.database.until_waiting(1).await;
    let change =
        "update agent_task_queue set progress_at = now(), context = to_jsonb(repeat('x', 60000))";
    app.database.execute(change).await;
    let hot = "subscription($id: UUID!, $after: Cursor) {
        taskEvents(workspaceId: $id, after: $after) { task { context } } }";
    let variables = json!({"id": world.workspace_id.0, "after": start});
    for number in 0..100 {
        let id = number.to_string();
        stalled.subscribe(&id, hot, variables.clone()).await;
    }
    assert_eq!(stalled.receive().await["type"], "next");
    world.follow(&start).await.take(22).await;

    let mut other = read(&world.host, task, 0).await;
    held.roll_back().await;
    expect(&mut other, 1..=1).await;
    for seq in 2..=4 {
        insert(&app, task, seq).await;
        expect(&mut other, seq..=seq).await;
    }
    drop(stalled);
}

#[tokio::test]
async fn a_transcript_is_read_by_those_who_may_see_the_task_and_for_so_long() {
    let app = TestApp::start().await;
    let (world, elsewhere) = (World::new(&app).await, World::new(&app).await);
    let member = world.member(Role::Member).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let error = read(&elsewhere.host, task, 0).await.error().await;
    assert_eq!(error.code, "NOT_FOUND");
    let error = read(&world.host, task, -1).await.error().await;
    assert_eq!(error.code, "BAD_USER_INPUT");

    let mut reading = read(&member, task, 0).await;
    insert(&app, task, 1).await;
    expect(&mut reading, 1..=1).await;
    app.database
        .execute("update agent set visibility = 'private'")
        .await;
    insert(&app, task, 2).await;
    assert_eq!(reading.error().await.code, "NOT_FOUND");
}

async fn read(client: &Client, task: TaskId, after_seq: i32) -> Subscription {
    let variables = json!({"id": task.0, "after": after_seq});
    client.subscribe(LINES, variables).await
}

async fn expect(reading: &mut Subscription, lines: std::ops::RangeInclusive<i32>) {
    for seq in lines {
        let line = reading.next().await["taskMessages"].clone();
        assert_eq!(line, json!({"seq": seq, "content": format!("line {seq}")}));
    }
}

async fn append(daemon: &Client, claim: Claim, lines: std::ops::RangeInclusive<i32>) {
    let lines: Vec<Value> = lines
        .map(|seq| json!({"seq": seq, "type": "text", "content": format!("line {seq}")}))
        .collect();
    let input = claim.with(json!({"messages": lines}));
    daemon.data(APPEND, json!({"input": input})).await;
}

async fn insert(app: &TestApp, task: TaskId, seq: i32) {
    app.database.execute(&insertion(task, seq)).await;
}

fn insertion(task: TaskId, seq: i32) -> String {
    format!(
        "insert into task_message (task_id, seq, type, content) values ('{task}', {seq}, 'text', 'line {seq}')"
    )
}
