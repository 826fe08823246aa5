//! One history under way: the same workspace on both sides.

use std::collections::{BTreeMap, BTreeSet};

use callboard::settings::Settings;
use entity::id::{AgentId, RuntimeId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::by_api::ByApi;
use super::super::by_queries::{ByQueries, Manner};
use super::super::deed::Deed;
use super::super::difference::Met;
use super::super::facts::{self, AGENT, Facts, NOTHING, TASK};
use super::super::readers;
use super::super::side::Side;
use super::super::statement::some;
use crate::harness::{TestApp, TestDatabase, World};

/// Agents: at home on which runtime, how much at once.
const AGENTS: [(&str, i32); 3] = [("runtime 0", 2), ("runtime 0", 1), ("runtime 1", 6)];

/// One history under way.
pub(super) struct Play<'a> {
    world: World<'a>,
    api: Side,
    queries: Side,
    /// The tasks that both have.
    pub(super) tasks: Vec<Facts>,
    named: usize,
}

impl<'a> Play<'a> {
    /// Sets up the same workspace on both sides.
    pub(super) async fn begin(app: &'a TestApp, database: &TestDatabase) -> Self {
        let world = World::new(app).await;
        let mut api = Side::new(&app.database, world.workspace_id.0).await;
        api.names.give("runtime 0", world.runtime_id.0);
        api.names
            .give("runtime 1", world.second_runtime("codex").await.0);
        let mut queries = Side::new(database, Uuid::new_v4()).await;
        let workspace = queries.workspace;
        let made = format!(
            "insert into workspace (id, slug, name) values ('{workspace}', 's-{workspace}', 'Test')"
        );
        queries.session.plain(&made).await;
        for runtime in ["runtime 0", "runtime 1"] {
            let id = Uuid::new_v4();
            queries.names.give(runtime, id);
            let made = format!(
                "insert into agent_runtime (id, workspace_id, daemon_id, name, provider, status, last_seen_at)
                 values ('{id}', '{workspace}', 'laptop', 'laptop', '{runtime}', 'online', now())"
            );
            queries.session.plain(&made).await;
        }
        for kind in ["issue", "chat", "run", "comment"] {
            for number in 0..3 {
                let (name, id) = (format!("{kind} {number}"), Uuid::new_v4());
                api.names.give(&name, id);
                queries.names.give(&name, id);
            }
        }
        let mut play = Self {
            world,
            api,
            queries,
            tasks: Vec::new(),
            named: 0,
        };
        for (number, (runtime, capacity)) in AGENTS.into_iter().enumerate() {
            play.make_agent(&format!("agent {number}"), runtime, capacity)
                .await;
        }
        play
    }

    /// Makes an agent on both sides.
    async fn make_agent(&mut self, name: &str, runtime: &str, capacity: i32) {
        let (env, mcp, config) = (
            json!({"KEY": "value"}),
            json!({"servers": {}}),
            json!({"a": 1}),
        );
        let more = json!({
            "name": name, "visibility": "WORKSPACE", "maxConcurrentTasks": capacity, "customEnv": env,
            "mcpConfig": mcp, "runtimeConfig": config, "model": "a model", "instructions": "be brief",
        });
        let home = RuntimeId(self.api.names.id(runtime));
        let AgentId(id) = self.world.agent_of(&self.world.host, home, more).await;
        self.api.names.give(name, id);
        let given = [
            some(self.queries.workspace),
            some(name),
            some(""),
            None,
            some("local"),
            some(config),
            self.queries.argument(runtime),
            some("workspace"),
            some(capacity),
            None,
            some("be brief"),
            some(env),
            some("[]"),
            some(mcp),
            some("a model"),
        ];
        let made = self
            .queries
            .session
            .one("CreateAgent", &given)
            .await
            .unwrap();
        self.queries.names.give(name, made.id("id"));
    }

