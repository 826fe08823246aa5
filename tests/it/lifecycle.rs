//! The table of states: where requests lead a task from each state, against what the table allows, over all pairs.

use std::collections::BTreeSet;

use entity::id::ClaimToken;
use entity::task::Status;
use sea_orm::{ActiveEnum, ConnectionTrait, Iterable};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{Claim, TestApp, World};

/// From one state to another, in the database's words.
type Way = (String, String);

/// What no request brings about: a task that waits for too long fails.
const BY_TIME: (Status, Status) = (Status::Queued, Status::Failed);

/// Whatever can be asked of a task; before a claim its lease may have run out, and have been the last.
const VERBS: [&str; 11] = [
    "claimTask",
    "claimTask after the lease",
    "claimTask after the last lease",
    "startTask",
    "pinTaskSession",
    "reportTaskProgress",
    "completeTask",
    "failTask",
    "cancelTask",
    "cancelByIssue",
    "recoverOrphanedTasks",
];

#[tokio::test]
async fn requests_lead_from_every_state_to_those_that_follow_it_and_to_no_other() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let mut taken: BTreeSet<Way> = BTreeSet::new();
    for from in Status::iter() {
        for verb in VERBS {
            let claim = stage(&world, from).await;
            let so_far = app.database.ways(claim.task_id).await.len();
            ask(&app, &world, claim, verb).await;
            let ways = app.database.ways(claim.task_id).await.split_off(so_far);
            assert!(
                ways.iter().all(|way| table().contains(way)),
                "{verb} from {from:?}: {ways:?}"
            );
            assert!(
                ways.first().is_none_or(|way| way.0 == from.to_value()),
                "{verb}: {ways:?}"
            );
            taken.extend(ways);
        }
    }
    taken.insert((BY_TIME.0.to_value(), BY_TIME.1.to_value()));
    assert_eq!(taken, table());
}

#[tokio::test]
async fn the_database_knows_the_states_and_that_those_without_a_next_are_ends() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let write = async |status: &str, completed_at: &str| {
        let update = format!(
            "update agent_task_queue set status = '{status}', completed_at = {completed_at} where id = '{task}'"
        );
        app.database.pool.execute_unprepared(&update).await.is_ok()
    };
    for status in Status::iter() {
        let name = status.to_value();
        assert_eq!(
            write(&name, "now()").await,
            status.is_terminal(),
            "{name} with an end"
        );
        assert_eq!(
            write(&name, "null").await,
            !status.is_terminal(),
            "{name} without an end"
        );
    }
    assert!(!write("paused", "null").await);
}

/// What may follow what.
fn table() -> BTreeSet<Way> {
    Status::iter()
        .flat_map(|from| {
            from.next()
                .iter()
                .map(move |to| (from.to_value(), to.to_value()))
        })
        .collect()
}

/// A task of an issue in a state, with the claim that holds it or held it.
async fn stage(world: &World<'_>, status: Status) -> Claim {
    let agent = world.agent(1).await;
    let task_id = world
        .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
        .await;
    if status == Status::Queued {
        let token = ClaimToken(Uuid::new_v4());
        return Claim { task_id, token };
    }
    let input = json!({"runtimeId": world.runtime_id.0, "agentId": agent.0});
    let claim = Claim::of(&world.daemon.mutate("claimTask", input).await.unwrap());
    if matches!(status, Status::Running | Status::Completed) {
        world.start(claim).await;
    }
    let end = match status {
        Status::Queued | Status::Dispatched | Status::Running => return claim,
        Status::Completed => world.daemon.mutate("completeTask", claim.input()).await,
        Status::Failed => {
            world
                .daemon
                .mutate("failTask", claim.with(json!({"error": "e"})))
                .await
        }
        Status::Cancelled => {
            world
                .host
                .mutate("cancelTask", json!({"taskId": task_id.0}))
                .await
        }
    };
    end.unwrap();
    claim
}

/// Asks something of a task; a refusal is an answer, a fault is not.
async fn ask(app: &TestApp, world: &World<'_>, claim: Claim, verb: &str) {
    let (verb, lease) = verb.split_once(' ').unwrap_or((verb, ""));
    if !lease.is_empty() {
        app.database.expire_lease(claim.task_id).await;
    }
    if lease.contains("last") {
        app.database.deliver_too_often(claim.task_id).await;
    }
    let record = world.host.task(claim.task_id).await;
    let (runtime, agent, issue) = (&record["runtimeId"], &record["agentId"], &record["issueId"]);
    let answer = match verb {
        "claimTask" => {
            world
                .daemon
                .mutate(verb, json!({"runtimeId": runtime, "agentId": agent}))
                .await
        }
        "recoverOrphanedTasks" => {
            world
                .daemon
                .mutate(verb, json!({"runtimeId": runtime}))
                .await
        }
        "cancelTask" => {
            world
                .host
                .mutate(verb, json!({"taskId": claim.task_id.0}))
                .await
        }
        "cancelByIssue" => world.host.mutate(verb, json!({"issueId": issue})).await,
        "failTask" => {
            world
                .daemon
                .mutate(verb, claim.with(json!({"error": "e"})))
                .await
        }
        "reportTaskProgress" => {
            world
                .daemon
                .mutate(verb, claim.with(json!({"summary": "s"})))
                .await
        }
        "pinTaskSession" => {
            world
                .daemon
                .mutate(verb, claim.with(json!({"sessionId": "s"})))
                .await
        }
        _ => world.daemon.mutate(verb, claim.input()).await,
    };
    if let Err(error) = answer {
        assert!(
            ["CLAIM_CONFLICT", "FAILED_PRECONDITION"].contains(&error.code.as_str()),
            "{verb}: {error:?}"
        );
    }
}
