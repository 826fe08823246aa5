//! What many subscribers want to know is asked of the database once, as a server that logs its statements says.

use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::server;
use crate::harness::{Client, PATIENCE, TestApp, World};

/// How a statement begins that observes presence, reads a banner, finds a token's owner.
const PRESENCE: &str = "select agent.id as";
const BANNER: &str = r#"SELECT \"agent_task_queue\""#;
const TOKEN: &str = "select api_token";

#[tokio::test]
async fn a_change_is_looked_at_once_for_all_who_watch() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(9).await;
    let issue = Uuid::new_v4();
    let (log, logged) = watch::channel(String::new());
    let filter = "info,sqlx=debug";
    let (_process, address) = server::run(&app.database.options, filter, &log).await;
    let host = world.host.at(address);
    let presence = "subscription($id: UUID!) { agentPresence(workspaceId: $id) { queuedCount } }";
    let banner = "subscription($id: UUID!) { issueTasks(issueId: $id) { activeTasks { id } } }";
    let mut watching = Vec::new();
    for _ in 0..8 {
        let workspace = json!({"id": world.workspace_id.0});
        watching.push(host.subscribe(presence, workspace).await);
        watching.push(host.subscribe(banner, json!({"id": issue})).await);
    }
    for subscription in &mut watching {
        subscription.next().await;
    }
    let before = logged_after_this(&host, &logged).await;
    world.enqueue(agent, json!({"issueId": issue})).await;
    for subscription in &mut watching {
        subscription.next().await;
    }
    let after = logged_after_this(&host, &logged).await;
    let more = |statement: &str| count(&after, statement) - count(&before, statement);
    assert_eq!(more(PRESENCE), 1);
    assert_eq!(more(BANNER), 1);
}

/// What has been logged up to now: a request comes last, and what it asks of the database.
async fn logged_after_this(host: &Client, logged: &watch::Receiver<String>) -> String {
    let mut logged = logged.clone();
    let known = count(&logged.borrow(), TOKEN);
    host.data("{ viewer { kind } }", json!({})).await;
    let log = logged.wait_for(|log| count(log, TOKEN) > known);
    tokio::time::timeout(PATIENCE, log)
        .await
        .expect("it is logged in time")
        .unwrap()
        .clone()
}

fn count(log: &str, statement: &str) -> usize {
    log.matches(&format!("summary=\"{statement}")).count()
}
