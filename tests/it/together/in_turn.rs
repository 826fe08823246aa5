//! Whatever waits, and whoever asks: a crowd is given what they would be given if they asked one after the other.

use std::collections::{BTreeMap, BTreeSet};

use entity::id::{AgentId, RuntimeId};
use rand::RngExt;
use rand::rngs::StdRng;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::chance;
use crate::harness::{TestApp, World};

/// How many boards there are to be, unless `CALLBOARD_TEST_CASES` says so.
const BOARDS: u64 = 150;

/// Who asks, in which order.
struct Asker {
    /// For which runtimes, in their order.
    runtimes: Vec<RuntimeId>,
    /// Of which agent, where not of any.
    agent: Option<AgentId>,
    /// For how many tasks.
    most: usize,
}

#[tokio::test]
async fn a_crowd_is_given_what_they_would_be_given_in_turn() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let runtimes = [
        world.runtime_id,
        world.second_runtime("codex").await,
        world.second_runtime("gemini").await,
    ];
    let seed = chance::seed();
    let mut given_out = 0;
    for board in 0..chance::cases(BOARDS) {
        let seed = seed.wrapping_add(board);
        let mut dice = chance::dice(seed);
        let txn = app.database.pool.begin().await.unwrap();
        // A claim that never came to an end would say so.
        plain(&txn, "set local statement_timeout = '10s'").await;
        let askers = set_up(&txn, &world, &runtimes, &mut dice).await;
        let all = vec![(0..askers.len()).collect()];

        plain(&txn, "savepoint before").await;
        let together = given(&txn, &world, &askers, all).await;
        plain(&txn, "rollback to savepoint before").await;
        let in_turn = given(&txn, &world, &askers, each_alone(&askers)).await;
        txn.rollback().await.unwrap();

        let seen = (by_line(&askers, &together), by_line(&askers, &in_turn));
        assert_eq!(seen.0, seen.1, "CALLBOARD_TEST_SEED={seed}");
        given_out += seen.0.len();
    }
    assert!(given_out > 0, "nothing was ever given to anyone");
    chance::tell(&format!("{given_out} tasks were given out"));
}

/// Puts agents and tasks on the board, has a few of them claimed, and says who asks next.
async fn set_up(
    txn: &DatabaseTransaction,
    world: &World<'_>,
    runtimes: &[RuntimeId],
    dice: &mut StdRng,
) -> Vec<Asker> {
    let workspace = world.workspace_id;
    let mut agents = Vec::new();
    for number in 0..dice.random_range(1..=8) {
        let (id, runtime) = (Uuid::new_v4(), one_of(runtimes, dice));
        let capacity = dice.random_range(1..=3);
        plain(
            txn,
            &format!(
                "insert into agent (id, workspace_id, name, runtime_id, max_concurrent_tasks)
                 values ('{id}', '{workspace}', 'agent {number}', '{runtime}', {capacity})"
            ),
        )
        .await;
        agents.push((AgentId(id), runtime));
    }
    let [issues, chats] =
        [4, 2].map(|count| (0..count).map(|_| Uuid::new_v4()).collect::<Vec<_>>());
    for _ in 0..dice.random_range(0..=24) {
        let (agent, runtime) = one_of(&agents, dice);
        let link = match dice.random_range(0..4) {
            0 => format!("'{}', null", one_of(&issues, dice)),
            1 => format!("null, '{}'", one_of(&chats, dice)),
            2 => "null, null".to_owned(),
            _ => format!("'{}', null", Uuid::new_v4()),
        };
        let (priority, age) = (dice.random_range(0..3), dice.random_range(1..9));
        plain(
            txn,
            &format!(
                "insert into agent_task_queue (agent_id, runtime_id, issue_id, chat_session_id, priority, created_at)
                 values ('{agent}', '{runtime}', {link}, {priority}, now() - interval '{age} min')
                 on conflict do nothing"
            ),
        )
        .await;
    }
    let before: Vec<Asker> = (0..dice.random_range(0..4))
        .map(|_| Asker {
            runtimes: vec![one_of(runtimes, dice)],
            agent: None,
            most: 1,
        })
        .collect();
    given(txn, world, &before, each_alone(&before)).await;
    // Each of the runtimes is in one line only. Those in it either ask for any of its agents, or for the same.
    let mut lines: Vec<Vec<RuntimeId>> = vec![Vec::new(); runtimes.len()];
    for runtime in runtimes {
        let nth = dice.random_range(0..lines.len());
        lines[nth].push(*runtime);
    }
    lines.retain(|line| !line.is_empty());
    for line in &mut lines {
        line.sort();
    }
    let wanted: Vec<Option<AgentId>> = lines
        .iter()
        .map(|line| {
            let own = agents.iter().find(|(_, at)| line.contains(at));
            own.filter(|_| dice.random_bool(0.2))
                .map(|(agent, _)| *agent)
        })
        .collect();
    (0..dice.random_range(1..=12))
        .map(|_| {
            let nth = dice.random_range(0..lines.len());
            Asker {
                runtimes: lines[nth].clone(),
                agent: wanted[nth],
                most: one_of(&[1, 1, 2, 5], dice),
            }
        })
        .collect()
}

