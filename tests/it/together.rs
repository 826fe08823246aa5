//! Requests of one kind that arrive at the same moment share a transaction, and nothing else: nobody waits for what another
//! waits for, or is told of a fault that is another's.

mod failing;
mod in_turn;
mod several;

use std::collections::HashSet;

use entity::id::{AgentId, RuntimeId};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Claim, PATIENCE, TestApp, World, uuid};

/// How many arrive at the same moment.
const CROWD: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_daemons_works_through_everything_once() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agents: Vec<_> = join_all((0..4).map(|_| world.agent(100))).await;
    let enqueues = (0..CROWD).map(|nth| {
        let input = json!({"agentId": agents[nth % 4].0, "issueId": Uuid::new_v4()});
        world.host.mutate("enqueueTask", input)
    });
    let enqueued: HashSet<Uuid> = join_all(enqueues)
        .await
        .into_iter()
        .map(|answer| uuid(&answer.unwrap()["task"]["id"]))
        .collect();
    assert_eq!(enqueued.len(), CROWD);

    // More claims than there are tasks: the rest gets nothing.
    let claims = (0..CROWD + 10).map(|_| world.claim());
    let claims: Vec<Claim> = join_all(claims).await.into_iter().flatten().collect();
    let claimed: HashSet<Uuid> = claims.iter().map(|claim| claim.task_id.0).collect();
    assert_eq!((claims.len(), claimed), (CROWD, enqueued));

    for verb in ["startTask", "completeTask"] {
        let requests = claims
            .iter()
            .map(|claim| world.daemon.mutate(verb, claim.input()));
        for (claim, answer) in claims.iter().zip(join_all(requests).await) {
            assert_eq!(uuid(&answer.unwrap()["id"]), claim.task_id.0, "{verb}");
        }
    }
    for kind in ["queued", "dispatched", "running", "completed"] {
        let events = app.database.event_count(kind).await;
        assert_eq!(usize::try_from(events).unwrap(), CROWD, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_a_crowd_is_told_what_is_its_own() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(100).await;
    put_work(&world, agent).await;
    let claims = claim_all(&world).await;
    // Of four, one is right, one shows another's token, one speaks of a task that there is not, and one says nonsense.
    let requests = claims.iter().enumerate().map(|(nth, claim)| {
        let input = match nth % 4 {
            0 => claim.input(),
            1 => json!({"taskId": claim.task_id.0, "claimToken": Uuid::new_v4()}),
            2 => json!({"taskId": Uuid::new_v4(), "claimToken": Uuid::new_v4()}),
            _ => json!({"taskId": claim.task_id.0, "claimToken": "nonsense"}),
        };
        world.daemon.mutate("startTask", input)
    });
    for (nth, answer) in join_all(requests).await.into_iter().enumerate() {
        let code = answer.err().map(|error| error.code);
        let expected = [
            None,
            Some("CLAIM_CONFLICT"),
            Some("NOT_FOUND"),
            Some("BAD_USER_INPUT"),
        ];
        assert_eq!(code.as_deref(), expected[nth % 4], "the {nth}th");
    }
    assert_eq!(app.database.event_count("running").await, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_lock_that_holds_up_another() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (held_up, free) = (world.agent(10).await, world.agent(100).await);
    world.enqueue(held_up, json!({"priority": 9})).await;
    let claim = world.claim().await.expect("the held up agent's task");
    put_work(&world, free).await;

    let lock = app.database.hold_agent(held_up).await;
    let start = world.daemon.mutate("startTask", claim.input());
    let others = async {
        // The one waits, and lets the others by.
        app.database.until_waiting(1).await;
        let claims = claim_all(&world).await;
        let starts = claims
            .iter()
            .map(|claim| world.daemon.mutate("startTask", claim.input()));
        let started: Vec<Value> = join_all(starts)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        lock.roll_back().await;
        started
    };
    let (start, started) = tokio::join!(start, others);
    assert_eq!(start.unwrap()["status"], "RUNNING");
    assert_eq!(started.len(), CROWD);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_in_a_crowd_twice_is_one_claim() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(100).await;
    put_work(&world, agent).await;
    let ids: Vec<Uuid> = (0..8).map(|_| Uuid::new_v4()).collect();
    let requests = (0..CROWD).map(|nth| {
        let input = json!({"runtimeId": world.runtime_id.0, "requestId": ids[nth % ids.len()]});
        world.daemon.mutate("claimTask", input)
    });
    let claims = join_all(requests).await.into_iter();
    let claims: Vec<Claim> = claims.map(|answer| Claim::of(&answer.unwrap())).collect();
    for (nth, claim) in claims.iter().enumerate() {
        assert_eq!(*claim, claims[nth % ids.len()], "the {nth}th");
    }
    assert_eq!(app.database.event_count("dispatched").await, 8);
}

#[tokio::test]
async fn what_plain_sql_has_claimed_anew_is_no_longer_the_claim_that_it_was() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(100).await;
    put_work(&world, agent).await;
    let request = json!({"runtimeId": world.runtime_id.0, "requestId": Uuid::new_v4()});
    let claim = async || {
        Claim::of(
            &world
                .daemon
                .mutate("claimTask", request.clone())
                .await
                .unwrap(),
        )
    };
    let first = claim().await;
    assert_eq!(claim().await, first);
    // The document's requeue, claim and start know of no requests, and leave theirs where it is.
    let anew = format!(
        "update agent_task_queue set status = 'running', claim_token = null, claim_expires_at = null where id = '{}'",
        first.task_id
    );
    app.database.execute(&anew).await;
    assert_ne!(claim().await.task_id, first.task_id);
}

#[tokio::test]
async fn who_asks_together_is_given_what_they_would_be_given_one_after_the_other() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (busy, other) = (world.agent(10).await, world.agent(10).await);
    for (agent, priority) in [(busy, 9), (busy, 8), (other, 5), (other, 4), (busy, 3)] {
        let input = json!({"issueId": Uuid::new_v4(), "priority": priority});
        world.enqueue(agent, input).await;
    }
    // The second of the one is better than the first of the other.
    let taken = async |askers: usize| {
        let asked = (0..askers).map(|place| {
            json!({"place": place, "workspace_id": world.workspace_id.0, "daemon_id": "laptop",
                   "runtime_ids": [world.runtime_id.0], "most": 1})
        });
        let asked: Vec<Value> = asked.collect();
        let claim = format!(
            "select string_agg((task).priority::text, ' ' order by place)
             from task_claim_together('{}', interval '1 minute', '1s')",
            json!(asked)
        );
        let rows = app.database.rows(&claim).await;
        rows[0].try_get_by_index::<Option<String>>(0).unwrap()
    };
    assert_eq!(taken(2).await.as_deref(), Some("9 8"));
    assert_eq!(taken(5).await.as_deref(), Some("5 4 3"));
    assert_eq!(taken(1).await, None);
}

