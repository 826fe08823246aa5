//! The snapshot's long lists: read and written another way than single rows, and to clients the same.

use entity::id::AgentId;
use entity::member::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Client, TestApp, World};

/// All that a task has of its own, and something of each sort that it refers to.
const FIELDS: &str = "id agentId runtimeId issueId chatSessionId autopilotRunId triggerCommentId status priority
    createdAt dispatchedAt startedAt completedAt claimExpiresAt attempt maxAttempts triggerSummary context result
    error failureReason sessionId workDir forceFreshSession isLeaderTask progress { summary step total at }
    parentTask { id } agent { name } usage { model }";

#[tokio::test]
async fn a_task_in_the_snapshot_is_as_it_is_alone_in_each_of_its_fields() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    fill(&app, &world, agent.0).await;
    let workspace = json!({"workspace": world.workspace_id.0});
    let document = format!(
        "query($workspace: UUID!) {{ workspace(id: $workspace) {{ snapshot {{
             activeTasks {{ {FIELDS} }} latestOutcomes {{ {FIELDS} }} }} }} }}"
    );
    let data = world.host.data(&document, workspace).await;
    let snapshot = &data["workspace"]["snapshot"];
    for (list, status) in [("activeTasks", "RUNNING"), ("latestOutcomes", "FAILED")] {
        let listed = &snapshot[list][0];
        assert_eq!(listed["status"], status);
        let document = format!("query($id: UUID!) {{ task(id: $id) {{ {FIELDS} }} }}");
        let alone = world
            .host
            .data(&document, json!({"id": listed["id"]}))
            .await;
        assert_eq!(*listed, alone["task"]);
        assert_eq!(listed["context"], json!({"of": status.to_lowercase()}));
        let nulls = listed.as_object().unwrap().iter();
        let nulls: Vec<_> = nulls.filter(|(_, value)| value.is_null()).collect();
        // An active task has not ended, and one that has ended need not be started any more.
        assert!(nulls.len() <= 1, "{nulls:?}");
    }
}

#[tokio::test]
async fn a_field_is_in_the_snapshot_whatever_else_is_asked_for() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    fill(&app, &world, agent.0).await;
    let all = format!("{FIELDS} events {{ kind }}");
    for (list, status) in [("activeTasks", "running"), ("latestOutcomes", "failed")] {
        let sql = format!("select id from agent_task_queue where status = '{status}'");
        let id: Uuid = app.database.rows(&sql).await[0]
            .try_get_by_index(0)
            .unwrap();
        let document = format!("query($id: UUID!) {{ task(id: $id) {{ {all} }} }}");
        let alone = world.host.data(&document, json!({"id": id})).await;
        for field in fields(&world).await {
            let name = field.as_str();
            let asked = match name {
                "progress" => "progress { summary step total at }",
                "parentTask" => "parentTask { id }",
                "agent" => "agent { name }",
                "usage" => "usage { model }",
                "events" => "events { kind }",
                // Only of what is queued, or told in pages.
                "waiting" | "messages" => continue,
                other => other,
            };
            // By itself, and as what an event shows of its task.
            let document = format!(
                "query($workspace: UUID!) {{ workspace(id: $workspace) {{ snapshot {{ {list} {{ ...F }} }} }} }}
                 fragment F on Task {{ {asked} }}"
            );
            let workspace = json!({"workspace": world.workspace_id.0});
            let data = world.host.data(&document, workspace.clone()).await;
            let listed = &data["workspace"]["snapshot"][list];
            assert_eq!(*listed, json!([{name: alone["task"][name]}]), "{list}");

            let below = document.replace("...F", "events { task { ...F } }");
            let data = world.host.data(&below, workspace).await;
            let shown = &data["workspace"]["snapshot"][list][0]["events"][0]["task"];
            assert_eq!(*shown, json!({name: alone["task"][name]}), "{list}, below");
        }
    }
}

