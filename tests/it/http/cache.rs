//! A document that was read before is not the answer to another request.

use callboard::auth::Identity;
use serde_json::json;

use crate::harness::{TestApp, World};

#[tokio::test]
async fn a_document_that_was_read_before_is_executed_for_whoever_asks_and_with_their_variables() {
    let app = TestApp::start().await;
    let (one, other) = (World::new(&app).await, World::new(&app).await);
    let admin = app.client(Identity::Admin).await;
    let document = "query Named($id: UUID!) { viewer { kind } workspace(id: $id) { id } }";
    for _ in 0..3 {
        for (client, id, kind, found) in [
            (&one.host, one.workspace_id, "SERVICE", true),
            (&one.host, other.workspace_id, "SERVICE", false),
            (&other.host, other.workspace_id, "SERVICE", true),
            (&admin, other.workspace_id, "ADMIN", true),
        ] {
            let response = client.send(document, json!({"id": id.0})).await;
            let data = &response["data"];
            assert_eq!(data["viewer"]["kind"], kind);
            assert_eq!(data["workspace"]["id"] == json!(id.0), found, "{response}");
        }
        let error = one.host.error(document, json!({})).await;
        assert_eq!(error.code, "BAD_USER_INPUT");
    }
}
