//! The doorbell of daemons: it rings at once where work waits, and whenever something may have become claimable.

use entity::id::{AgentId, RuntimeId, TaskId};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{Claim, Client, Subscription, TestApp, World, claim, uuid};

const CANCEL: &str = "mutation($id: UUID!) { cancelTask(taskId: $id) { id } }";

#[tokio::test]
async fn it_rings_at_once_where_work_waits_and_only_there() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let idle = world.second_runtime("codex").await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let mut bell = ring(&world.daemon, &[idle, world.runtime_id]).await;
    assert_eq!(rung(&mut bell).await, world.runtime_id);
}

#[tokio::test]
async fn it_rings_at_once_where_a_lease_has_run_out() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    world.claim().await.expect("the task");
    world.until_read(&world.host).await;
    app.database.expire_lease(task).await;
    let mut bell = ring(&world.daemon, &[world.runtime_id]).await;
    assert_eq!(rung(&mut bell).await, world.runtime_id);
}

#[tokio::test]
async fn it_rings_on_an_enqueue_also_through_another_server_or_plain_sql() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let second = app.second_server().await;
    let agent = world.agent(9).await;
    for through in ["here", "another server", "plain SQL"] {
        let mut bell = established(&world, &world.daemon).await;
        match through {
            "here" => drop(
                world
                    .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
                    .await,
            ),
            "another server" => {
                let document = "mutation($input: EnqueueTaskInput!) { enqueueTask(input: $input) { task { id } } }";
                let input = json!({"agentId": agent.0, "issueId": Uuid::new_v4()});
                let host = world.host.at(second.address);
                host.data(document, json!({"input": input})).await;
            }
            _ => {
                let insertion = world.insertion(agent, TaskId(Uuid::now_v7()));
                app.database.execute(&insertion).await;
            }
        }
        assert_eq!(rung(&mut bell).await, world.runtime_id, "{through}");
        clear(&app, &world).await;
    }
}

#[tokio::test]
async fn it_rings_when_a_task_is_put_back() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    world.claim().await.expect("the task");
    let mut bell = established(&world, &world.daemon).await;
    app.database
        .execute(
            "update agent_task_queue set status = 'queued', dispatched_at = null, claim_token = null,
             claim_expires_at = null where status = 'dispatched'",
        )
        .await;
    assert_eq!(rung(&mut bell).await, world.runtime_id);
}

#[tokio::test]
async fn it_rings_for_a_successor_whenever_a_task_ends() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (issue, chat) = (Uuid::new_v4(), Uuid::new_v4());
    for (capacity, first, successor) in [
        // At capacity; the same issue; the same chat session; both without anything.
        (
            1,
            json!({"issueId": Uuid::new_v4()}),
            json!({"issueId": Uuid::new_v4()}),
        ),
        (5, json!({"issueId": issue}), json!({"issueId": issue})),
        (
            5,
            json!({"chatSessionId": chat}),
            json!({"chatSessionId": chat}),
        ),
        (5, json!({}), json!({})),
    ] {
        for end in ["complete", "fail", "cancel", "bulk"] {
            let agent = world.agent(capacity).await;
            world.enqueue(agent, first.clone()).await;
            let claim = world.run().await;
            world.enqueue(agent, successor.clone()).await;
            let mut bell = established(&world, &world.daemon).await;
            match end {
                "complete" => drop(world.complete(claim).await),
                "fail" => drop(world.fail(claim, "agent_error").await),
                "cancel" => drop(
                    world
                        .host
                        .data(CANCEL, json!({"id": claim.task_id.0}))
                        .await,
                ),
                _ => {
                    app.database
                        .execute(
                            "update agent_task_queue set status = 'failed', completed_at = now() where status = 'running'",
                        )
                        .await;
                }
            }
            assert_eq!(
                rung(&mut bell).await,
                world.runtime_id,
                "{successor} after {end}"
            );
            clear(&app, &world).await;
        }
    }
}

#[tokio::test]
async fn it_rings_through_every_server_when_a_task_ends_at_one() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let second = app.second_server().await;
    let (claim, _) = running_with_successor(&world, 1).await;
    let mut bell = established(&world, &world.daemon.at(second.address)).await;
    world.complete(claim).await;
    assert_eq!(rung(&mut bell).await, world.runtime_id);
}

#[tokio::test]
async fn it_rings_when_an_agent_may_do_more_or_comes_back() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (_, agent) = running_with_successor(&world, 1).await;
    let mut bell = established(&world, &world.daemon).await;
    let change = format!("update agent set max_concurrent_tasks = 2 where id = '{agent}'");
    app.database.execute(&change).await;
    assert_eq!(rung(&mut bell).await, world.runtime_id);

    app.database.archive_agent(agent).await;
    let mut bell = established(&world, &world.daemon).await;
    let change = format!("update agent set archived_at = null where id = '{agent}'");
    app.database.execute(&change).await;
    assert_eq!(rung(&mut bell).await, world.runtime_id);
}

