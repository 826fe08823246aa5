//! Operations: counted by what the schema calls them and by how they ended, and by nothing that a client makes up.

use callboard::auth::Identity;
use serde_json::json;
use uuid::Uuid;

use super::page::Page;
use super::{QUERY, page, until};
use crate::harness::{Client, Events, Socket, TestApp, World};

const ENDED: &str = "callboard_operations_total";
const TOOK: &str = "callboard_operation_duration_seconds";
const REFUSED: &str = "callboard_refusals_total";

const CANCEL: &str = "mutation($id: UUID!) { cancelTask(taskId: $id) { id } }";

fn ended(page: &Page, kind: &str, field: &str, code: &str) -> u64 {
    page.count(ENDED, &[("kind", kind), ("field", field), ("code", code)])
}

fn took(page: &Page, kind: &str, field: &str) -> u64 {
    let name = format!("{TOOK}_count");
    page.count(&name, &[("kind", kind), ("field", field)])
}

#[tokio::test]
async fn they_count_by_their_root_field_and_the_code_that_they_end_with() {
    let app = TestApp::start().await;
    let client = app.client(Identity::Admin).await;
    let missing = json!({"id": Uuid::new_v4()});
    client.data(QUERY, json!({})).await;
    client
        .data("{ mine: viewer { kind } __typename }", json!({}))
        .await;
    client.error(CANCEL, missing).await;
    let page = page(app.address()).await;
    assert_eq!(ended(&page, "query", "viewer", "OK"), 2);
    assert_eq!(took(&page, "query", "viewer"), 2);
    assert_eq!(ended(&page, "mutation", "cancelTask", "NOT_FOUND"), 1);
    assert_eq!(ended(&page, "mutation", "cancelTask", "OK"), 0);
    assert_eq!(took(&page, "mutation", "cancelTask"), 1);
}

#[tokio::test]
async fn several_root_fields_and_introspection_have_a_word_of_their_own() {
    let app = TestApp::start().await;
    let client = app.client(Identity::Admin).await;
    for document in [
        "{ a: viewer { kind } b: viewer { kind } }",
        "{ __typename }",
        "query unknown { __schema { types { name } } }",
    ] {
        client.data(document, json!({})).await;
    }
    let page = page(app.address()).await;
    assert_eq!(ended(&page, "query", "several", "OK"), 1);
    assert_eq!(ended(&page, "query", "introspection", "OK"), 2);
    assert_eq!(ended(&page, "query", "viewer", "OK"), 0);
}

#[tokio::test]
async fn what_a_client_makes_up_adds_no_label() {
    let app = TestApp::start().await;
    let client = app.client(Identity::Admin).await;
    let before = page(app.address()).await;
    for document in [
        "query Zinnober { viewer { kind } }",
        "{ zinnober: viewer { kind } }",
        "{ zinnober }",
        "mutation { zinnober { id } }",
        "subscription { zinnober { id } }",
        "query { ...zinnober }",
    ] {
        client.send(document, json!({})).await;
    }
    let named = json!({"query": "query A { viewer { kind } }", "operationName": "zinnober"});
    client.send_body(named.to_string()).await;
    let after = page(app.address()).await;
    for name in [ENDED, TOOK] {
        for label in ["kind", "field"] {
            let (before, after) = (before.labelled(name, label), after.labelled(name, label));
            assert_eq!(before, after, "{name} {label}");
        }
    }
    assert_eq!(
        after
            .labelled(ENDED, "code")
            .into_iter()
            .collect::<Vec<_>>(),
        ["BAD_USER_INPUT", "OK"]
    );
    // The subscription is asked for where only queries and mutations are.
    assert_eq!(ended(&after, "query", "unknown", "BAD_USER_INPUT"), 4);
    assert_eq!(ended(&after, "mutation", "unknown", "BAD_USER_INPUT"), 1);
}

#[tokio::test]
async fn what_is_refused_before_it_is_executed_counts_by_its_code_alone() {
    let app = TestApp::start().await;
    let client = app.client(Identity::Admin).await;
    let stranger = Client::new(app.address(), "nobody's");
    stranger.error(QUERY, json!({})).await;
    client.error("{", json!({})).await;
    client.send_body("no JSON").await;
    let mut socket = Socket::open(app.address(), Some(crate::harness::PROTOCOL)).await;
    socket.initialise("nobody's").await;
    socket.closed().await;
    let page = page(app.address()).await;
    assert_eq!(page.count(REFUSED, &[("code", "UNAUTHENTICATED")]), 2);
    assert_eq!(page.count(REFUSED, &[("code", "BAD_USER_INPUT")]), 2);
    let codes = page.labelled(ENDED, "code");
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["OK"]);
}

#[tokio::test]
async fn a_subscription_is_open_until_it_ends_and_counts_then() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let of_issue = "subscription($id: UUID!) { issueTasks(issueId: $id) { activeTasks { id } } }";
    let open = |page: &Page| page.count("callboard_subscriptions", &[("field", "issueTasks")]);
    let mut banner = world
        .host
        .subscribe(of_issue, json!({"id": Uuid::new_v4()}))
        .await;
    banner.next().await;
    let meanwhile = page(app.address()).await;
    assert_eq!(open(&meanwhile), 1);
    assert_eq!(meanwhile.count("callboard_sockets", &[]), 1);
    assert_eq!(ended(&meanwhile, "subscription", "issueTasks", "OK"), 0);
    drop(banner);
    let is_over = |page: &Page| {
        open(page) == 0
            && ended(page, "subscription", "issueTasks", "OK") == 1
            && page.count("callboard_sockets", &[]) == 0
    };
    until(app.address(), is_over).await;
}

#[tokio::test]
async fn a_subscription_that_is_refused_counts_with_the_code() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let events = "subscription($id: UUID!) { taskEvents(workspaceId: $id) { kind } }";
    let elsewhere = json!({"id": Uuid::new_v4()});
    let mut refused = world.host.subscribe(events, elsewhere).await;
    assert_eq!(refused.error().await.code, "NOT_FOUND");
    let open = |page: &Page| page.count("callboard_subscriptions", &[("field", "taskEvents")]);
    let counted = |page: &Page| {
        ended(page, "subscription", "taskEvents", "NOT_FOUND") == 1 && open(page) == 0
    };
    until(app.address(), counted).await;
}

#[tokio::test]
async fn an_event_stream_is_open_until_it_is_left() {
    let app = TestApp::start().await;
    let token = app.token(Identity::Admin).await;
    let _client = Client::new(app.address(), "");
    let document = "subscription($id: UUID!) { issueTasks(issueId: $id) { activeTasks { id } } }";
    let body = json!({"query": document, "variables": {"id": Uuid::new_v4()}});
    let request = reqwest::Client::new()
        .post(format!("http://{}/graphql/stream", app.address()))
        .bearer_auth(token)
        .header("accept", "text/event-stream")
        .header("content-type", "application/json")
        .body(body.to_string());
    let mut events = Events::of(request).await;
    events.data().await;
    let meanwhile = page(app.address()).await;
    assert_eq!(meanwhile.count("callboard_event_streams", &[]), 1);
    let open = |page: &Page| page.count("callboard_subscriptions", &[("field", "issueTasks")]);
    assert_eq!(open(&meanwhile), 1);
    drop(events);
    let is_left = |page: &Page| page.count("callboard_event_streams", &[]) == 0 && open(page) == 0;
    until(app.address(), is_left).await;
}
