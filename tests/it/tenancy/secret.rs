//! Secrets: environments, MCP servers and claim tokens leave in the claim that they are for, and nowhere else.

use callboard::agent::create::NewAgent;
use callboard::auth::Identity;
use entity::member::Role;
use entity::secret::SecretJson;
use entity::{agent, task};
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::view::{Of, read};
use crate::harness::{Claim, Client, Subscription, Surface, TestApp, World, merge, uuid};

const ENV: &str = "s3cret-of-the-environment";
const MCP: &str = "s3cret-of-the-mcp-servers";

/// What is configured of an agent that has secrets.
fn configuration() -> Value {
    json!({"visibility": "WORKSPACE", "maxConcurrentTasks": 3, "customEnv": {"API_KEY": ENV},
        "mcpConfig": {"servers": [{"token": MCP}]}})
}

/// What was said to anybody but the claiming daemon, while an agent with secrets went through everything that there is.
struct Story<'a> {
    world: &'a World<'a>,
    surface: &'a Surface,
    issue_id: Uuid,
    said: Vec<Value>,
    claims: Vec<Claim>,
}

impl Story<'_> {
    /// Does something, and notes the answer.
    async fn note(&mut self, client: &Client, mutation: &str, given: Value) -> Value {
        let answer = match client.mutate(mutation, given).await {
            Ok(answer) => answer,
            Err(error) => Value::from(error.message),
        };
        self.said.push(answer.clone());
        answer
    }

    /// Somebody who watches with this document.
    async fn watch(&self, client: &Client, document: &str, id: Uuid) -> Subscription {
        let variables = json!({"id": id, "after": self.world.cursor().await});
        client.subscribe(document, variables).await
    }

    /// Claims, with the secrets; they alone are not noted.
    async fn claim(&mut self) -> Claim {
        let request = json!({"runtimeId": self.world.runtime_id.0, "requestId": Uuid::new_v4()});
        let daemon = &self.world.daemon;
        let claimed = daemon.mutate("claimTask", request.clone()).await.unwrap();
        assert_eq!(claimed["agent"]["customEnv"], json!({"API_KEY": ENV}));
        assert_eq!(
            claimed["agent"]["mcpConfig"],
            json!({"servers": [{"token": MCP}]})
        );
        let again = daemon.mutate("claimTask", request).await.unwrap();
        let claim = Claim::of(&claimed);
        assert_eq!(Claim::of(&again), claim);
        self.said.push(claimed["task"].clone());
        self.claims.push(claim);
        claim
    }

    /// The first task: all that a daemon can do, to its failure, which is retried.
    async fn work_and_fail(&mut self) {
        let daemon = self.world.daemon.clone();
        let claim = self.claim().await;
        let wrong = json!({"taskId": claim.task_id.0, "claimToken": Uuid::new_v4()});
        self.note(&daemon, "startTask", wrong).await;
        let failure = json!({"error": "gone", "failureReason": "runtime_offline"});
        for (mutation, more) in [
            ("startTask", json!({})),
            ("pinTaskSession", json!({"sessionId": "s", "workDir": "/w"})),
            ("reportTaskProgress", json!({"summary": "half"})),
            (
                "appendTaskMessages",
                json!({"messages": [{"seq": 1, "type": "text", "content": "hello"}]}),
            ),
            (
                "reportTaskUsage",
                json!({"usage": [{"provider": "p", "model": "m"}]}),
            ),
            ("failTask", failure.clone()),
            ("failTask", failure),
        ] {
            self.note(&daemon, mutation, claim.with(more)).await;
        }
        let heartbeat =
            json!({"runtimeIds": [self.world.runtime_id.0], "holding": [claim.input()]});
        let answer = self.note(&daemon, "heartbeat", heartbeat).await;
        assert_eq!(answer["lost"][0]["status"], "FAILED");
    }

    /// The second is recovered, the third cancelled.
    async fn recover_and_cancel(&mut self, input: Value) {
        let (daemon, host) = (self.world.daemon.clone(), self.world.host.clone());
        let retry = self.claim().await;
        self.world.start(retry).await;
        let recover = json!({"runtimeId": self.world.runtime_id.0});
        let answer = self.note(&daemon, "recoverOrphanedTasks", recover).await;
        assert_eq!(answer["failed"][0]["id"], json!(retry.task_id.0));
        self.note(&host, "enqueueTask", input).await;
        let last = self.claim().await;
        self.note(&host, "cancelTask", json!({"taskId": last.task_id.0}))
            .await;
    }

    /// Everyone reads everything.
    async fn read_all(&mut self, clients: &[Client], agent_id: Uuid) {
        let mut things = vec![
            (Of::Workspace, self.world.workspace_id.0),
            (Of::Runtime, self.world.runtime_id.0),
            (Of::Agent, agent_id),
            (Of::Issue, self.issue_id),
        ];
        things.extend(self.claims.iter().map(|claim| (Of::Task, claim.task_id.0)));
        for client in clients {
            for (of, id) in &things {
                let answers = read(self.surface, client, *of, *id).await;
                self.said.extend(answers.into_iter().map(Value::from));
            }
        }
    }
}

