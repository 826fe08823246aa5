//! Everything that carries the feed is broken, in random order and under load: servers and Postgres are killed, connections
//! cut. Whoever resumes with their cursor sees every event once, in the one order.
//!
//! Ten rounds by default; `CALLBOARD_CHAOS_ROUNDS` says otherwise.

mod pooler;
mod server;
mod sharing;
mod subscriber;

use std::collections::HashSet;
use std::io::Write;

use entity::id::{AgentId, TaskId};
use futures::future::join_all;
use sea_orm::ConnectionTrait;
use tokio::sync::watch;
use uuid::Uuid;

use crate::harness::{OwnPostgres, Seen, TestApp, World};
use server::Server;
use subscriber::{Feed, Subscriber};

/// What can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A server is killed, and another started in its place.
    Server(usize),
    /// The line between a server and the database is cut for a while.
    Line(usize),
    /// The connections on which servers listen are ended.
    Listeners,
    /// Every connection of the servers is ended.
    Connections,
    /// Postgres is killed, and started again.
    Postgres,
}

const FAULTS: [Fault; 7] = [
    Fault::Server(0),
    Fault::Server(1),
    Fault::Line(0),
    Fault::Line(1),
    Fault::Listeners,
    Fault::Connections,
    Fault::Postgres,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_every_subscriber_sees_every_event_once() {
    let rounds: usize = std::env::var("CALLBOARD_CHAOS_ROUNDS")
        .map_or(10, |rounds| rounds.parse().expect("a number of rounds"));
    let mut postgres = OwnPostgres::start().await;
    let app = TestApp::start_on(&postgres).await;
    let world = World::new(&app).await;
    let (agent, start) = (world.agent(1).await, world.cursor().await);
    let token = app
        .token(callboard::auth::Identity::Service {
            workspace_id: world.workspace_id,
        })
        .await;
    let mut servers = [
        Server::start(&app.database).await,
        Server::start(&app.database).await,
    ];
    let mut subscribers = Vec::new();
    for server in &servers {
        for feed in [Feed::Events, Feed::Updates] {
            let address = server.address();
            let workspace_id = world.workspace_id;
            subscribers.push(Subscriber::start(
                feed,
                address,
                &token,
                workspace_id,
                &start,
            ));
        }
    }

    for round in 0..rounds {
        let (one, other) = (
            rand::random_range(0..FAULTS.len()),
            rand::random_range(0..FAULTS.len()),
        );
        let faults = [FAULTS[one], FAULTS[other]];
        let (progress, _) = watch::channel(Progress::default());
        let breaking = async {
            for fault in faults {
                inject(fault, &mut servers, &mut postgres, &app, &progress).await;
            }
            progress.send_modify(|progress| progress.is_over = true);
        };
        tokio::join!(
            breaking,
            join_all((0..4).map(|_| write(&app, &world, agent, &progress)))
        );
        // Whoever is back sees what happened last, and with it what happened meanwhile.
        let last = app.database.last_cursor().await;
        for subscriber in &subscribers {
            subscriber
                .until(&last, &format!("round {round}: {faults:?}"))
                .await;
        }
    }

    let log = app.database.log(&start).await;
    let (mut lost, mut doubled, mut is_same) = (0, 0, true);
    for subscriber in &subscribers {
        let seen = subscriber.seen();
        let told: HashSet<&str> = seen.iter().map(|event| event.cursor.as_str()).collect();
        doubled += seen.len() - told.len();
        let is_lost = |event: &&Seen| !told.contains(event.cursor.as_str());
        lost += log.iter().filter(is_lost).count();
        is_same &= seen == log;
    }
    let resumed: usize = subscribers.iter().map(Subscriber::sessions).sum();
    let figures = format!(
        "{rounds} rounds, {} events, {} subscribers that connected {resumed} times: lost {lost}, doubled {doubled}",
        log.len(),
        subscribers.len()
    );
    writeln!(std::io::stderr(), "{figures}").unwrap();
    assert!(is_same, "{figures}");
}

/// How far a round is.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    statements: usize,
    is_over: bool,
}

/// Breaks something and puts it right again.
async fn inject(
    fault: Fault,
    servers: &mut [Server; 2],
    postgres: &mut OwnPostgres,
    app: &TestApp,
    progress: &watch::Sender<Progress>,
) {
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'callboard'";
    match fault {
        Fault::Server(index) => servers[index].replace().await,
        Fault::Line(index) => {
            servers[index].line.cut();
            let until = progress.borrow().statements + 10;
            let mut watched = progress.subscribe();
            watched
                .wait_for(|progress| progress.statements >= until)
                .await
                .unwrap();
            servers[index].line.mend();
        }
        // A connection that finds itself ended as well is not the test's business.
        Fault::Listeners => {
            let listeners = format!("{end} and query ilike 'listen %'");
            let _ended = app.database.pool.execute_unprepared(&listeners).await;
        }
        Fault::Connections => {
            let _ended = app.database.pool.execute_unprepared(end).await;
        }
        Fault::Postgres => {
            postgres.kill();
            postgres.start_again().await;
        }
    }
}

/// Writes until the round is over, and so many statements in any case; some that break are no matter.
async fn write(
    app: &TestApp,
    world: &World<'_>,
    agent: AgentId,
    progress: &watch::Sender<Progress>,
) {
    let mut written = 0;
    while written < 5 || !progress.borrow().is_over {
        let insertion = || world.insertion(agent, TaskId(Uuid::now_v7()));
        let sql = match rand::random_range(0..6) {
            0 => format!("begin; {}; {}; rollback", insertion(), insertion()),
            1 => format!("begin; {}; {}; commit", insertion(), insertion()),
            2 => "update agent_task_queue set status = 'cancelled', completed_at = now()
                  where id in (select id from agent_task_queue where status = 'queued' limit 3)"
                .to_owned(),
            _ => insertion(),
        };
        let _may_break = app.database.pool.execute_unprepared(&sql).await;
        written += 1;
        progress.send_modify(|progress| progress.statements += 1);
    }
}