    /// Does a deed on both sides and compares.
    pub(super) async fn step(
        &mut self,
        app: &TestApp,
        settings: &Settings,
        met: &mut Met,
        deed: &Deed,
        by_sql: bool,
    ) -> Result<(), String> {
        let manner = if by_sql {
            Manner::AsWritten
        } else {
            Manner::Callboard(met, self.deliveries().await)
        };
        let by_queries = ByQueries {
            side: &mut self.queries,
            manner,
        }
        .act(deed)
        .await;
        let by_api = if by_sql {
            let manner = Manner::AsWritten;
            ByQueries {
                side: &mut self.api,
                manner,
            }
            .act(deed)
            .await
        } else {
            let (side, world) = (&mut self.api, &self.world);
            ByApi {
                side,
                app,
                world,
                settings,
            }
            .act(deed)
            .await
        };

        let mut named = self.named;
        self.api.name_new_tasks(&mut named).await;
        self.queries.name_new_tasks(&mut self.named).await;
        self.order_ends().await;
        let (mut by_api, mut by_queries) = (self.api.words(by_api), self.queries.words(by_queries));
        if !matches!(deed, Deed::Claim { .. }) {
            // The queries promise no order of what they change.
            by_api
                .iter_mut()
                .chain(&mut by_queries)
                .for_each(|words| words.sort());
        }
        if by_api != by_queries {
            return Err(format!(
                "answered {by_api:?} by the API, {by_queries:?} by the queries"
            ));
        }
        self.compare().await
    }

    /// Compares every row and everything that can be read.
    async fn compare(&mut self) -> Result<(), String> {
        self.tasks = self.queries.tasks().await;
        facts::compare("the row of", &self.api.tasks().await, &self.tasks)?;
        let agents = self.queries.agents().await;
        facts::compare("the row of", &self.api.agents().await, &agents)?;
        self.compare_shown(&agents).await?;
        readers::compare(&self.world, &self.api, &mut self.queries).await
    }

    /// Compares what the API shows of every row with the rows.
    async fn compare_shown(&self, agents: &[Facts]) -> Result<(), String> {
        let document = "query($id: UUID!) { workspace(id: $id) {
            agents(includeArchived: true) {
                id name description avatarUrl runtimeMode runtimeConfig runtime { id } visibility status
                maxConcurrentTasks ownerId instructions customArgs model archivedAt archivedBy }
            tasks(first: 200) { nodes {
                id agentId runtimeId issueId chatSessionId autopilotRunId triggerCommentId triggerSummary
                parentTask { id } status priority attempt maxAttempts context result error failureReason sessionId
                workDir forceFreshSession isLeaderTask createdAt dispatchedAt startedAt completedAt claimExpiresAt
                progress { at } } } } }";
        let id = json!({"id": self.world.workspace_id.0});
        let data = self.world.host.data(document, id).await;
        let workspace = &data["workspace"];
        let names = &self.api.names;
        let list = |value: &Value| value.as_array().unwrap().clone();
        let mut by_api: Vec<Facts> = list(&workspace["tasks"]["nodes"])
            .iter()
            .map(|task| names.answer(&TASK, task))
            .collect();
        by_api.sort_by(|a, b| a["id"].cmp(&b["id"]));
        let rows: Vec<Facts> = self
            .tasks
            .iter()
            .map(|task| facts::shown(&TASK, task))
            .collect();
        facts::compare("what is shown of", &by_api, &rows)?;
        let by_api: Vec<Facts> = list(&workspace["agents"])
            .iter()
            .map(|agent| names.answer(&AGENT, agent))
            .collect();
        let rows: Vec<Facts> = agents
            .iter()
            .map(|agent| facts::shown(&AGENT, agent))
            .collect();
        facts::compare("what is shown of", &by_api, &rows)
    }

    /// Puts the ends of what one deed ended into one order on both sides.
    async fn order_ends(&mut self) {
        let had_ended: BTreeSet<&String> = self
            .tasks
            .iter()
            .filter(|task| task["completed_at"] != NOTHING)
            .map(|task| &task["id"])
            .collect();
        for side in [&mut self.api, &mut self.queries] {
            let tasks = side.tasks().await;
            let ended = tasks
                .iter()
                .filter(|task| task["completed_at"] != NOTHING && !had_ended.contains(&task["id"]));
            let ids: Vec<Uuid> = ended.map(|task| side.names.id(&task["id"])).collect();
            side.put_in_order("completed_at", &ids).await;
        }
    }

    /// How often each task was handed out, which only the API counts.
    async fn deliveries(&mut self) -> BTreeMap<String, i32> {
        let sql = format!(
            "select id, deliveries from agent_task_queue where workspace_id = '{}'",
            self.api.workspace
        );
        let rows = self.api.session.plain(&sql).await;
        rows.iter()
            .map(|row| (self.api.names.name(row.id("id")), row.number("deliveries")))
            .collect()
    }

    /// Takes the workspace off both sides.
    pub(super) async fn end(self, app: &TestApp, database: &TestDatabase) {
        for (database, workspace) in [
            (&app.database, self.api.workspace),
            (database, self.queries.workspace),
        ] {
            database
                .execute(&format!("delete from workspace where id = '{workspace}'"))
                .await;
        }
    }
}
