//! Claims of several tasks, in a crowd of others.

use std::collections::HashSet;

use entity::id::AgentId;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CROWD, put_work};
use crate::harness::{Claim, TestApp, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_given_no_more_than_they_want_and_every_task_is_given_once() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let other = world.second_runtime("codex").await;
    let (here, there) = (world.agent(100).await, world.agent(100).await);
    put_work(&world, here).await;
    app.database.move_agent(there, other).await;
    put_work(&world, there).await;
    // Both lines of the daemon together, and each for itself.
    let lines = [
        vec![world.runtime_id.0, other.0],
        vec![world.runtime_id.0],
        vec![other.0],
    ];
    let mut claimed: Vec<Claim> = Vec::new();
    while claimed.len() < 2 * CROWD {
        let wanted = |nth: usize| 1 + nth % 4;
        let claims = join_all((0..CROWD / 2).map(|nth| {
            let input = json!({"runtimeIds": lines[nth % 3], "max": wanted(nth), "requestId": Uuid::new_v4()});
            world.daemon.mutate("claimTasks", input)
        }));
        let mut given = 0;
        for (nth, answer) in claims.await.into_iter().enumerate() {
            let answer = answer.unwrap();
            let claims = answer.as_array().unwrap();
            assert!(claims.len() <= wanted(nth), "the {nth}th wants fewer");
            given += claims.len();
            claimed.extend(claims.iter().map(Claim::of));
        }
        assert!(given > 0, "something waits, and nobody is given anything");
    }
    let tasks: HashSet<_> = claimed.iter().map(|claim| claim.task_id).collect();
    assert_eq!((claimed.len(), tasks.len()), (2 * CROWD, 2 * CROWD));
    let told = usize::try_from(app.database.event_count("dispatched").await).unwrap();
    assert_eq!(told, 2 * CROWD);
}

#[tokio::test]
async fn who_asks_first_is_given_all_that_they_want_before_the_next_in_the_line() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (busy, other) = (world.agent(10).await, world.agent(10).await);
    for (agent, priority) in [(busy, 9), (busy, 8), (other, 7), (busy, 6), (other, 5)] {
        let input = json!({"issueId": Uuid::new_v4(), "priority": priority});
        world.enqueue(agent, input).await;
    }
    let asking = |place: usize, most: usize| {
        json!({"place": place, "workspace_id": world.workspace_id.0, "daemon_id": "laptop",
               "runtime_ids": [world.runtime_id.0], "most": most})
    };
    let asked: Vec<Value> = vec![asking(0, 3), asking(1, 1), asking(2, 100)];
    let claim = format!(
        "select string_agg(place || ': ' || (task).priority, ', ' order by place, (task).priority desc)
         from task_claim_together('{}', interval '1 minute', '1s')",
        json!(asked)
    );
    let rows = app.database.rows(&claim).await;
    let given: Option<String> = rows[0].try_get_by_index(0).unwrap();
    assert_eq!(given.as_deref(), Some("0: 9, 0: 8, 0: 7, 1: 6, 2: 5"));
}

#[tokio::test]
async fn lines_that_overlap_overshoot_neither_an_agents_capacity_nor_a_chat() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (one, other) = (world.runtime_id, world.second_runtime("codex").await);
    let (single, double) = (world.agent(1).await, world.agent(2).await);
    let (moved, chatty) = (world.agent(1).await, world.agent(9).await);
    for agent in [single, double, moved] {
        for _ in 0..3 {
            let input = json!({"issueId": Uuid::new_v4()});
            world.enqueue(agent, input).await;
        }
    }
    app.database.move_agent(moved, other).await;
    for _ in 0..3 {
        let input = json!({"issueId": Uuid::new_v4(), "priority": 9});
        world.enqueue(moved, input).await;
    }
    let chat = Uuid::new_v4();
    for _ in 0..3 {
        let input = json!({"chatSessionId": chat});
        world.enqueue(chatty, input).await;
    }
    let mut both = [one.0, other.0];
    both.sort();
    let lines = [both.to_vec(), vec![one.0], vec![other.0], both.to_vec()];
    let asked = lines.iter().enumerate().map(|(place, runtimes)| {
        json!({"place": place, "workspace_id": world.workspace_id.0, "daemon_id": "laptop",
               "runtime_ids": runtimes, "most": 4})
    });
    let asked: Vec<Value> = asked.collect();
    let claim = format!(
        "select 1 from task_claim_together('{}', interval '1 minute', '1s') where answer = 'take'",
        json!(asked)
    );
    let given = app.database.rows(&claim).await.len();
    let at_work = async |agent: AgentId| {
        let sql = format!(
            "select count(*) from agent_task_queue where agent_id = '{agent}' and status = 'dispatched'"
        );
        app.database.count(&sql).await
    };
    let found = [
        at_work(single).await,
        at_work(double).await,
        at_work(moved).await,
        at_work(chatty).await,
    ];
    assert_eq!((found, given), ([1, 2, 1, 1], 5));
}

#[tokio::test]
async fn one_who_asks_for_very_much_is_given_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(100).await;
    app.database.put_many(agent, world.runtime_id, 100).await;
    let runtimes = [world.runtime_id, world.second_runtime("codex").await];
    // That is more than a crowd does at once.
    let input = json!({"runtimeIds": runtimes.map(|runtime| runtime.0), "max": 100});
    let claims = world.daemon.mutate("claimTasks", input).await.unwrap();
    let claims = claims.as_array().unwrap();
    assert!(!claims.is_empty());
    let dispatched = app.database.task_count("dispatched").await;
    assert_eq!(usize::try_from(dispatched).unwrap(), claims.len());
}
