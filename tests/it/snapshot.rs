//! The snapshot's long lists: read and written another way than single rows, and to clients the same.

use serde_json::json;
use uuid::Uuid;

use crate::harness::{TestApp, World};

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
