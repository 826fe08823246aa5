//! The other ways onto the board: quick create and its link, retries by hand, reruns.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestApp, World};

#[tokio::test]
async fn a_quick_create_says_all_in_its_context() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(3).await;
    let given =
        json!({"agentId": agent.0, "prompt": "make an issue", "context": {"requester": "r"}});
    let task = world
        .host
        .mutate("enqueueQuickCreate", given)
        .await
        .unwrap()["task"]
        .clone();
    assert_eq!(task["priority"], 3);
    let record = world
        .host
        .task(entity::id::TaskId(crate::harness::uuid(&task["id"])))
        .await;
    assert_eq!(
        record["context"],
        json!({"type": "quick_create", "prompt": "make an issue", "requester": "r"})
    );
    for wrong in [
        json!({"prompt": " "}),
        json!({"prompt": "p", "context": []}),
        json!({"prompt": "p", "priority": -1}),
    ] {
        let mut given = json!({"agentId": agent.0});
        crate::harness::merge(&mut given, wrong);
        assert_eq!(
            world.host.refused("enqueueQuickCreate", given).await,
            "BAD_USER_INPUT"
        );
    }
}

#[tokio::test]
async fn a_task_is_linked_to_one_issue_once() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(3).await;
    let task = world.enqueue(agent, json!({})).await;
    let (issue, other) = (Uuid::new_v4(), Uuid::new_v4());
    let claim = world.run().await;
    world.complete(claim).await;

    let link = json!({"taskId": task.0, "issueId": issue});
    world
        .host
        .mutate("linkTaskToIssue", link.clone())
        .await
        .unwrap();
    world.host.mutate("linkTaskToIssue", link).await.unwrap();
    assert_eq!(world.host.task(task).await["issueId"], json!(issue));
    assert_eq!(world.host.events(task).await.last().unwrap(), "LINKED");
    let refused = world
        .host
        .refused(
            "linkTaskToIssue",
            json!({"taskId": task.0, "issueId": other}),
        )
        .await;
    assert_eq!(refused, "FAILED_PRECONDITION");
}

#[tokio::test]
async fn a_link_may_not_break_what_an_issue_is_held_to() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(3).await;
    let issue = Uuid::new_v4();
    world.enqueue(agent, json!({"issueId": issue})).await;
    let bare = world.enqueue(agent, json!({})).await;
    // Both would wait on the issue.
    let link = json!({"taskId": bare.0, "issueId": issue});
    assert_eq!(
        world.host.refused("linkTaskToIssue", link.clone()).await,
        "FAILED_PRECONDITION"
    );
    // Both would run on it.
    world.run().await;
    world.run().await;
    assert_eq!(
        world.host.refused("linkTaskToIssue", link).await,
        "FAILED_PRECONDITION"
    );
    assert_eq!(world.host.task(bare).await["issueId"], Value::Null);
}

#[tokio::test]
async fn a_task_that_has_ended_is_tried_again_by_hand() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(3).await;
    let issue = Uuid::new_v4();
    let task = world
        .enqueue(agent, json!({"issueId": issue, "maxAttempts": 1}))
        .await;
    let retry = json!({"taskId": task.0});
    assert_eq!(
        world.host.refused("retryTask", retry.clone()).await,
        "FAILED_PRECONDITION"
    );
    let claim = world.run().await;
    assert_eq!(
        world.host.refused("retryTask", retry.clone()).await,
        "FAILED_PRECONDITION"
    );
    world.fail(claim, "agent_error").await;

    let again = world.host.mutate("retryTask", retry.clone()).await.unwrap();
    assert_eq!(again["attempt"], 2);
    assert_eq!(again["status"], "QUEUED");
    assert_eq!(
        world.host.refused("retryTask", retry.clone()).await,
        "FAILED_PRECONDITION"
    );
    world.run().await;
    // The next try runs: another beside it would do the work twice.
    assert_eq!(
        world.host.refused("retryTask", retry).await,
        "FAILED_PRECONDITION"
    );
}

#[tokio::test]
async fn a_completed_task_is_not_retried_nor_one_of_an_archived_agent() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let done = world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    world.complete(claim).await;
    assert_eq!(
        world
            .host
            .refused("retryTask", json!({"taskId": done.0}))
            .await,
        "FAILED_PRECONDITION"
    );
    let failed = world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    world.fail(claim, "agent_error").await;
    world
        .host
        .mutate("archiveAgent", json!({"id": agent.0}))
        .await
        .unwrap();
    assert_eq!(
        world
            .host
            .refused("retryTask", json!({"taskId": failed.0}))
            .await,
        "FAILED_PRECONDITION"
    );
    let rerun = json!({"issueId": Uuid::new_v4(), "agentId": agent.0});
    assert_eq!(
        world.host.refused("rerunIssue", rerun).await,
        "FAILED_PRECONDITION"
    );
}

#[tokio::test]
async fn a_rerun_replaces_what_waits_and_leaves_what_runs_and_others_alone() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, colleague) = (world.agent(1).await, world.agent(1).await);
    let issue = json!({"issueId": Uuid::new_v4()});
    let running = world.enqueue(agent, issue.clone()).await;
    let claim = world.run().await;
    let waiting = world.enqueue(agent, issue.clone()).await;
    let others = world.enqueue(colleague, issue.clone()).await;

    let given = json!({"issueId": issue["issueId"], "agentId": agent.0});
    let rerun = world
        .host
        .mutate("rerunIssue", given.clone())
        .await
        .unwrap();
    assert_eq!(rerun["deduplicated"], false);
    assert_eq!(world.status(waiting).await, "CANCELLED");
    assert_eq!(world.status(running).await, "RUNNING");
    assert_eq!(world.status(others).await, "QUEUED");
    let again = world.host.mutate("rerunIssue", given).await.unwrap();
    assert_ne!(again["task"]["id"], rerun["task"]["id"]);
    let fresh = world
        .host
        .task(entity::id::TaskId(crate::harness::uuid(
            &again["task"]["id"],
        )))
        .await;
    assert_eq!(fresh["forceFreshSession"], true);
    world.complete(claim).await;
}

#[tokio::test]
async fn a_rerun_takes_off_what_is_being_put_on_the_board_meanwhile() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, issue) = (world.agent(1).await, Uuid::new_v4());
    let coming = entity::id::TaskId(Uuid::now_v7());
    let enqueueing = app
        .database
        .hold(&format!(
            "insert into agent_task_queue (id, agent_id, runtime_id, issue_id)
             values ('{coming}', '{agent}', '{}', '{issue}')",
            world.runtime_id
        ))
        .await;
    let given = json!({"issueId": issue, "agentId": agent.0});
    let comes = async {
        app.database.until_waiting(1).await;
        enqueueing.commit().await;
    };
    let (rerun, ()) = tokio::join!(world.host.mutate("rerunIssue", given), comes);
    assert_eq!(rerun.unwrap()["deduplicated"], false);
    assert_eq!(world.status(coming).await, "CANCELLED");
}
