//! The page is what `docs/metrics.md` says, and says nothing that is not for everybody.

use std::collections::BTreeMap;

use callboard::auth::Identity;
use serde_json::json;
use uuid::Uuid;

use super::{get, page};
use crate::harness::{Client, TestApp, World};

#[tokio::test]
async fn it_is_in_the_text_format_and_for_whoever_reaches_the_port() {
    let app = TestApp::start().await;
    let response = get(app.address()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(!page(app.address()).await.metrics.is_empty());
}

#[tokio::test]
async fn the_table_of_the_document_is_what_the_page_says() {
    let app = TestApp::start().await;
    let stranger = Client::new(app.address(), "nobody's");
    stranger.error(super::QUERY, json!({})).await;
    let page = page(app.address()).await;
    let said = page.metrics.iter().map(|(name, metric)| {
        let labels: Vec<&str> = metric.labels().into_iter().collect();
        let row = [
            metric.kind.clone(),
            labels.join(", "),
            metric.meaning.clone(),
        ];
        (name.clone(), row)
    });
    let said: BTreeMap<String, [String; 3]> = said.collect();
    assert_eq!(documented(), said);
}

#[tokio::test]
async fn it_has_nothing_of_a_tenant_in_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let issue = Uuid::new_v4();
    world.enqueue(agent, json!({"issueId": issue})).await;
    let claim = world.run().await;
    let token = app.token(Identity::Admin).await;
    let host = Client::new(app.address(), &token);
    let document = format!("query Of{} {{ viewer {{ kind }} }}", issue.simple());
    host.data(&document, json!({})).await;
    world.complete(claim).await;
    let text = get(app.address()).await.text().await.unwrap();
    let ids = [
        world.workspace_id.0,
        world.runtime_id.0,
        agent.0,
        issue,
        claim.task_id.0,
        claim.token.0,
    ];
    for id in ids {
        assert!(!text.contains(&id.to_string()), "{id}");
        assert!(!text.contains(&id.simple().to_string()), "{id}");
    }
    for secret in [token.as_str(), "laptop", "cb_"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

/// The rows of the table, by the name.
fn documented() -> BTreeMap<String, [String; 3]> {
    let document = include_str!("../../../docs/metrics.md");
    let rows = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `callboard_"));
    let rows = rows.map(|row| {
        let cells = row.trim_end_matches('|').split(" | ");
        let cells: Vec<String> = cells.map(|cell| cell.trim().to_owned()).collect();
        let [name, kind, labels, meaning] = cells.try_into().expect("four columns");
        let name = format!("callboard_{}", name.trim_end_matches('`'));
        (name, [kind, labels.replace('`', ""), meaning])
    });
    rows.collect()
}