#[tokio::test]
async fn who_finds_nothing_waits_for_none_of_those_who_have_been_given_something() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (_other_daemon, idle) = world.second_daemon("desktop").await;
    let (busy, left_over) = (world.agent(10).await, world.agent(10).await);
    for (agent, priority) in [(busy, 9), (busy, 8), (left_over, 5)] {
        let input = json!({"issueId": Uuid::new_v4(), "priority": priority});
        world.enqueue(agent, input).await;
    }
    let asking = |place: usize, daemon: &str, runtime: RuntimeId| json!({"place": place, "workspace_id": world.workspace_id.0, "daemon_id": daemon, "runtime_ids": [runtime.0], "most": 1});
    // Two are given both tasks of the one agent, and the other agent's is left over; the third has nothing to do.
    let asked = json!([
        asking(0, "laptop", world.runtime_id),
        asking(1, "laptop", world.runtime_id),
        asking(2, "desktop", idle),
    ]);
    let claim = format!(
        "select string_agg(place || ' ' || coalesce((task).priority::text, answer), ', ' order by place)
         from task_claim_together('{asked}', interval '1 minute', '1s')"
    );
    let rows = tokio::time::timeout(PATIENCE, app.database.rows(&claim)).await;
    let rows = rows.expect("a claim comes to an end");
    let taken: Option<String> = rows[0].try_get_by_index(0).unwrap();
    assert_eq!(taken.as_deref(), Some("0 9, 1 8"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_that_beat_together_are_each_told_of_their_own() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let stranger = Uuid::new_v4();
    let off_line = "update agent_runtime set status = 'offline'";
    app.database.execute(off_line).await;
    let of_another = json!({"runtimeIds": [world.runtime_id.0, stranger]});
    let error = world.daemon.mutate("heartbeat", of_another).await;
    assert_eq!(error.unwrap_err().code, "NOT_FOUND");
    let on_line = "select count(*) from agent_runtime where status = 'online'";
    assert_eq!(app.database.count(on_line).await, 0);

    let beats = (0..CROWD).map(|nth| {
        let runtimes = match nth % 3 {
            0 => json!([world.runtime_id.0]),
            1 => json!([world.runtime_id.0, world.runtime_id.0]),
            _ => json!([world.runtime_id.0, stranger]),
        };
        world
            .daemon
            .mutate("heartbeat", json!({"runtimeIds": runtimes}))
    });
    for (nth, answer) in join_all(beats).await.into_iter().enumerate() {
        if nth % 3 == 2 {
            assert_eq!(answer.unwrap_err().code, "NOT_FOUND", "the {nth}th");
            continue;
        }
        let runtimes = answer.unwrap()["runtimes"].clone();
        assert_eq!(runtimes.as_array().map(Vec::len), Some(1), "the {nth}th");
        assert_eq!(uuid(&runtimes[0]["id"]), world.runtime_id.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reports_progress_together_is_each_heard() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(100).await;
    put_work(&world, agent).await;
    let claims = claim_all(&world).await;
    let said_before = |claim: &Claim| claim.with(json!({"summary": "before"}));
    for claim in &claims {
        let said = world
            .daemon
            .mutate("reportTaskProgress", said_before(claim));
        said.await.unwrap();
    }
    let reports = claims.iter().enumerate().map(|(nth, claim)| {
        let input = match nth % 3 {
            0 => claim.with(json!({"summary": format!("step {nth}"), "step": nth, "total": CROWD})),
            1 => json!({"taskId": claim.task_id.0, "claimToken": Uuid::new_v4(), "summary": "stolen"}),
            _ => json!({"taskId": Uuid::new_v4(), "claimToken": Uuid::new_v4(), "summary": "of nothing"}),
        };
        world.daemon.mutate("reportTaskProgress", input)
    });
    for (nth, answer) in join_all(reports).await.into_iter().enumerate() {
        match nth % 3 {
            0 => assert_eq!(uuid(&answer.unwrap()["id"]), claims[nth].task_id.0),
            1 => assert_eq!(answer.unwrap_err().code, "CLAIM_CONFLICT", "the {nth}th"),
            _ => assert_eq!(answer.unwrap_err().code, "NOT_FOUND", "the {nth}th"),
        }
    }
    let noted = "select count(*) from agent_task_queue
        where progress_summary = 'step ' || progress_step and progress_total = 40 and progress_at is not null";
    let reported = claims.len().div_ceil(3);
    assert_eq!(
        usize::try_from(app.database.count(noted).await).unwrap(),
        reported
    );
    let kept = "select count(*) from agent_task_queue where progress_summary = 'before'";
    let kept = usize::try_from(app.database.count(kept).await).unwrap();
    assert_eq!(kept, claims.len() - reported);
    let events = app.database.event_count("progress").await;
    assert_eq!(usize::try_from(events).unwrap(), claims.len() + reported);
}

/// Puts a task for each of a crowd on the board, none of which has to wait for another.
async fn put_work(world: &World<'_>, agent: AgentId) {
    for _ in 0..CROWD {
        world
            .enqueue(agent, json!({"issueId": Uuid::new_v4()}))
            .await;
    }
}

/// A claim for each of a crowd, made at the same moment.
async fn claim_all(world: &World<'_>) -> Vec<Claim> {
    let claims = join_all((0..CROWD).map(|_| world.claim())).await;
    claims.into_iter().map(Option::unwrap).collect()
}
