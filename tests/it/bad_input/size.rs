//! Documents that ask for too much.

use serde_json::json;
use uuid::Uuid;

use crate::harness::{TestApp, World};

/// What tools ask of a schema.
const INTROSPECTION: &str = "query IntrospectionQuery { __schema { description
    queryType { name } mutationType { name } subscriptionType { name } types { ...FullType }
    directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
    fragment FullType on __Type { kind name description specifiedByURL
        fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue }
            type { ...TypeRef } isDeprecated deprecationReason }
        inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef }
        enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
        possibleTypes { ...TypeRef } }
    fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
    fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
        ofType { kind name ofType { kind name ofType { kind name } } } } } } } }";

/// A document of so many fragments, each of which contains the next in some way.
fn fragments(count: usize, spread: impl Fn(usize) -> String) -> String {
    let fragment = |i: usize| format!("fragment F{i} on Query {{ {} }}", spread(i + 1));
    let all: Vec<String> = (0..count).map(fragment).collect();
    format!(
        "{{ ...F0 }} {} fragment F{count} on Query {{ viewer {{ kind }} }}",
        all.join(" ")
    )
}

#[tokio::test]
async fn a_document_that_asks_for_too_much_is_too_complex() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let aliases: Vec<String> = (0..1001)
        .map(|i| format!("a{i}: viewer {{ kind }}"))
        .collect();
    let pages = "tasks(first: 200) { nodes { agent { ".repeat(4) + "id" + &" } } }".repeat(4);
    let workspace = format!("workspace(id: \"{}\")", world.workspace_id);
    let around = "agents { runtime { ".repeat(7) + "id" + &" } }".repeat(7);
    let variables: Vec<String> = (0..10_000).map(|i| format!("$v{i}: Int")).collect();
    let cases = [
        ("aliases", format!("{{ {} }}", aliases.join(" "))),
        (
            "pages of pages",
            format!("{{ {workspace} {{ agents {{ {pages} }} }} }}"),
        ),
        (
            "lists within lists",
            format!(
                "{{ {workspace} {{ agents {{ runtime {{ agents {{ runtime {{ agents {{ runtime {{ agents {{ id }} }} }} }} }} }} }} }} }}"
            ),
        ),
        (
            "deeper than the limit",
            format!("{{ {workspace} {{ {around} }} }}"),
        ),
        (
            "deeper than a parser goes",
            format!("{{ {} kind {} }}", "viewer { ".repeat(100), "}".repeat(100)),
        ),
        (
            "deeper than a stack goes",
            format!(
                "{{ {} kind {} }}",
                "viewer { ".repeat(50_000),
                "}".repeat(50_000)
            ),
        ),
        (
            "fragments that multiply",
            fragments(40, |next| format!("...F{next} ...F{next}")),
        ),
        (
            "a long chain of fragments",
            fragments(3000, |next| format!("...F{next}")),
        ),
        (
            "directives",
            format!(
                "{{ viewer {{ kind {} }} }}",
                "@skip(if: true) ".repeat(10_000)
            ),
        ),
        (
            "variables",
            format!("query({}) {{ viewer {{ kind }} }}", variables.join(" ")),
        ),
        (
            "fragments in a ring",
            "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }".to_owned(),
        ),
    ];
    for (name, document) in cases {
        let error = world.host.error(&document, json!({})).await;
        assert_eq!(error.code, "QUERY_TOO_COMPLEX", "{name}: {}", error.message);
        assert!(
            error.message.len() < 1000,
            "{name}: {} bytes",
            error.message.len()
        );
    }
}

