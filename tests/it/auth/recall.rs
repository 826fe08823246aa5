//! A server remembers whose a token is. That it does not hold any longer is noticed all the same, by everything that it is
//! shown for.

use entity::member::Role;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::scene::Scene;
use crate::harness::{Client, Surface, TestApp, World};

/// How a token ends, and how that is taken back.
const ENDS: [(&str, &str); 2] = [
    (
        "update api_token set revoked_at = now()",
        "update api_token set revoked_at = null",
    ),
    (
        "update api_token set expires_at = now()",
        "update api_token set expires_at = null",
    ),
];

/// Shows the token, so that it is remembered.
async fn show(client: &Client) {
    client.data("{ viewer { kind } }", json!({})).await;
}

/// The code of the refusal of an enqueue.
async fn refusal(client: &Client, input: Value) -> Option<String> {
    let enqueued = client.mutate("enqueueTask", input).await;
    enqueued.err().map(|error| error.code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_for_a_token_that_has_ended() {
    let app = TestApp::start().await;
    let scene = Scene::set(&app).await;
    let surface = Surface::of(&scene.world.host).await;
    let member = scene.world.member(Role::Owner).await;
    for (end, take_back) in ENDS {
        for client in [&scene.world.host, &scene.world.daemon, &member] {
            for mutation in surface.mutations() {
                show(client).await;
                app.database.execute(end).await;
                let before = app.database.contents().await;
                let outcome = scene.outcome(&surface, client, &mutation).await;
                // What is never a host's, or never a daemon's, may be refused for that.
                let is_refused = ["UNAUTHENTICATED", "FORBIDDEN"].contains(&&*outcome);
                assert!(is_refused, "{mutation}: {outcome}");
                assert_eq!(app.database.contents().await, before, "{mutation}");
                app.database.execute(take_back).await;
            }
        }
    }
}

#[tokio::test]
async fn what_ends_is_refused_as_a_token_that_nobody_has() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let member = world.member(Role::Owner).await;
    for (client, end) in [
        (&member, "delete from member"),
        (
            &world.host,
            "update api_token set revoked_at = now() where kind = 'service'",
        ),
    ] {
        let task = json!({"agentId": agent.0, "issueId": Uuid::new_v4()});
        assert_eq!(refusal(client, task.clone()).await, None);
        app.database.execute(end).await;
        let document =
            "mutation($input: EnqueueTaskInput!) { enqueueTask(input: $input) { task { id } } }";
        let body = json!({"query": document, "variables": {"input": task}});
        let (status, answer) = client.send_body(body.to_string()).await;
        assert_eq!(status, 401, "{answer}");
        assert_eq!(answer.get("data"), None);
    }
}

#[tokio::test]
async fn a_member_enqueues_in_the_role_that_they_have_by_now() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let more = json!({"visibility": "PRIVATE"});
    let agent = world.agent_of(&world.host, world.runtime_id, more).await;
    let member = world.member(Role::Member).await;
    for (role, expected) in [
        ("member", Some("NOT_FOUND")),
        ("admin", None),
        ("member", Some("NOT_FOUND")),
        ("owner", None),
    ] {
        let update = format!("update member set role = '{role}'");
        app.database.execute(&update).await;
        let task = json!({"agentId": agent.0, "issueId": Uuid::new_v4()});
        let refused = refusal(&member, task).await;
        assert_eq!(refused.as_deref(), expected, "{role}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_token_has_ended_disturbs_nobody_of_those_who_ask_beside_them() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let members: Vec<Client> = join_all((0..8).map(|_| world.member(Role::Owner))).await;
    join_all(members.iter().map(show)).await;
    let end_one = "update api_token set revoked_at = now() where id = (
                     select id from api_token where kind = 'member' order by id offset 3 limit 1)";
    app.database.execute(end_one).await;
    // The first is kept from going on until all the others wait together.
    let log = app.database.hold_event_log().await;
    let enqueues = members.iter().map(|member| {
        refusal(
            member,
            json!({"agentId": agent.0, "issueId": Uuid::new_v4()}),
        )
    });
    let (refused, ()) = tokio::join!(join_all(enqueues), async {
        app.database.until_waiting(1).await;
        log.commit().await;
    });
    let refused: Vec<String> = refused.into_iter().flatten().collect();
    assert_eq!(refused, ["UNAUTHENTICATED"]);
    assert_eq!(app.database.event_count("queued").await, 7);
}
