//! The banner of an issue: what is under way for it, from the moment of the enqueue.

use entity::id::TaskId;
use entity::member::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Client, Subscription, TestApp, World};

const DOCUMENT: &str = "subscription($id: UUID!) { issueTasks(issueId: $id) { issueId cursor
    activeTasks { id status agent { name } } } }";

#[tokio::test]
async fn a_banner_shows_what_runs_then_what_is_dispatched_then_what_waits() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let issue = Uuid::new_v4();
    let agents = [
        world.agent(1).await,
        world.agent(1).await,
        world.agent(1).await,
    ];
    let mut tasks = Vec::new();
    for agent in agents {
        tasks.push(world.enqueue(agent, json!({"issueId": issue})).await);
    }
    let first = world.run().await;
    let second = world.claim().await.expect("the second");
    assert_eq!([first.task_id, second.task_id], tasks[..2]);

    // The oldest is the furthest: by age alone, newest first, the order would be the other way round.
    let mut banner = open(&world.host, issue).await;
    let ordered = [
        (tasks[0], "RUNNING"),
        (tasks[1], "DISPATCHED"),
        (tasks[2], "QUEUED"),
    ];
    expect(&mut banner, &ordered).await;
}

#[tokio::test]
async fn a_banner_is_shown_anew_with_each_change() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, issue) = (world.agent(1).await, Uuid::new_v4());
    let mut banner = open(&world.host, issue).await;
    let mut last = expect(&mut banner, &[]).await;

    // What happens elsewhere is not shown.
    let elsewhere = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    let cancel = "mutation($id: UUID!) { cancelTask(taskId: $id) { id } }";
    world.host.data(cancel, json!({"id": elsewhere.0})).await;

    let task = world.enqueue(agent, json!({"issueId": issue})).await;
    let mut later = vec![expect(&mut banner, &[(task, "QUEUED")]).await];
    let claim = world.claim().await.expect("the task");
    later.push(expect(&mut banner, &[(task, "DISPATCHED")]).await);
    world.start(claim).await;
    later.push(expect(&mut banner, &[(task, "RUNNING")]).await);
    let successor = world.enqueue(agent, json!({"issueId": issue})).await;
    later.push(expect(&mut banner, &[(task, "RUNNING"), (successor, "QUEUED")]).await);
    world.complete(claim).await;
    later.push(expect(&mut banner, &[(successor, "QUEUED")]).await);
    app.database
        .execute(&format!(
            "update agent_task_queue set status = 'cancelled', completed_at = now() where issue_id = '{issue}'
             and status in ('queued', 'dispatched', 'running')"
        ))
        .await;
    later.push(expect(&mut banner, &[]).await);
    for cursor in later {
        assert!(cursor > last, "{cursor} comes after {last}");
        last = cursor;
    }
}

#[tokio::test]
async fn a_task_that_is_linked_to_the_issue_appears_on_its_banner() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, issue) = (world.agent(1).await, Uuid::new_v4());
    let task = world.enqueue(agent, json!({})).await;
    let mut banner = open(&world.host, issue).await;
    expect(&mut banner, &[]).await;
    app.database
        .execute(&format!(
            "update agent_task_queue set issue_id = '{issue}' where id = '{task}' and issue_id is null"
        ))
        .await;
    expect(&mut banner, &[(task, "QUEUED")]).await;
}

#[tokio::test]
async fn a_banner_shows_only_what_its_viewer_may_see() {
    let app = TestApp::start().await;
    let (world, elsewhere) = (World::new(&app).await, World::new(&app).await);
    let issue = Uuid::new_v4();
    let private = json!({"visibility": "PRIVATE"});
    let hidden = world.agent_of(&world.host, world.runtime_id, private).await;
    let agent = world.agent(1).await;
    let member = world.member(Role::Member).await;
    let mut banner = open(&member, issue).await;
    let mut other = open(&elsewhere.host, issue).await;
    expect(&mut banner, &[]).await;
    expect(&mut other, &[]).await;

    world.enqueue(hidden, json!({"issueId": issue})).await;
    let task = world.enqueue(agent, json!({"issueId": issue})).await;
    expect(&mut banner, &[(task, "QUEUED")]).await;
    // An issue's id means nothing in another workspace.
    let own = elsewhere.agent(1).await;
    let own = elsewhere.enqueue(own, json!({"issueId": issue})).await;
    expect(&mut other, &[(own, "QUEUED")]).await;
}

async fn open(client: &Client, issue: Uuid) -> Subscription {
    client.subscribe(DOCUMENT, json!({"id": issue})).await
}

/// Awaits the banner with these tasks; its cursor.
async fn expect(banner: &mut Subscription, tasks: &[(TaskId, &str)]) -> String {
    let shown = banner.next().await["issueTasks"].clone();
    assert_eq!(statuses(&shown["activeTasks"]), statuses_of(tasks));
    shown["cursor"].as_str().unwrap().to_owned()
}

fn statuses(tasks: &Value) -> Vec<(Value, Value)> {
    let tasks = tasks.as_array().unwrap().iter();
    tasks
        .map(|task| (task["id"].clone(), task["status"].clone()))
        .collect()
}

fn statuses_of(tasks: &[(TaskId, &str)]) -> Vec<(Value, Value)> {
    let tasks = tasks.iter();
    tasks
        .map(|(id, status)| (json!(id.0), json!(status)))
        .collect()
}