#[tokio::test]
async fn lists_that_lead_back_to_themselves_are_too_complex() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let workspace = format!("workspace(id: \"{}\")", world.workspace_id);
    let runtime = format!("runtime(id: \"{}\")", world.runtime_id);
    let task = format!("task(id: \"{}\")", Uuid::nil());
    let cases = [
        (
            "events of events",
            format!(
                "{{ {task} {{ events {{ task {{ events {{ task {{ events {{ task {{ events {{ cursor }} }} }} }} }} }} }} }} }}"
            ),
        ),
        (
            "lines of lines",
            format!(
                "{{ {runtime} {{ claimCandidates {{ task {{ agent {{ runtime {{ claimCandidates {{ task {{ agent {{ runtime {{
                claimCandidates {{ claimable }} }} }} }} }} }} }} }} }} }} }}"
            ),
        ),
        (
            "blockers of blockers",
            format!(
                "{{ {task} {{ waiting {{ blockedBy {{ task {{ waiting {{ blockedBy {{ task {{ waiting {{ blockedBy {{
                task {{ waiting {{ position }} }} }} }} }} }} }} }} }} }} }} }}"
            ),
        ),
        (
            "transcripts of many tasks",
            format!(
                "{{ {workspace} {{ tasks(first: 200) {{ nodes {{ events {{ task {{ messages {{ seq }} }} }} }} }} }} }}"
            ),
        ),
        (
            "the schema many times over",
            format!("{{ __schema {{ types {{ {}", "fields { type { ".repeat(3)) + "name" + &" } }".repeat(3) + " } } }",
        ),
    ];
    for (name, document) in cases {
        let error = world.host.error(&document, json!({})).await;
        assert_eq!(error.code, "QUERY_TOO_COMPLEX", "{name}: {}", error.message);
    }
}

#[tokio::test]
async fn pages_whose_sizes_would_overflow_are_refused() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let pages =
        "tasks(first: 2147483647) { nodes { agent { ".repeat(4) + "id" + &" } } }".repeat(4);
    let document = format!("query($id: UUID!) {{ agent(id: $id) {{ {pages} }} }}");
    let error = world
        .host
        .error(&document, json!({"id": world.agent(1).await.0}))
        .await;
    assert_eq!(error.code, "QUERY_TOO_COMPLEX", "{}", error.message);
}

#[tokio::test]
async fn what_a_front_end_asks_for_is_not_too_complex() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent_id = world.agent(1).await;
    let task_id = world.enqueue(agent_id, json!({})).await;
    let task = "id status priority createdAt dispatchedAt startedAt completedAt attempt maxAttempts issueId error
        failureReason triggerSummary progress { summary step total at }";
    let presence = "agentId availability workload runningCount queuedCount capacity";
    let agent = format!("id name description avatarUrl status visibility ownerId model runtime {{ id name status lastSeenAt }}
        presence {{ {presence} }} runningTaskCount customEnvKeys hasMcpConfig");
    let documents = [
        format!("query($id: UUID!) {{ workspace(id: $id) {{ id slug name agents {{ {agent} }} runtimes {{ id name status provider }}
            snapshot {{ cursor activeTasks {{ {task} }} latestOutcomes {{ {task} }} presence {{ {presence} }} }} }} }}"),
        format!("query($id: UUID!) {{ workspace(id: $id) {{ tasks(first: 200) {{ nodes {{ {task} }}
            pageInfo {{ hasNextPage endCursor }} }} }} }}"),
    ];
    world.host.data(INTROSPECTION, json!({})).await;
    for document in documents {
        world
            .host
            .data(&document, json!({"id": world.workspace_id.0}))
            .await;
    }
    let document = format!(
        "query($id: UUID!) {{ task(id: $id) {{ {task} agent {{ {agent} }} parentTask {{ id }}
        usage {{ provider model inputTokens outputTokens }} events {{ kind at fromStatus toStatus }}
        messages {{ seq type tool content input output at }} }} }}"
    );
    world.host.data(&document, json!({"id": task_id.0})).await;
}

#[tokio::test]
async fn nothing_that_nests_is_deep_enough_to_end_the_server() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent_id = world.agent(1).await;
    for depth in [
        30, 100, 200, 300, 400, 500, 600, 700, 800, 1000, 10_000, 100_000,
    ] {
        let lists = "[".repeat(depth) + &"]".repeat(depth);
        let objects = "{a: ".repeat(depth) + "1" + &"}".repeat(depth);
        for context in [lists, objects] {
            let document = format!(
                "mutation {{ enqueueTask(input: {{agentId: \"{agent_id}\", context: {context}}}) {{ task {{ context }} }} }}"
            );
            // Whether it is refused is the parser's to say.
            world.host.send(&document, json!({})).await;
        }
        let variables = format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        let body = format!(
            "{{\"query\": \"query($a: JSON) {{ viewer {{ kind }} }}\", \"variables\": {variables}}}"
        );
        world.host.send_body(body).await;
    }
    world.host.data("{ viewer { kind } }", json!({})).await;
}
