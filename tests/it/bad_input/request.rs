//! Bodies that are no request, and documents that are none.

use serde_json::{Value, json};

use crate::harness::{Client, TestApp, World};

/// The most bytes of a body.
const LIMIT: usize = 4 * 1024 * 1024;

/// The status and the code of the first error.
async fn answer(client: &Client, body: impl Into<reqwest::Body>) -> (u16, String) {
    let (status, response) = client.send_body(body).await;
    let code = response["errors"][0]["extensions"]["code"].as_str();
    (
        status,
        code.unwrap_or_else(|| panic!("no code in {response}"))
            .to_owned(),
    )
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let bodies: [&[u8]; 14] = [
        b"",
        b" ",
        b"{",
        b"null",
        b"true",
        b"7",
        b"\"{ viewer { kind } }\"",
        b"viewer { kind }",
        b"[]",
        b"{\"query\": 7}",
        b"{\"query\": \"{ viewer { kind } }\", \"variables\": [1]}",
        b"{\"query\": \"{ viewer { kind } }\"} {}",
        b"\xff\xfe{}",
        b"query=%7Bviewer%7Bkind%7D%7D",
    ];
    for body in bodies {
        let told = String::from_utf8_lossy(body).into_owned();
        let answer = answer(&world.host, body).await;
        assert_eq!(answer, (400, "BAD_USER_INPUT".to_owned()), "{told}");
    }
}

#[tokio::test]
async fn several_requests_in_one_body_are_refused() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let one = json!({"query": "{ viewer { kind } }"});
    for batch in [
        json!([one]),
        json!([one, one]),
        json!(["{ viewer { kind } }"]),
    ] {
        let answer = answer(&world.host, batch.to_string()).await;
        assert_eq!(answer, (400, "BAD_USER_INPUT".to_owned()), "{batch}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_and_one_at_the_limit_is_read() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let padded = |size: usize| {
        let body = json!({"query": "{ viewer { kind } }"}).to_string();
        let padding = " ".repeat(size - body.len());
        body + &padding
    };
    let (status, response) = world.host.send_body(padded(LIMIT)).await;
    assert_eq!(
        (status, &response["data"]["viewer"]["kind"]),
        (200, &json!("SERVICE"))
    );
    let answer = answer(&world.host, padded(LIMIT + 1)).await;
    assert_eq!(answer, (413, "PAYLOAD_TOO_LARGE".to_owned()));
}

#[tokio::test]
async fn a_document_that_is_none_is_refused() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let cases: [(&str, &str); 13] = [
        ("", ""),
        ("viewer { kind }", ""),
        ("{ viewer { kind }", ""),
        ("{ viewer }", "viewer"),
        ("{ viewer { kind { deeper } } }", "kind"),
        ("{ viewer { colour } }", "colour"),
        ("{ viewer(colour: 1) { kind } }", "colour"),
        ("{ viewer { kind @colour } }", "colour"),
        ("{ viewer { ...Missing } }", "Missing"),
        ("query($id: Colour) { viewer { kind } }", "Colour"),
        (
            "query A { viewer { kind } } query B { viewer { kind } }",
            "",
        ),
        ("mutation { dropTable { id } }", "dropTable"),
        ("subscription { viewer { kind } }", "viewer"),
    ];
    let before = app.database.contents().await;
    for (document, says) in cases {
        let error = world.host.error(document, json!({})).await;
        assert_eq!(
            error.code, "BAD_USER_INPUT",
            "{document}: {}",
            error.message
        );
        assert!(
            error.message.contains(says),
            "{document}: {}",
            error.message
        );
    }
    assert_eq!(app.database.contents().await, before);
}

#[tokio::test]
async fn one_bad_mutation_of_a_document_leaves_the_others_undone() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent_id = world.agent(1).await;
    let before = app.database.contents().await;
    let document = "mutation($id: UUID!) {
        good: enqueueTask(input: {agentId: $id}) { task { id } }
        bad: enqueueTask(input: {agentId: \"nonsense\"}) { task { id } } }";
    let error = world.host.error(document, json!({"id": agent_id.0})).await;
    assert_eq!(error.code, "BAD_USER_INPUT");
    assert_eq!(app.database.contents().await, before);
}

#[tokio::test]
async fn the_character_nul_is_left_out_wherever_text_goes_in() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let text = json!("a\0b");
    let object = json!({"k\0ey": ["a\0b"]});
    let input = json!({"workspaceId": world.workspace_id.0, "runtimeId": world.runtime_id.0, "name": text, "description": text,
        "avatarUrl": text, "instructions": text, "model": text, "visibility": "WORKSPACE", "runtimeConfig": object,
        "customEnv": {"K\0EY": "a\0b"}, "customArgs": ["a\0b"], "mcpConfig": object});
    let agent = world.host.mutate("createAgent", input).await.unwrap();
    assert_eq!(agent["name"], "ab");
    assert_eq!(agent["runtimeConfig"], json!({"key": ["ab"]}));
    assert_eq!(agent["customArgs"], json!(["ab"]));
    assert_eq!(agent["customEnvKeys"], json!(["KEY"]));

    let input = json!({"workspaceId": world.workspace_id.0, "daemonId": "lap\0top", "provider": "clau\0de", "name": text,
        "deviceInfo": text, "metadata": object});
    let runtime = world.daemon.mutate("registerRuntime", input).await.unwrap();
    assert_eq!(runtime["id"], json!(world.runtime_id.0));
    assert_eq!(runtime["metadata"], json!({"key": ["ab"]}));

    let input = json!({"agentId": agent["id"], "triggerSummary": text, "context": object});
    let enqueued = world.host.mutate("enqueueTask", input).await.unwrap();
    let claim = world.run().await;
    let held: [(&str, Value); 5] = [
        (
            "pinTaskSession",
            json!({"sessionId": text, "workDir": text}),
        ),
        ("reportTaskProgress", json!({"summary": text})),
        (
            "appendTaskMessages",
            json!({"messages": [
            {"seq": 1, "type": text, "tool": text, "content": text, "input": object, "output": text}]}),
        ),
        (
            "reportTaskUsage",
            json!({"usage": [{"provider": text, "model": text}]}),
        ),
        ("failTask", json!({"error": text, "failureReason": text})),
    ];
    for (mutation, more) in held {
        world
            .daemon
            .mutate(mutation, claim.with(more))
            .await
            .unwrap();
    }
    let document = "query($id: UUID!) { task(id: $id) { triggerSummary context error failureReason sessionId workDir
        progress { summary } usage { model } messages { type tool content input output } } }";
    let task = world
        .host
        .data(document, json!({"id": enqueued["task"]["id"]}))
        .await["task"]
        .clone();
    assert!(!task.to_string().contains("\\u0000"), "{task}");
    assert_eq!(task["error"], "ab");
    assert_eq!(task["messages"][0]["input"], json!({"key": ["ab"]}));
}
