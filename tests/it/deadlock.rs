//! No two requests ever wait for each other: everything that can be asked for, and everything that time brings about,
//! against everything else, at once and about the same few agents and tasks.
//!
//! That holds among Callboard's own writers, and for whoever writes plain SQL and locks the agents first, as they do:
//! `select from agent where ... order by id for no key update`, in a statement of its own. It cannot be promised to plain
//! SQL that does not. An UPDATE locks its rows before any trigger is called, and a trigger of the statement is not told
//! which rows these will be; so whoever updates tasks at will has locked them when the agents' turn comes, and a request
//! that has locked the agent may be waiting for the task. What is promised instead is tested here too: Postgres lets one
//! of the two go, nothing is half done, and whoever is told `UNAVAILABLE` may ask again.
//!
//! `CALLBOARD_TEST_CASES` says how often everything meets everything, `CALLBOARD_TEST_SEED` with which seed that begins.

use entity::id::AgentId;
use futures::future::join_all;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use sea_orm::ConnectionTrait;
use serde_json::json;
use uuid::Uuid;

use crate::chance;
use crate::crowd::{Crowd, MUTATIONS, PASSING};
use crate::harness::{Surface, TestApp, TestDatabase, World};

/// How many pairs meet at once.
const PAIRS: usize = 8;

/// What is in the midst of every meeting: what concerns many agents at once, and what brings tasks on their way.
const MIDST: [&str; 8] = [
    "claimTasks",
    "claimTasks",
    "cancelByIssue",
    "recoverOrphanedTasks",
    "the sweeper comes round",
    "claimTask",
    "startTask",
    "a lease expires",
];

/// What plain SQL does beside it, to all that it finds.
const BULK: [&str; 3] = [
    "update agent_task_queue set priority = priority + 1 where status = 'queued'",
    "update agent_task_queue set status = 'cancelled', completed_at = now() where status in ('dispatched', 'running')",
    "update agent_task_queue set claim_expires_at = now() - interval '1 s' where status = 'dispatched'",
];

/// How often that is.
const BULK_MEETINGS: u64 = 20;

#[tokio::test]
async fn nothing_that_can_be_asked_for_waits_for_anything_else_in_a_circle() {
    let app = TestApp::start().await;
    let second = app.second_server().await;
    let crowd = Crowd::gather(&app, second.address).await;
    let everything = [&MUTATIONS[..], &PASSING].concat();
    let (turns, seed) = (chance::cases(1), chance::seed());
    let (mut dice, mut meetings) = (chance::dice(seed), 0);
    for turn in 0..turns {
        // At once, so that who comes first is left to chance: which of the two is asked for first, too.
        let mut pairs: Vec<[&str; 2]> = Vec::new();
        for (number, one) in everything.iter().enumerate() {
            pairs.extend(everything[number..].iter().map(|other| [*one, *other]));
        }
        for pair in &mut pairs {
            pair.shuffle(&mut dice);
        }
        pairs.shuffle(&mut dice);
        for meeting in pairs.chunks(PAIRS) {
            let meeting = [&meeting.concat()[..], &MIDST].concat();
            meetings += 1;
            if let Err(fault) = meet(&app.database, &crowd, &meeting, &mut dice).await {
                panic!(
                    "with CALLBOARD_TEST_SEED={seed}, in turn {turn}: {fault}; at once: {meeting:?}"
                );
            }
        }
    }
    assert_eq!(deadlocks(&app.database).await, 0);
    chance::tell(&format!("{turns} turns, {meetings} meetings"));
}

#[tokio::test]
async fn plain_sql_that_locks_the_agents_first_waits_for_nobody_in_a_circle() {
    let app = TestApp::start().await;
    let second = app.second_server().await;
    let crowd = Crowd::gather(&app, second.address).await;
    let everything = [&MUTATIONS[..], &PASSING].concat();
    let (turns, seed) = (chance::cases(1), chance::seed());
    let mut dice = chance::dice(seed);
    for _ in 0..turns * BULK_MEETINGS {
        let mut meeting: Vec<&str> = everything.sample(&mut dice, 2 * PAIRS).copied().collect();
        meeting.extend(MIDST);
        let bulk = join_all(
            BULK.iter()
                .map(|update| in_order(&app.database, &crowd.agents, update)),
        );
        let (met, ()) = tokio::join!(meet(&app.database, &crowd, &meeting, &mut dice), async {
            bulk.await;
        });
        if let Err(fault) = met {
            panic!(
                "with CALLBOARD_TEST_SEED={seed}: {fault}; beside plain SQL at once: {meeting:?}"
            );
        }
    }
    assert_eq!(deadlocks(&app.database).await, 0);
}

