//! A workspace with people, daemons, agents and tasks in it, made through the front door.

use callboard::auth::{Daemon, Identity};
use entity::id::{AgentId, ClaimToken, MemberId, RuntimeId, TaskId, WorkspaceId};
use entity::member::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Client, TestApp};

/// A workspace, its host application and one daemon with one runtime.
pub(crate) struct World<'a> {
    app: &'a TestApp,
    pub(crate) workspace_id: WorkspaceId,
    /// The host application's backend.
    pub(crate) host: Client,
    /// The daemon `laptop`.
    pub(crate) daemon: Client,
    /// Its runtime `claude`.
    pub(crate) runtime_id: RuntimeId,
}

/// A claimed task, as its daemon knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) task_id: TaskId,
    pub(crate) token: ClaimToken,
}

impl Claim {
    /// As the field of an input.
    pub(crate) fn input(self) -> Value {
        json!({"taskId": self.task_id.0, "claimToken": self.token.0})
    }

    /// As an input with more fields.
    pub(crate) fn with(self, more: Value) -> Value {
        let mut input = self.input();
        merge(&mut input, more);
        input
    }

    /// The claim in a `TaskClaim`.
    pub(crate) fn of(claim: &Value) -> Self {
        Self {
            task_id: TaskId(uuid(&claim["task"]["id"])),
            token: ClaimToken(uuid(&claim["claimToken"])),
        }
    }
}

/// The UUID in a field of a response.
pub(crate) fn uuid(value: &Value) -> Uuid {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("{value} is not a UUID"))
}

impl<'a> World<'a> {
    /// A new one.
    pub(crate) async fn new(app: &'a TestApp) -> Self {
        let slug = Uuid::new_v4().simple().to_string();
        let workspace = callboard::workspace::create(&app.database.pool, &slug, "Test")
            .await
            .unwrap();
        let workspace_id = workspace.id;
        let host = app.client(Identity::Service { workspace_id }).await;
        let daemon = daemon(app, workspace_id, "laptop").await;
        let runtime_id = register(&daemon, workspace_id, "laptop", "claude").await;
        Self {
            app,
            workspace_id,
            host,
            daemon,
            runtime_id,
        }
    }

    /// Another daemon, with a runtime.
    pub(crate) async fn second_daemon(&self, daemon_id: &str) -> (Client, RuntimeId) {
        let client = daemon(self.app, self.workspace_id, daemon_id).await;
        let runtime_id = register(&client, self.workspace_id, daemon_id, "claude").await;
        (client, runtime_id)
    }

    /// Another runtime of the daemon.
    pub(crate) async fn second_runtime(&self, provider: &str) -> RuntimeId {
        register(&self.daemon, self.workspace_id, "laptop", provider).await
    }

    /// A person in the workspace.
    pub(crate) async fn member(&self, role: Role) -> Client {
        let member_id = MemberId(Uuid::new_v4());
        self.app
            .client(Identity::Member {
                workspace_id: self.workspace_id,
                member_id,
                role,
            })
            .await
    }

    /// An agent for everyone, on the daemon's runtime.
    pub(crate) async fn agent(&self, max_concurrent_tasks: i32) -> AgentId {
        let more = json!({"maxConcurrentTasks": max_concurrent_tasks, "visibility": "WORKSPACE"});
        self.agent_of(&self.host, self.runtime_id, more).await
    }

    /// An agent that somebody makes.
    pub(crate) async fn agent_of(
        &self,
        client: &Client,
        runtime_id: RuntimeId,
        more: Value,
    ) -> AgentId {
        let mut input =
            json!({"workspaceId": self.workspace_id.0, "name": "agent", "runtimeId": runtime_id.0});
        merge(&mut input, more);
        let data = client
            .data(
                "mutation($input: CreateAgentInput!) { createAgent(input: $input) { id } }",
                json!({"input": input}),
            )
            .await;
        AgentId(uuid(&data["createAgent"]["id"]))
    }

    /// Puts a task on the board; `more` are fields of the input.
    pub(crate) async fn enqueue(&self, agent_id: AgentId, more: Value) -> TaskId {
        let mut input = json!({"agentId": agent_id.0});
        merge(&mut input, more);
        let data = self
            .host
            .data(
                "mutation($input: EnqueueTaskInput!) { enqueueTask(input: $input) { task { id } } }",
                json!({"input": input}),
            )
            .await;
        TaskId(uuid(&data["enqueueTask"]["task"]["id"]))
    }

    /// Claims for the daemon's runtime; none where there is nothing to do.
    pub(crate) async fn claim(&self) -> Option<Claim> {
        claim(&self.daemon, self.runtime_id).await
    }

    /// Claims and starts.
    pub(crate) async fn run(&self) -> Claim {
        let claim = self.claim().await.expect("something to claim");
        self.start(claim).await;
        claim
    }

    /// Starts a claimed task.
    pub(crate) async fn start(&self, claim: Claim) -> Value {
        let document = "mutation($input: StartTaskInput!) { startTask(input: $input) { id status startedAt } }";
        self.daemon
            .data(document, json!({"input": claim.input()}))
            .await["startTask"]
            .clone()
    }

    /// Completes a running task.
    pub(crate) async fn complete(&self, claim: Claim) -> Value {
        let document = "mutation($input: CompleteTaskInput!) { completeTask(input: $input) { id status completedAt } }";
        self.daemon
            .data(document, json!({"input": claim.input()}))
            .await["completeTask"]
            .clone()
    }

    /// Fails a task for a reason.
    pub(crate) async fn fail(&self, claim: Claim, reason: &str) -> Value {
        let document = "mutation($input: FailTaskInput!) { failTask(input: $input) {
            task { id status failureReason } retry { id attempt } } }";
        let mut input = claim.input();
        merge(
            &mut input,
            json!({"error": "it broke", "failureReason": reason}),
        );
        self.daemon.data(document, json!({"input": input})).await["failTask"].clone()
    }

    /// A task's status.
    pub(crate) async fn status(&self, task_id: TaskId) -> String {
        let data = self
            .host
            .data(
                "query($id: UUID!) { task(id: $id) { status } }",
                json!({"id": task_id.0}),
            )
            .await;
        data["task"]["status"].as_str().unwrap().to_owned()
    }
}

/// Claims for a runtime of somebody's.
pub(crate) async fn claim(daemon: &Client, runtime_id: RuntimeId) -> Option<Claim> {
    let document =
        "mutation($id: UUID!) { claimTask(input: {runtimeId: $id}) { claimToken task { id } } }";
    let data = daemon.data(document, json!({"id": runtime_id.0})).await;
    let claim = &data["claimTask"];
    (!claim.is_null()).then(|| Claim::of(claim))
}

async fn daemon(app: &TestApp, workspace_id: WorkspaceId, daemon_id: &str) -> Client {
    app.client(Identity::Daemon(Daemon {
        workspace_id,
        daemon_id: daemon_id.to_owned(),
    }))
    .await
}

async fn register(
    daemon: &Client,
    workspace_id: WorkspaceId,
    daemon_id: &str,
    provider: &str,
) -> RuntimeId {
    let input = json!({"workspaceId": workspace_id.0, "daemonId": daemon_id, "provider": provider, "name": daemon_id});
    let document =
        "mutation($input: RegisterRuntimeInput!) { registerRuntime(input: $input) { id } }";
    let data = daemon.data(document, json!({"input": input})).await;
    RuntimeId(uuid(&data["registerRuntime"]["id"]))
}

/// Adds the fields of one object to another.
pub(crate) fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}