/// The fields of a task.
async fn fields(world: &World<'_>) -> Vec<String> {
    let document = "{ __type(name: \"Task\") { fields { name } } }";
    let data = world.host.data(document, json!({})).await;
    let fields = data["__type"]["fields"].as_array().unwrap().iter();
    fields
        .map(|field| field["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn fields_are_chosen_in_the_snapshot_as_anywhere() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    world.enqueue(agent, json!({"priority": 7})).await;
    let name = world
        .host
        .data(
            "query($id: UUID!) { agent(id: $id) { name } }",
            json!({"id": agent.0}),
        )
        .await["agent"]["name"]
        .clone();
    let document = "query($workspace: UUID!, $no: Boolean! = false) { workspace(id: $workspace) { snapshot {
            once: activeTasks { __typename urgency: priority ...Own ... on Task { maxAttempts } ... { attempt } }
            twice: activeTasks { agent { id } priority agent { name } priority }
            skipped: activeTasks { priority id @include(if: $no) status @skip(if: $no) }
            presence { __typename agentId agent { name } queuedCount } } } }
        fragment Own on Task { status agentId agent { ...Whose } }
        fragment Whose on Agent { name }";
    let data = world
        .host
        .data(document, json!({"workspace": world.workspace_id.0}))
        .await;
    let expected = json!({
        "once": [{"__typename": "Task", "urgency": 7, "status": "QUEUED", "agentId": agent.0,
            "agent": {"name": name}, "maxAttempts": 2, "attempt": 1}],
        "twice": [{"agent": {"id": agent.0, "name": name}, "priority": 7}],
        "skipped": [{"priority": 7, "status": "QUEUED"}],
        "presence": [{"__typename": "AgentPresence", "agentId": agent.0, "agent": {"name": name},
            "queuedCount": 1}],
    });
    assert_eq!(data["workspace"]["snapshot"], expected);
}

/// An agent, its availability, its workload, and how many of its tasks run and wait.
type Expected = (AgentId, &'static str, &'static str, (i32, i32));

#[tokio::test]
async fn the_snapshot_tells_each_viewer_how_everyone_is_whom_they_see() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (desktop, desktop_runtime) = world.second_daemon("desktop").await;
    let (server, server_runtime) = world.second_daemon("server").await;
    let (owner, stranger) = (
        world.member(Role::Member).await,
        world.member(Role::Member).await,
    );
    let open = json!({"visibility": "WORKSPACE"});
    let private = json!({"visibility": "PRIVATE"});
    let busy = world.agent(3).await;
    let mover = world.agent(1).await;
    let hidden = world.agent_of(&owner, desktop_runtime, private).await;
    let away = world.agent_of(&world.host, server_runtime, open).await;
    let archived = world.agent(1).await;

    for agent in [busy, busy, mover] {
        world
            .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
            .await;
        world.run().await;
    }
    for agent in [busy, busy, hidden] {
        world
            .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
            .await;
    }
    world.claim().await.expect("a task that is handed over");
    // Its task stays where it is, out of its new daemon's sight.
    app.database.move_agent(mover, desktop_runtime).await;
    app.database.archive_agent(archived).await;
    app.database.fall_silent(desktop_runtime, "1 min").await;
    app.database.fall_silent(server_runtime, "6 min").await;

    let of_busy: Expected = (busy, "ONLINE", "WORKING", (2, 2));
    let of_mover: Expected = (mover, "UNSTABLE", "WORKING", (1, 0));
    let of_hidden: Expected = (hidden, "UNSTABLE", "QUEUED", (0, 1));
    let of_away: Expected = (away, "OFFLINE", "IDLE", (0, 0));
    for (viewer, expected) in [
        (&world.host, vec![of_busy, of_mover, of_hidden, of_away]),
        (&owner, vec![of_busy, of_mover, of_hidden, of_away]),
        (&stranger, vec![of_busy, of_mover, of_away]),
        (&world.daemon, vec![of_busy]),
        (&desktop, vec![of_mover, of_hidden]),
        (&server, vec![of_away]),
    ] {
        assert_presence(viewer, world.workspace_id.0, &expected).await;
    }
}