#[tokio::test]
async fn plain_sql_that_does_not_costs_one_of_the_two_who_met_a_repetition() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let issue = Uuid::new_v4();
    world.enqueue(agent, json!({"issueId": issue})).await;
    let claim = world.run().await;

    // The update has locked the task and comes to the agent only when the log lets it; the request has locked the agent
    // by then, and waits for the task.
    let log = app.database.hold_event_log().await;
    let update = format!(
        "update agent_task_queue set status = 'failed', completed_at = now() where issue_id = '{issue}'"
    );
    let (updated, cancelled) = tokio::join!(app.database.pool.execute_unprepared(&update), async {
        app.database.until_waiting(1).await;
        let cancel = json!({"taskId": claim.task_id.0});
        let (cancelled, ()) = tokio::join!(world.host.mutate("cancelTask", cancel), async {
            app.database.until_waiting(2).await;
            log.commit().await;
        });
        cancelled
    });

    let ended = match (updated, cancelled) {
        (Ok(_), Err(refused)) => {
            assert_eq!(refused.code, "UNAVAILABLE");
            "FAILED"
        }
        (Err(error), Ok(task)) => {
            assert!(error.to_string().contains("deadlock detected"), "{error}");
            assert_eq!(task["status"], "CANCELLED");
            "CANCELLED"
        }
        other => panic!("one of the two is let go: {other:?}"),
    };
    // Who asks again learns what became of the task, once and for all.
    assert_eq!(world.complete(claim).await["status"], ended);
    let kinds = world.host.events(claim.task_id).await;
    assert_eq!(kinds, ["QUEUED", "DISPATCHED", "RUNNING", ended]);
}

#[tokio::test]
async fn every_mutation_there_is_is_among_those_that_meet() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let mut mutations = Surface::of(&world.host).await.mutations();
    mutations.sort();
    assert_eq!(mutations, MUTATIONS);
}

/// Asks for all of it at once, while an agent is held until everybody is there: so that whoever locks several is stopped
/// between two of them. In words, what should not have been answered.
async fn meet(
    database: &TestDatabase,
    crowd: &Crowd<'_>,
    meeting: &[&'static str],
    dice: &mut StdRng,
) -> Result<(), String> {
    crowd.lay_out().await;
    let held = database
        .hold_agent(*crowd.agents.choose(dice).expect("there are agents"))
        .await;
    let seeds: Vec<u64> = meeting.iter().map(|_| dice.random()).collect();
    let acts = meeting
        .iter()
        .zip(seeds)
        .map(async |(what, seed)| crowd.act(what, &mut chance::dice(seed)).await);
    let (met, ()) = tokio::join!(join_all(acts), async {
        database.until_nobody_else_waits().await;
        held.commit().await;
    });
    met.into_iter().collect()
}

/// Updates in plain SQL, the agents locked first and in the order of their ids.
async fn in_order(database: &TestDatabase, agents: &[AgentId], update: &str) {
    let ids: Vec<String> = agents.iter().map(|id| format!("'{id}'")).collect();
    let ids = ids.join(", ");
    let held = database
        .hold(&format!(
            "select from agent where id in ({ids}) order by id for no key update"
        ))
        .await;
    held.execute(&format!("{update} and agent_id in ({ids})"))
        .await;
    held.commit().await;
}

/// How many deadlocks there have been in the database, those included that nobody was told of. (A session counts its own
/// when it rests; a request that lost is seen by its answer before.)
async fn deadlocks(database: &TestDatabase) -> i64 {
    database
        .count("select deadlocks from pg_stat_database where datname = current_database()")
        .await
}