#[tokio::test]
async fn a_claim_brings_the_secrets_and_nothing_else_does() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = &Surface::of(&world.host).await;
    let issue_id = Uuid::new_v4();
    let mut story = Story {
        world: &world,
        surface,
        issue_id,
        said: Vec::new(),
        claims: Vec::new(),
    };

    let (task, agent) = (surface.values_of("Task"), surface.values_of("Agent"));
    let events = format!(
        "subscription($id: UUID!, $after: Cursor) {{ taskEvents(workspaceId: $id, after: $after) {{
            kind task {{ {task} agent {{ {agent} }} }} }} }}"
    );
    let presence = format!(
        "subscription($id: UUID!) {{ agentPresence(workspaceId: $id) {{ agent {{ {agent} }} }} }}"
    );
    let banner = format!(
        "subscription($id: UUID!) {{ issueTasks(issueId: $id) {{ activeTasks {{ {task} }} }} }}"
    );
    let available = "subscription($id: UUID!) { taskAvailable(runtimeIds: [$id]) { runtimeId } }";
    let mut events = story
        .watch(&world.host, &events, world.workspace_id.0)
        .await;
    let mut banner = story.watch(&world.host, &banner, issue_id).await;
    let mut available = story
        .watch(&world.daemon, available, world.runtime_id.0)
        .await;
    story.said.push(banner.next().await);

    let mut input = json!({"workspaceId": world.workspace_id.0, "name": "the secretive", "runtimeId": world.runtime_id.0});
    merge(&mut input, configuration());
    let agent_id = uuid(&story.note(&world.host, "createAgent", input).await["id"]);
    let mut presence = story
        .watch(&world.host, &presence, world.workspace_id.0)
        .await;
    story.said.push(presence.next().await);
    let input = json!({"agentId": agent_id, "issueId": issue_id});
    story.note(&world.host, "enqueueTask", input.clone()).await;
    story.said.push(available.next().await);
    story.work_and_fail().await;
    story.recover_and_cancel(input).await;

    let admin = app.client(Identity::Admin).await;
    let (owner, member) = (
        world.member(Role::Owner).await,
        world.member(Role::Member).await,
    );
    let everyone = [
        admin,
        owner,
        member,
        world.host.clone(),
        world.daemon.clone(),
    ];
    story.read_all(&everyone, agent_id).await;
    story
        .said
        .extend([banner.next().await, presence.next().await]);
    while story
        .said
        .last()
        .is_none_or(|event| event["taskEvents"]["kind"] != "CANCELLED")
    {
        story.said.push(events.next().await);
    }

    let mut told = Value::from(story.said).to_string();
    assert!(told.contains("API_KEY") && told.contains("the secretive") && told.contains("hello"));
    told += &app.database.contents().await["task_event"];
    let tokens = story.claims.iter().map(|claim| claim.token.0);
    let forms = tokens.flat_map(|token| [token.to_string(), token.simple().to_string()]);
    for secret in forms.chain([ENV.to_owned(), MCP.to_owned()]) {
        assert!(!told.contains(&secret), "{secret} was told");
    }
}

#[tokio::test]
async fn what_a_secret_is_in_does_not_print_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent_id = world
        .agent_of(&world.host, world.runtime_id, configuration())
        .await;
    world.enqueue(agent_id, json!({})).await;
    let claim = world.run().await;

    let agent = agent::Entity::find_by_id(agent_id)
        .one(&app.database.pool)
        .await
        .unwrap()
        .unwrap();
    let task = task::Entity::find_by_id(claim.task_id)
        .one(&app.database.pool)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(task.claim_token, Some(claim.token));
    let new = NewAgent {
        workspace_id: world.workspace_id,
        name: agent.name.clone(),
        description: String::new(),
        avatar_url: None,
        runtime_id: world.runtime_id,
        runtime_mode: agent.runtime_mode,
        runtime_config: None,
        visibility: agent.visibility,
        max_concurrent_tasks: 1,
        instructions: String::new(),
        custom_env: Some(SecretJson(json!({"API_KEY": ENV}))),
        custom_args: None,
        mcp_config: Some(SecretJson(json!({"token": MCP}))),
        model: None,
    };
    let printed = [
        format!("{agent:?}"),
        format!("{:#?}", agent::ActiveModel::from(agent)),
        format!("{new:?}"),
        format!("{task:?}"),
        format!("{:#?}", task::ActiveModel::from(task)),
        format!("{:?}", claim.token),
    ]
    .concat();
    for secret in [
        ENV,
        MCP,
        &claim.token.0.to_string(),
        &claim.token.0.simple().to_string(),
    ] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
