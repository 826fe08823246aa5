//! A workspace with so many of everything, and a server on a line on which is counted.

use callboard::settings::Settings;
use serde_json::{Value, json};
use uuid::Uuid;

use super::declared;
use crate::harness::{Client, PATIENCE, Proxy, TestApp, TestServer, World};

/// How often a read is made: what happens in the background only ever adds, so the least is what it costs.
const TRIES: usize = 5;

/// How many connections are open before statements are counted: more than are in use at any moment.
const CONNECTIONS: usize = 8;

/// What the hub reads of the log and the ringer rings, now and then and after every commit.
const IN_THE_BACKGROUND: [&str; 5] = [
    "task_low_water_mark_",
    "agent_day_close()",
    "task_event_page(",
    "task_event_horizon()",
    "pg_notify('callboard'",
];

/// The workspace and the server.
pub(super) struct Scene {
    // In this order: the server is stopped before its line is cut and its database dropped.
    _server: TestServer,
    line: Proxy,
    pub(super) host: Client,
    pub(super) daemon: Client,
    pub(super) variables: Value,
    pub(super) app: TestApp,
}

impl Scene {
    /// Sets one up: so many agents, each with a task of every state, so many of an issue, so many runtimes.
    pub(super) async fn set(rows: usize) -> Self {
        let app = TestApp::start().await;
        let world = World::new(&app).await;
        let issue = Uuid::new_v4();
        let (workspace, runtime) = (world.workspace_id, world.runtime_id);
        app.database.execute(&format!(
            "insert into agent_runtime (workspace_id, daemon_id, name, provider, status)
             select '{workspace}', 'laptop', 'more', 'p' || n, 'online' from generate_series(1, {rows}) as n;
             insert into agent (workspace_id, name, runtime_id, visibility)
             select '{workspace}', 'agent ' || n, '{runtime}', 'workspace' from generate_series(1, {rows}) as n;
             insert into agent_task_queue (agent_id, runtime_id, issue_id, status, completed_at, claim_token)
             select agent.id, agent.runtime_id, '{issue}', state.name,
                 case when state.name in ('completed', 'failed', 'cancelled') then now() end,
                 gen_random_uuid()
             from agent, unnest(array['queued', 'running', 'completed', 'failed', 'cancelled']) as state (name)
             where agent.workspace_id = '{workspace}';
             update agent_task_queue set parent_task_id = (select min(id::text)::uuid from agent_task_queue);
             update agent set status = 'working';
             insert into task_usage (task_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens)
             select id, 'p', 'm', 1, 1, 1, 1 from agent_task_queue;
             insert into task_message (task_id, seq, type, content)
             select id, seq, 'text', 'said' from agent_task_queue, generate_series(1, 3) as seq"
        ))
        .await;
        // Nothing sweeps while statements are counted: but for the first time, which is awaited below.
        let settings = Settings {
            sweep_interval: std::time::Duration::from_hours(24),
            ..Settings::default()
        };
        let (line, server) = app.server_on_a_line(settings).await;
        let swept = async {
            let first = |sql: &String| sql.contains("delete from agent_runtime");
            while !line.tally.statements().iter().any(first) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, swept)
            .await
            .expect("the server sweeps when it starts");
        let (host, daemon) = (
            world.host.at(server.address),
            world.daemon.at(server.address),
        );
        // Nor is a connection opened: that takes a statement too.
        let tables = "lock table agent_task_queue in access exclusive mode";
        let held = app.database.hold(tables).await;
        let task = json!({"id": Uuid::new_v4()});
        let reads = (0..CONNECTIONS)
            .map(|_| host.data("query($id: UUID!) { task(id: $id) { id } }", task.clone()));
        app.database.collide(held.commit(), reads.collect()).await;
        let variables = json!({
            "workspace": workspace.0, "runtime": runtime.0, "issue": issue,
            "agents": ids(&app, "agent").await, "runtimes": ids(&app, "agent_runtime").await,
        });
        drop(world);
        Self {
            _server: server,
            line,
            host,
            daemon,
            variables,
            app,
        }
    }

    /// The fewest statements that a read was answered by.
    pub(super) async fn least(&self, client: &Client, document: &str) -> Vec<String> {
        let mut least: Option<Vec<String>> = None;
        for _ in 0..TRIES {
            self.line.tally.clear();
            client
                .data(document, declared(document, &self.variables))
                .await;
            let executed = self.line.tally.statements();
            if least
                .as_ref()
                .is_none_or(|least| executed.len() < least.len())
            {
                least = Some(executed);
            }
        }
        least.unwrap()
    }

    /// The running tasks, as their daemon holds them.
    pub(super) async fn held(&self) -> Vec<Value> {
        let sql =
            "select id::text, claim_token::text from agent_task_queue where status = 'running'";
        let text = |row: &sea_orm::QueryResult, index: usize| -> String {
            row.try_get_by_index(index).unwrap()
        };
        let rows = self.app.database.rows(sql).await;
        rows.iter()
            .map(|row| json!({"taskId": text(row, 0), "claimToken": text(row, 1)}))
            .collect()
    }

    /// The statements that a mutation was answered by.
    pub(super) async fn of(
        &self,
        client: &Client,
        mutation: &str,
        given: Value,
    ) -> (Value, Vec<String>) {
        self.line.tally.clear();
        let answer = client.mutate(mutation, given).await.unwrap();
        let mut executed = self.line.tally.statements();
        executed.retain(|sql| !IN_THE_BACKGROUND.iter().any(|part| sql.contains(part)));
        (answer, executed)
    }
}

/// The ids of a table's rows.
async fn ids(app: &TestApp, table: &str) -> Vec<String> {
    let rows = app
        .database
        .rows(&format!("select id::text from {table}"))
        .await;
    rows.iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}
