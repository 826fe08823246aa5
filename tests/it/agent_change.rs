//! Changing, archiving and restoring agents.

use std::pin::pin;

use entity::id::TaskId;
use entity::member::Role;
use futures::future::{Either, select};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestApp, World, uuid};

#[tokio::test]
async fn what_is_absent_is_kept_and_null_clears_what_can_be_null() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let given = json!({
        "description": "d", "avatarUrl": "https://a.example/a.png", "model": "m", "mcpConfig": {"a": 1},
        "customEnv": {"A": "1"}, "customArgs": ["-v"], "instructions": "i",
    });
    let agent = world.agent_of(&world.host, world.runtime_id, given).await;

    let kept = update(&world, agent.0, json!({"name": "renamed"})).await;
    assert_eq!(kept["name"], "renamed");
    assert_eq!(kept["avatarUrl"], "https://a.example/a.png");
    assert_eq!(kept["model"], "m");
    assert_eq!(kept["hasMcpConfig"], true);
    assert_eq!(kept["customEnvKeys"], json!(["A"]));

    let nulls = json!({
        "name": null, "description": null, "instructions": null, "customEnv": null, "customArgs": null,
        "avatarUrl": null, "model": null, "mcpConfig": null,
    });
    let cleared = update(&world, agent.0, nulls).await;
    assert_eq!(cleared["name"], "renamed");
    assert_eq!(cleared["description"], "d");
    assert_eq!(cleared["instructions"], "i");
    assert_eq!(cleared["customEnvKeys"], json!(["A"]));
    assert_eq!(cleared["customArgs"], json!(["-v"]));
    assert_eq!(cleared["avatarUrl"], Value::Null);
    assert_eq!(cleared["model"], Value::Null);
    assert_eq!(cleared["hasMcpConfig"], false);
}

#[tokio::test]
async fn an_agent_that_moves_leaves_its_tasks_where_they_are() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    let before = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    let other = world.second_runtime("codex").await;
    update(&world, agent.0, json!({"runtimeId": other.0})).await;
    let after = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    assert_eq!(
        world.host.task(before).await["runtimeId"],
        json!(world.runtime_id.0)
    );
    assert_eq!(world.host.task(after).await["runtimeId"], json!(other.0));
    assert_eq!(world.claim().await.unwrap().task_id, before);
}

#[tokio::test]
async fn archiving_takes_an_agents_work_off_the_board_and_restoring_does_not_put_it_back() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(2).await;
    let running = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    world.run().await;
    let queued = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;

    let archived = world
        .host
        .mutate("archiveAgent", json!({"id": agent.0}))
        .await
        .unwrap();
    assert_ne!(archived["archivedAt"], Value::Null);
    assert_eq!(archived["status"], "IDLE");
    assert_eq!(world.status(running).await, "CANCELLED");
    assert_eq!(world.status(queued).await, "CANCELLED");
    let refused = world
        .host
        .refused("enqueueTask", json!({"agentId": agent.0}))
        .await;
    assert_eq!(refused, "FAILED_PRECONDITION");

    let again = world
        .host
        .mutate("archiveAgent", json!({"id": agent.0}))
        .await
        .unwrap();
    assert_eq!(again["archivedAt"], archived["archivedAt"]);

    let restored = world
        .host
        .mutate("restoreAgent", json!({"id": agent.0}))
        .await
        .unwrap();
    assert_eq!(restored["archivedAt"], Value::Null);
    assert_eq!(world.status(queued).await, "CANCELLED");
    let refused = world
        .host
        .refused("restoreAgent", json!({"id": agent.0}))
        .await;
    assert_eq!(refused, "FAILED_PRECONDITION");
}

