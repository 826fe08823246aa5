//! What a claim looks at: not more with what is finished or held back, and whatever the statistics were taken from.

use entity::id::{AgentId, RuntimeId};
use serde_json::json;

use crate::harness::{TestApp, World};

/// Agents on the runtime; each has a few tasks that wait.
const AGENTS: usize = 20;

/// The first agent is at work in a chat session in which so many tasks wait before all others.
async fn block_the_head(app: &TestApp, agent: AgentId, runtime: RuntimeId, tasks: usize) {
    app.database
        .execute(&format!(
            "insert into agent_task_queue (agent_id, runtime_id, chat_session_id, status, dispatched_at, started_at)
             values ('{agent}', '{runtime}', '{agent}', 'running', now(), now());
             insert into agent_task_queue (agent_id, runtime_id, chat_session_id, priority)
             select '{agent}', '{runtime}', '{agent}', 9 from generate_series(1, {tasks})"
        ))
        .await;
}

/// Finished tasks of an agent.
async fn finish(app: &TestApp, agent: AgentId, runtime: RuntimeId, tasks: usize) {
    app.database
        .execute(&format!(
            "insert into agent_task_queue (agent_id, runtime_id, status, completed_at)
             select '{agent}', '{runtime}', 'completed', now() from generate_series(1, {tasks})"
        ))
        .await;
}

/// Tasks that run elsewhere, for another agent.
async fn occupy(app: &TestApp, world: &World<'_>, runtime: RuntimeId, tasks: usize) {
    let agent = world.agent_of(&world.host, runtime, json!({})).await;
    app.database
        .execute(&format!(
            "insert into agent_task_queue (agent_id, runtime_id, issue_id, status, dispatched_at, started_at)
             select '{agent}', '{runtime}', gen_random_uuid(), 'running', now(), now() from generate_series(1, {tasks})"
        ))
        .await;
}

#[tokio::test]
async fn a_claim_costs_the_same_whatever_waits_or_is_finished_and_whatever_is_known_of_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let runtime = world.runtime_id;
    let mut agents = Vec::new();
    for _ in 0..AGENTS {
        agents.push(world.agent(6).await);
    }
    for agent in &agents {
        app.database.put_many(*agent, runtime, 3).await;
    }
    let claims = [
        format!("select * from task_agents_to_claim(array['{runtime}']::uuid[], null, '{{}}', 1)"),
        format!(
            "select * from task_next_claimable('{runtime}', '{}')",
            agents[0]
        ),
    ];
    // Statistics from a time in which nothing was active.
    app.database
        .execute("update agent_task_queue set status = 'cancelled', completed_at = now()")
        .await;
    app.database.execute("analyze").await;
    for agent in &agents {
        app.database.put_many(*agent, runtime, 3).await;
    }
    block_the_head(&app, agents[0], runtime, 50).await;
    let mut small = Vec::new();
    for claim in &claims {
        small.push(app.database.buffers(claim).await);
    }

    app.database
        .execute("delete from agent_task_queue where status in ('queued', 'running')")
        .await;
    block_the_head(&app, agents[0], runtime, 20_000).await;
    for agent in &agents {
        app.database.put_many(*agent, runtime, 3).await;
    }
    finish(&app, agents[0], runtime, 20_000).await;
    let elsewhere = world.second_runtime("codex").await;
    occupy(&app, &world, elsewhere, 5000).await;
    for statistics in ["select 1", "vacuum analyze"] {
        app.database.execute(statistics).await;
        for (claim, small) in claims.iter().zip(&small) {
            let large = app.database.buffers(claim).await;
            assert!(
                large <= small * 4,
                "{large} buffers instead of {small} after {statistics:?}: {claim}"
            );
        }
    }
    // They came to where they are by no transition, from which the status would have followed.
    app.database
        .execute("update agent_task_queue set status = 'cancelled', completed_at = now() where status = 'running'")
        .await;
}

#[tokio::test]
async fn an_agent_is_found_as_soon_while_somebody_holds_a_snapshot() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(6).await;
    let others = "insert into agent (workspace_id, name, runtime_id)
                  select workspace_id, 'agent ' || i, runtime_id from agent, generate_series(1, 200) as i";
    app.database.execute(others).await;
    let snapshot = app
        .database
        .hold("set transaction isolation level repeatable read")
        .await;
    snapshot.execute("select from workspace").await;
    let found = format!("select from agent where id = '{agent}' for no key update");
    let before = app.database.buffers(&found).await;
    // As tasks come and go, for all of them at once.
    let change = "update agent set status = case status when 'idle' then 'working' else 'idle' end";
    for _ in 0..60 {
        app.database.execute(change).await;
    }
    let after = app.database.buffers(&found).await;
    assert!(after <= before + 12, "{after} buffers instead of {before}");
    snapshot.commit().await;
}