/// Makes sure that a viewer is told this in the snapshot, and by the agents themselves.
async fn assert_presence(viewer: &Client, workspace_id: Uuid, expected: &[Expected]) {
    let fields = "agentId availability workload runningCount queuedCount";
    let document = format!(
        "query($workspace: UUID!) {{ workspace(id: $workspace) {{
             agents {{ presence {{ {fields} }} }} snapshot {{ presence {{ {fields} }} }} }} }}"
    );
    let data = viewer
        .data(&document, json!({"workspace": workspace_id}))
        .await;
    let data = &data["workspace"];
    let expected = expected.iter().map(|(id, availability, workload, counts)| {
        json!({"agentId": id.0, "availability": availability, "workload": workload,
            "runningCount": counts.0, "queuedCount": counts.1})
    });
    let expected = by_agent(expected);
    let told = data["snapshot"]["presence"].as_array().unwrap();
    assert_eq!(by_agent(told.iter().cloned()), expected);
    let agents = data["agents"].as_array().unwrap().iter();
    let alone = by_agent(agents.map(|agent| agent["presence"].clone()));
    assert_eq!(alone, expected);
}

fn by_agent(rows: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut rows: Vec<Value> = rows.collect();
    rows.sort_by_key(|row| row["agentId"].to_string());
    rows
}

#[tokio::test]
async fn an_agent_s_latest_outcome_is_found_however_long_ago_it_was() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (busy, idle) = (world.agent(1).await, world.agent(1).await);
    let runtime = world.runtime_id;
    for (agent, hours) in [(busy, [1, 2, 40]), (idle, [90, 25, 30])] {
        for ago in hours {
            app.database
                .execute(&format!(
                    "insert into agent_task_queue (agent_id, runtime_id, status, completed_at, trigger_summary)
                     values ('{agent}', '{runtime}', 'completed', now() - interval '{ago} h', '{ago} h ago'),
                         ('{agent}', '{runtime}', 'cancelled', now(), 'cancelled')"
                ))
                .await;
        }
    }
    let document = "query($workspace: UUID!) { workspace(id: $workspace) { snapshot {
        latestOutcomes { agentId triggerSummary } } } }";
    let data = world
        .host
        .data(document, json!({"workspace": world.workspace_id.0}))
        .await;
    let outcomes = data["workspace"]["snapshot"]["latestOutcomes"].as_array();
    let expected = [(busy, "1 h ago"), (idle, "25 h ago")]
        .map(|(id, summary)| json!({"agentId": id.0, "triggerSummary": summary}));
    assert_eq!(
        by_agent(outcomes.unwrap().iter().cloned()),
        by_agent(expected.into_iter())
    );
}

/// Puts a running task and a failed one on the board, in which no two columns of one type are alike.
async fn fill(app: &TestApp, world: &World<'_>, agent: Uuid) {
    let runtime = world.runtime_id;
    app.database
        .execute(&format!(
            "insert into agent_task_queue (agent_id, runtime_id, issue_id, status, completed_at)
             values ('{agent}', '{runtime}', gen_random_uuid(), 'cancelled', now());
             insert into agent_task_queue (
                 agent_id, runtime_id, issue_id, chat_session_id, autopilot_run_id, trigger_comment_id, trigger_summary,
                 status, priority, created_at, dispatched_at, started_at, completed_at, claim_token, claim_expires_at,
                 claim_request_id, deliveries, attempt, max_attempts, parent_task_id, context, result, error,
                 failure_reason, session_id, work_dir, force_fresh_session, is_leader_task, progress_summary,
                 progress_step, progress_total, progress_at)
             select '{agent}', '{runtime}', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
                 'asked', state, 1, now() - interval '1 h', now() - interval '2 h', now() - interval '3 h',
                 case when state = 'failed' then now() - interval '4 h' end, gen_random_uuid(),
                 now() + interval '5 h', gen_random_uuid(), 2, 3, 4, (select id from agent_task_queue limit 1),
                 jsonb_build_object('of', state), '{{\"came\": \"of it\"}}', 'wrong', 'timeout', 'session', '/work',
                 state = 'running', state <> 'running', 'doing', 5, 6, now() - interval '6 h'
             from unnest(array['running', 'failed']) as state;
             update agent set status = 'working' where id = '{agent}'"
        ))
        .await;
}