#[tokio::test]
async fn it_rings_for_a_task_without_an_issue_when_the_one_before_it_gets_one() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(5).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    world.enqueue(agent, json!({})).await;
    let mut bell = established(&world, &world.daemon).await;
    let change = format!(
        "update agent_task_queue set issue_id = gen_random_uuid() where id = '{}' and issue_id is null",
        claim.task_id
    );
    app.database.execute(&change).await;
    assert_eq!(rung(&mut bell).await, world.runtime_id);
    world.claim().await.expect("the second");
}

#[tokio::test]
async fn it_rings_where_tasks_stayed_when_their_agent_moved_on() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (daemon, runtime) = world.second_daemon("desktop").await;
    // Tasks that waited before it listened, and some that came to wait since.
    for listens_before in [false, true] {
        let agent = world.agent(1).await;
        let mut early = None;
        if listens_before {
            early = Some(established(&world, &world.daemon).await);
        }
        let stayed = world
            .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
            .await;
        if let Some(bell) = &mut early {
            assert_eq!(rung(bell).await, world.runtime_id);
        }
        app.database.move_agent(agent, runtime).await;
        let moved = world
            .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
            .await;
        let claim = claim(&daemon, runtime).await;
        assert_eq!(claim.expect("the other").task_id, moved);

        let mut bell = match early {
            Some(bell) => bell,
            None => established(&world, &world.daemon).await,
        };
        drain(&world, &mut bell).await;
        world.host.data(CANCEL, json!({"id": moved.0})).await;
        while rung(&mut bell).await != world.runtime_id {}
        let claim = world.claim().await.expect("the first");
        assert_eq!(claim.task_id, stayed);
        clear(&app, &world).await;
    }
}

#[tokio::test]
async fn only_a_daemon_s_own_runtimes_have_a_bell() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (other, runtime) = world.second_daemon("desktop").await;
    for (client, runtimes) in [
        (&other, vec![world.runtime_id]),
        (&world.daemon, vec![world.runtime_id, runtime]),
        (&world.daemon, vec![RuntimeId(Uuid::new_v4())]),
    ] {
        let error = ring(client, &runtimes).await.error().await;
        assert_eq!(error.code, "NOT_FOUND");
    }
}

/// A task that runs, and one that waits for its end; the agent's id.
async fn running_with_successor(world: &World<'_>, capacity: i32) -> (Claim, AgentId) {
    let agent = world.agent(capacity).await;
    world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    let claim = world.run().await;
    world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    (claim, agent)
}

async fn ring(client: &Client, runtimes: &[RuntimeId]) -> Subscription {
    let document = "subscription($ids: [UUID!]!) { taskAvailable(runtimeIds: $ids) { runtimeId } }";
    let runtimes: Vec<Uuid> = runtimes.iter().map(|id| id.0).collect();
    client.subscribe(document, json!({"ids": runtimes})).await
}

async fn rung(bell: &mut Subscription) -> RuntimeId {
    let data = bell.next().await;
    RuntimeId(uuid(&data["taskAvailable"]["runtimeId"]))
}

/// A bell that has begun to listen for the daemon's first runtime, on which nothing can be claimed as yet: it has rung
/// for another one that has work, and would have rung for this one before.
async fn established(world: &World<'_>, daemon: &Client) -> Subscription {
    let marker = put_on_marker(world).await;
    world.until_read(daemon).await;
    let mut bell = ring(daemon, &[world.runtime_id, marker]).await;
    assert_eq!(rung(&mut bell).await, marker);
    bell
}

/// Hears what such a bell has rung so far; it may still ring for the other runtime.
async fn drain(world: &World<'_>, bell: &mut Subscription) {
    let marker = put_on_marker(world).await;
    while rung(bell).await != marker {}
}

/// Puts a task on the board for another of the daemon's runtimes.
async fn put_on_marker(world: &World<'_>) -> RuntimeId {
    let marker = world.second_runtime("marker").await;
    let public = json!({"visibility": "WORKSPACE"});
    let agent = world.agent_of(&world.host, marker, public).await;
    world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    marker
}

/// Takes everything off the board.
async fn clear(app: &TestApp, world: &World<'_>) {
    app.database
        .execute(
            "update agent_task_queue set status = 'cancelled', completed_at = now()
             where status in ('queued', 'dispatched', 'running')",
        )
        .await;
    world.until_read(&world.host).await;
}