#[tokio::test]
async fn work_that_comes_while_an_agent_is_archived_is_taken_off_too() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let issue = Uuid::new_v4();
    // Somebody else is putting a task of the issue on the board, and the enqueue waits to see what becomes of that.
    let slot = app
        .database
        .hold(&format!(
            "insert into agent_task_queue (agent_id, runtime_id, issue_id) values ('{agent}', '{}', '{issue}')",
            world.runtime_id
        ))
        .await;
    let given = json!({"agentId": agent.0, "issueId": issue});
    let enqueue = world.host.mutate("enqueueTask", given);
    let (enqueued, archived) = tokio::join!(enqueue, async {
        app.database.until_waiting(1).await;
        let mut archive = pin!(world.host.mutate("archiveAgent", json!({"id": agent.0})));
        let waits = pin!(app.database.until_waiting(2));
        // It is through, or waits for the enqueue.
        let begun = select(archive.as_mut(), waits).await;
        slot.roll_back().await;
        match begun {
            Either::Left((archived, _)) => archived,
            Either::Right(((), archive)) => archive.await,
        }
    });
    assert_ne!(archived.unwrap()["archivedAt"], Value::Null);
    // An enqueue that waits for long begins anew, and then it may come too late.
    match enqueued {
        Ok(put) => {
            let task = TaskId(uuid(&put["task"]["id"]));
            assert_eq!(world.status(task).await, "CANCELLED");
        }
        Err(refused) => assert_eq!(refused.code, "FAILED_PRECONDITION"),
    }
    assert_eq!(app.database.task_count("queued").await, 0);
}

#[tokio::test]
async fn the_agents_of_runtimes_are_archived_together_or_not_at_all() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let member = world.member(Role::Member).await;
    let other = world.second_runtime("codex").await;
    let theirs = world
        .agent_of(
            &member,
            world.runtime_id,
            json!({"visibility": "WORKSPACE"}),
        )
        .await;
    let shared = world.agent(1).await;
    let elsewhere = world.agent_of(&world.host, other, json!({})).await;

    let of_one = json!({"runtimeIds": [world.runtime_id.0]});
    assert_eq!(
        member
            .refused("archiveAgentsByRuntime", of_one.clone())
            .await,
        "FORBIDDEN"
    );
    assert_eq!(archived(&app).await, 0);

    let answer = world
        .host
        .mutate("archiveAgentsByRuntime", of_one)
        .await
        .unwrap();
    let ids: Vec<&Value> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|agent| &agent["id"])
        .collect();
    assert_eq!(ids, [&json!(theirs.0), &json!(shared.0)]);
    let document = "query($id: UUID!) { workspace(id: $id) { now: agents { id } ever: agents(includeArchived: true) { id } } }";
    let listed = world
        .host
        .data(document, json!({"id": world.workspace_id.0}))
        .await;
    assert_eq!(listed["workspace"]["now"], json!([{"id": elsewhere.0}]));
    assert_eq!(listed["workspace"]["ever"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_status_set_by_hand_lasts_until_the_tasks_change_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let set = |status: &'static str| {
        let world = &world;
        async move {
            let given = json!({"id": agent.0, "status": status});
            world.host.mutate("setAgentStatus", given).await.unwrap()["status"].clone()
        }
    };
    assert_eq!(set("BLOCKED").await, "BLOCKED");
    let task = world.enqueue(agent, json!({})).await;
    assert_eq!(world.host.task(task).await["agent"]["status"], "BLOCKED");
    let claim = world.run().await;
    assert_eq!(world.host.task(task).await["agent"]["status"], "WORKING");
    assert_eq!(set("IDLE").await, "WORKING");
    world.complete(claim).await;
    assert_eq!(world.host.task(task).await["agent"]["status"], "IDLE");
    assert_eq!(set("WORKING").await, "IDLE");
}

#[tokio::test]
async fn what_a_trigger_of_the_hosts_changes_is_told_too() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    app.database
        .execute(
            "create table employee (agent_id uuid, left_at timestamptz);
             create function leave() returns trigger language plpgsql as $$
             begin update agent set archived_at = new.left_at where id = new.agent_id; return null; end $$;
             create trigger leave after insert on employee for each row execute function leave()",
        )
        .await;
    let told = "select count(*) from task_event where kind = 'agent_changed'";
    let before = app.database.count(told).await;
    app.database
        .execute(&format!("insert into employee values ('{agent}', now())"))
        .await;
    assert_eq!(app.database.count(told).await, before + 1);
}

async fn update(world: &World<'_>, id: Uuid, input: Value) -> Value {
    world
        .host
        .mutate("updateAgent", json!({"id": id, "input": input}))
        .await
        .unwrap()
}

async fn archived(app: &TestApp) -> i64 {
    app.database
        .count("select count(*) from agent where archived_at is not null")
        .await
}
