//! What a server is made of: its own counts.

use callboard::auth::Identity;
use serde_json::json;

use super::page::Page;
use super::{QUERY, page};
use crate::harness::TestApp;

#[tokio::test]
async fn several_servers_in_a_process_count_apart() {
    let app = TestApp::start().await;
    let second = app.second_server().await;
    let client = app.client(Identity::Admin).await;
    client.data(QUERY, json!({})).await;
    let asked = |page: &Page| {
        let labels = [("kind", "query"), ("field", "viewer"), ("code", "OK")];
        page.count("callboard_operations_total", &labels)
    };
    assert_eq!(asked(&page(app.address()).await), 1);
    assert_eq!(asked(&page(second.address).await), 0);
    client.at(second.address).data(QUERY, json!({})).await;
    assert_eq!(asked(&page(app.address()).await), 1);
    assert_eq!(asked(&page(second.address).await), 1);
}
