//! A workspace in which every mutation does something.

use entity::id::{AgentId, TaskId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Claim, Client, Surface, TestApp, World};

/// A workspace in which everything can be done to something.
pub(super) struct Scene<'a> {
    pub(super) world: World<'a>,
    agent_id: AgentId,
    pub(super) archived_id: AgentId,
    host_id: Uuid,
    running: Claim,
    dispatched: Claim,
    failed: Claim,
    /// A task without an issue.
    unlinked: TaskId,
}

impl<'a> Scene<'a> {
    /// Sets one.
    pub(super) async fn set(app: &'a TestApp) -> Self {
        let world = World::new(app).await;
        Self::around(app, world, json!({"visibility": "WORKSPACE"})).await
    }

    /// Sets one with such an agent.
    pub(super) async fn around(app: &'a TestApp, world: World<'a>, more: Value) -> Self {
        let agent_id = world
            .agent_of(&world.host, world.runtime_id, more.clone())
            .await;
        let archived_id = world.agent_of(&world.host, world.runtime_id, more).await;
        app.database.archive_agent(archived_id).await;
        // The host application's one id for all that it names: issue, chat session, comment.
        let host_id = Uuid::new_v4();
        world
            .enqueue(agent_id, json!({"issueId": Uuid::new_v4()}))
            .await;
        let failed = world.run().await;
        world.fail(failed, "agent_error").await;
        world
            .enqueue(agent_id, json!({"issueId": Uuid::new_v4()}))
            .await;
        let running = world.run().await;
        world
            .enqueue(agent_id, json!({"issueId": Uuid::new_v4()}))
            .await;
        let dispatched = world.claim().await.unwrap();
        let unlinked = world
            .enqueue(
                agent_id,
                json!({"chatSessionId": host_id, "triggerCommentId": host_id}),
            )
            .await;
        world.enqueue(agent_id, json!({"issueId": host_id})).await;
        Self {
            world,
            agent_id,
            archived_id,
            host_id,
            running,
            dispatched,
            failed,
            unlinked,
        }
    }

    /// What a mutation is given, so that it does something here.
    fn given(&self, mutation: &str) -> Value {
        let Self {
            world,
            running,
            dispatched,
            ..
        } = self;
        let (workspace_id, runtime_id) = (world.workspace_id.0, world.runtime_id.0);
        let (agent_id, host_id) = (self.agent_id.0, self.host_id);
        match mutation {
            "createAgent" => {
                json!({"input": {"workspaceId": workspace_id, "name": "new", "runtimeId": runtime_id}})
            }
            "updateAgent" => json!({"id": agent_id, "input": {"name": "new"}}),
            "archiveAgent" => json!({"id": agent_id}),
            "restoreAgent" => json!({"id": self.archived_id.0}),
            "setAgentStatus" => json!({"id": agent_id, "status": "BLOCKED"}),
            "archiveAgentsByRuntime" => json!({"runtimeIds": [runtime_id]}),
            "registerRuntime" => json!({"input":
                {"workspaceId": workspace_id, "daemonId": "laptop", "provider": "claude", "name": "new"}}),
            "heartbeat" => {
                json!({"input": {"runtimeIds": [runtime_id], "holding": [running.input()]}})
            }
            "deregisterRuntime" => json!({"id": runtime_id}),
            "recoverOrphanedTasks" => json!({"runtimeId": runtime_id}),
            "enqueueTask" => json!({"input": {"agentId": agent_id}}),
            "enqueueQuickCreate" => json!({"input": {"agentId": agent_id, "prompt": "do"}}),
            "linkTaskToIssue" => json!({"taskId": self.unlinked.0, "issueId": Uuid::new_v4()}),
            "retryTask" => json!({"taskId": self.failed.task_id.0}),
            "rerunIssue" => json!({"issueId": host_id, "agentId": agent_id}),
            "cancelTask" => json!({"taskId": running.task_id.0}),
            "cancelByIssue" => json!({"issueId": host_id}),
            "cancelByAgent" => json!({"agentId": agent_id}),
            "cancelByTriggerComment" => json!({"commentId": host_id}),
            "cancelByChatSession" => json!({"chatSessionId": host_id}),
            "claimTask" => json!({"input": {"runtimeId": runtime_id}}),
            "claimTasks" => json!({"input": {"runtimeIds": [runtime_id], "max": 1}}),
            "startTask" => json!({"input": dispatched.input()}),
            "pinTaskSession" => json!({"input": running.with(json!({"sessionId": "s"}))}),
            "reportTaskProgress" => json!({"input": running.with(json!({"summary": "half"}))}),
            "appendTaskMessages" => {
                json!({"input": running.with(json!({"messages": [{"seq": 1, "type": "text"}]}))})
            }
            "reportTaskUsage" => {
                json!({"input": running.with(json!({"usage": [{"provider": "p", "model": "m"}]}))})
            }
            "completeTask" => json!({"input": running.input()}),
            "failTask" => json!({"input": running.with(json!({"error": "it broke"}))}),
            _ => panic!("what is {mutation} given?"),
        }
    }

    /// What comes of it when somebody tries: `done`, `nothing`, or the code of the refusal.
    pub(super) async fn outcome(
        &self,
        surface: &Surface,
        client: &Client,
        mutation: &str,
    ) -> String {
        let variables = self.given(mutation);
        let document = surface.field(mutation).document(&variables);
        let response = client.send(&document, variables).await;
        if let Some(error) = response["errors"].get(0) {
            return error["extensions"]["code"].as_str().unwrap().to_owned();
        }
        let answer = &response["data"][mutation];
        let nothing = answer.is_null() || answer.as_array().is_some_and(Vec::is_empty);
        if nothing { "nothing" } else { "done" }.to_owned()
    }
}
