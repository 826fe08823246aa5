//! Many daemons, one workspace: whatever the crowd, every task is run once and no agent does more than it may.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use entity::id::{AgentId, RuntimeId};
use futures::future::join_all;
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::harness::{Claim, Client, TestApp, World, claim};

/// What the daemons of the storm share.
struct Storm {
    tasks: usize,
    done: AtomicUsize,
    round: Barrier,
}

impl Storm {
    /// Claims, starts and completes, in rounds that end when there is nothing to claim for anybody, until every task
    /// is done.
    async fn work(&self, client: Client, runtime: RuntimeId) -> Vec<Claim> {
        let mut mine = Vec::new();
        for _ in 0..self.tasks {
            while let Some(claim) = claim(&client, runtime).await {
                client.mutate("startTask", claim.input()).await.unwrap();
                client.mutate("completeTask", claim.input()).await.unwrap();
                mine.push(claim);
                self.done.fetch_add(1, Ordering::Relaxed);
            }
            self.round.wait().await;
            if self.done.load(Ordering::Relaxed) == self.tasks {
                return mine;
            }
            self.round.wait().await;
        }
        panic!("a round in which nothing was done");
    }
}

#[tokio::test]
async fn thirty_two_daemons_run_every_task_of_a_workspace_once() {
    let app = TestApp::start().await;
    let second = app.second_server().await;
    let world = World::new(&app).await;
    let mut agents = Vec::new();
    for capacity in [4, 8, 20, 40] {
        agents.push(world.agent(capacity).await);
    }
    let mut daemons = Vec::new();
    for number in 0..32 {
        let (client, runtime) = world.second_daemon(&format!("daemon-{number}")).await;
        for agent in &agents {
            app.database.put_many(*agent, runtime, 2).await;
        }
        // Each works on two tasks at a time, by way of two servers.
        daemons.push((client.at(second.address), runtime));
        daemons.push((client, runtime));
    }
    let storm = Storm {
        tasks: 32 * agents.len() * 2,
        done: AtomicUsize::new(0),
        round: Barrier::new(daemons.len()),
    };
    let work = daemons
        .into_iter()
        .map(|(client, runtime)| storm.work(client, runtime));
    let claims: Vec<Claim> = join_all(work).await.into_iter().flatten().collect();

    let distinct: HashSet<Uuid> = claims.iter().map(|claim| claim.task_id.0).collect();
    assert_eq!((claims.len(), distinct.len()), (storm.tasks, storm.tasks));
    for kind in ["dispatched", "running", "completed"] {
        let once = format!(
            "select count(*) from agent_task_queue as task
             where (select count(*) from task_event as event where event.task_id = task.id and event.kind = '{kind}') = 1"
        );
        assert_eq!(
            usize::try_from(app.database.count(&once).await).unwrap(),
            storm.tasks,
            "{kind}"
        );
    }
    for agent in agents {
        assert_within_capacity(&app, agent).await;
    }
    assert_eq!(world.claim().await, None);
}

/// Asserts from the event log that an agent never had more tasks in hand than it may.
async fn assert_within_capacity(app: &TestApp, agent: AgentId) {
    let overshot = format!(
        "select count(*) from (
             select sum(case kind when 'dispatched' then 1 when 'completed' then -1 else 0 end)
                 over (order by position) as in_hand
             from task_event where agent_id = '{agent}' and task_id is not null
         ) as course
         where in_hand > (select max_concurrent_tasks from agent where id = '{agent}')"
    );
    assert_eq!(app.database.count(&overshot).await, 0);
}
