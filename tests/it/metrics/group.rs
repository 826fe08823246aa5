//! What is done together.

use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::page;
use crate::harness::{TestApp, World};

#[tokio::test]
async fn requests_are_counted_with_those_that_they_were_done_with() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let of = [("verb", "enqueue")];
    let before = page(app.address()).await;
    assert_eq!(before.count("callboard_group_requests_sum", &of), 0);
    let issues = (0..20).map(|_| json!({"issueId": Uuid::new_v4()}));
    join_all(issues.map(|issue| world.enqueue(agent, issue))).await;
    let after = page(app.address()).await;
    assert_eq!(after.count("callboard_group_requests_sum", &of), 20);
    let transactions = after.count("callboard_group_requests_count", &of);
    assert!((1..=20).contains(&transactions), "{transactions}");
    assert_eq!(after.count("callboard_group_waiting", &of), 0);
    assert_eq!(after.count("callboard_group_refused_total", &of), 0);
}

#[tokio::test]
async fn what_waits_for_a_lock_is_done_again_alone() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.claim().await.expect("the task");
    let held = app.database.hold_agent(agent).await;
    let of = [("verb", "start")];
    let (_, ()) = tokio::join!(world.start(claim), async {
        let alone = |page: &super::Page| page.count("callboard_group_alone_total", &of) == 1;
        super::until(app.address(), alone).await;
        held.commit().await;
    });
    let page = page(app.address()).await;
    assert_eq!(page.count("callboard_group_requests_sum", &of), 1);
}