/// The places of these, each in a group of its own.
fn each_alone(askers: &[Asker]) -> Vec<Vec<usize>> {
    (0..askers.len()).map(|place| vec![place]).collect()
}

/// What each is given, by their places, where these groups of them ask one after the other. Who is told to ask again
/// does so, alone, and for the tasks of others.
async fn given(
    txn: &DatabaseTransaction,
    world: &World<'_>,
    askers: &[Asker],
    mut groups: Vec<Vec<usize>>,
) -> BTreeMap<usize, BTreeSet<Uuid>> {
    let mut given: BTreeMap<usize, BTreeSet<Uuid>> = BTreeMap::new();
    let mut passed_over: BTreeMap<usize, Vec<Uuid>> = BTreeMap::new();
    // The first is taken from the end.
    groups.reverse();
    while let Some(group) = groups.pop() {
        let asked: Vec<Value> = group
            .iter()
            .map(|place| {
                let Asker {
                    runtimes,
                    agent,
                    most,
                } = &askers[*place];
                let runtimes: Vec<Uuid> = runtimes.iter().map(|runtime| runtime.0).collect();
                json!({
                    "place": place, "workspace_id": world.workspace_id.0, "daemon_id": "laptop",
                    "runtime_ids": runtimes, "agent_id": agent.map(|agent| agent.0), "most": most,
                    "passed_over": passed_over.get(place),
                })
            })
            .collect();
        let sql = format!(
            "select place, answer, passed_over, (task).id from task_claim_together('{}', interval '1 minute', '1s')",
            Value::from(asked)
        );
        let rows = txn.query_all_raw(Statement::from_string(DbBackend::Postgres, sql));
        for row in rows.await.unwrap() {
            let place: i32 = row.try_get("", "place").unwrap();
            let place = usize::try_from(place).unwrap();
            match row.try_get::<String>("", "answer").unwrap().as_str() {
                "take" => {
                    let all = given.entry(place).or_default();
                    assert!(all.insert(row.try_get("", "id").unwrap()));
                    assert!(
                        all.len() <= askers[place].most,
                        "the {place}th is given more"
                    );
                }
                "again" => {
                    let agents: Vec<Uuid> = row.try_get("", "passed_over").unwrap();
                    passed_over.entry(place).or_default().extend(agents);
                    groups.push(vec![place]);
                }
                other => panic!("the {place}th is told {other}"),
            }
        }
    }
    given
}

/// Which tasks were given out in each line.
fn by_line(
    askers: &[Asker],
    given: &BTreeMap<usize, BTreeSet<Uuid>>,
) -> BTreeSet<(Vec<RuntimeId>, Uuid)> {
    let of = |(place, tasks): (&usize, &BTreeSet<Uuid>)| {
        let line = askers[*place].runtimes.clone();
        let tasks: Vec<Uuid> = tasks.iter().copied().collect();
        tasks.into_iter().map(move |task| (line.clone(), task))
    };
    given.iter().flat_map(of).collect()
}

fn one_of<T: Copy>(all: &[T], dice: &mut StdRng) -> T {
    all[dice.random_range(0..all.len())]
}

async fn plain(txn: &DatabaseTransaction, sql: &str) {
    txn.execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}
