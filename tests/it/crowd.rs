//! Many who ask for anything at all, at once and about the same few things: two servers, two daemons with three runtimes,
//! three agents, two issues. Whatever comes of it, a refusal has to be one that the state explains; a fault, or a
//! database that gave up, is none.

mod asking;
mod passing;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use entity::id::{AgentId, RuntimeId, TaskId};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use uuid::Uuid;

use crate::harness::{Claim, Client, TestApp, World};

pub(crate) use asking::MUTATIONS;
pub(crate) use passing::PASSING;

/// How many tasks are asked about: the last of them.
const RECENT_TASKS: usize = 12;

/// How many claims are.
const RECENT_CLAIMS: usize = 5;

/// What is refused because of the state: somebody else was faster.
const REFUSALS: [&str; 2] = ["CLAIM_CONFLICT", "FAILED_PRECONDITION"];

/// What the crowd asks about, and what it has learned.
pub(crate) struct Crowd<'a> {
    app: &'a TestApp,
    world: World<'a>,
    /// The host application, at each server.
    hosts: [Client; 2],
    /// The daemons, at each server.
    daemons: [[Client; 2]; 2],
    /// Each with the number of its daemon, and its provider.
    runtimes: [(usize, RuntimeId, &'static str); 3],
    pub(crate) agents: Vec<AgentId>,
    issues: [Uuid; 2],
    chats: [Uuid; 2],
    comments: [Uuid; 2],
    learned: Mutex<Learned>,
}

/// What answers have told.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    tasks: Vec<TaskId>,
    /// Claims, with the number of the daemon that was given them.
    claims: Vec<(usize, Claim)>,
    /// By which request each token was given out.
    pub(crate) given: HashMap<Uuid, Uuid>,
    /// Which tasks are retries that somebody asked for.
    pub(crate) by_hand: HashSet<TaskId>,
}

impl<'a> Crowd<'a> {
    /// Before anybody has asked for anything. The agents do one, two and three tasks at a time.
    pub(crate) async fn gather(app: &'a TestApp, second: std::net::SocketAddr) -> Self {
        let world = World::new(app).await;
        let (desktop, third) = world.second_daemon("desktop").await;
        let fourth = world.second_runtime("codex").await;
        let mut agents = Vec::new();
        for capacity in 1..=3 {
            agents.push(world.agent(capacity).await);
        }
        let at_both = |client: &Client| [client.clone(), client.at(second)];
        let two = || [Uuid::new_v4(), Uuid::new_v4()];
        Self {
            app,
            hosts: at_both(&world.host),
            daemons: [at_both(&world.daemon), at_both(&desktop)],
            runtimes: [
                (0, world.runtime_id, "claude"),
                (0, fourth, "codex"),
                (1, third, "claude"),
            ],
            agents,
            issues: two(),
            chats: two(),
            comments: two(),
            learned: Mutex::default(),
            world,
        }
    }

    /// Asks for something about something. In words, what should not have been answered.
    pub(crate) async fn act(&self, what: &'static str, dice: &mut StdRng) -> Result<(), String> {
        if PASSING.contains(&what) {
            return self.pass(what, dice).await;
        }
        let asked = self.request(what, dice);
        match asked
            .client
            .mutate(asked.mutation, asked.given.clone())
            .await
        {
            Ok(answer) => self.learn(&asked, &answer),
            Err(error) if REFUSALS.contains(&error.code.as_str()) => Ok(()),
            Err(error) => Err(format!("{} {}: {error:?}", asked.mutation, asked.given)),
        }
    }

    /// Puts things in a state in which much can happen: the agents are there, their runtimes on line, and each has a task
    /// waiting on both issues.
    pub(crate) async fn lay_out(&self) {
        let [one, other] = self.issues;
        let agents: Vec<String> = self.agents.iter().map(|id| format!("'{id}'")).collect();
        let agents = agents.join(", ");
        self.app
            .database
            .execute(&format!(
                "select from agent where id in ({agents}) order by id for no key update;
                 update agent set archived_at = null where id in ({agents}) and archived_at is not null;
                 update agent_runtime set status = 'online', last_seen_at = now();
                 insert into agent_task_queue (agent_id, runtime_id, issue_id)
                 select id, runtime_id, issue from agent, unnest(array['{one}', '{other}']::uuid[]) as issue
                 where id in ({agents})
                 on conflict (issue_id, agent_id) where status in ('queued', 'dispatched') do nothing"
            ))
            .await;
    }

    /// What is known so far.
    pub(crate) fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A recent task; nobody's yet where there is none.
    fn a_task(&self, dice: &mut StdRng) -> Option<TaskId> {
        let learned = self.learned();
        learned.tasks[learned.tasks.len().saturating_sub(RECENT_TASKS)..]
            .choose(dice)
            .copied()
    }

    /// A recent claim.
    fn a_claim(&self, dice: &mut StdRng) -> Option<(usize, Claim)> {
        let learned = self.learned();
        learned.claims[learned.claims.len().saturating_sub(RECENT_CLAIMS)..]
            .choose(dice)
            .copied()
    }
}

/// At either server.
fn either<'c>(clients: &'c [Client; 2], dice: &mut StdRng) -> &'c Client {
    clients.choose(dice).expect("there are two")
}

/// One of them.
fn one<T: Copy>(of: &[T], dice: &mut StdRng) -> T {
    *of.choose(dice).expect("there is one")
}
