//! The boards that are compared.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use uuid::Uuid;

use super::FlatArgs;
use crate::board::{self, Active, Board, Head, Runtime};
use crate::client::Client;
use crate::life::Life;
use crate::plans::Explained;
use crate::postgres::Postgres;
use crate::server::Server;

/// The board that all others are compared with.
pub(super) const SMALL: &str = "small";

/// How many agents have a running task, that of the blocked tasks left out.
const RUNNING: u32 = 20;

/// How many tasks wait behind the blocked ones.
const BEHIND: u32 = 1000;

/// A board, and what on it the calls are about.
#[derive(Debug)]
pub(super) struct Subject {
    /// What it is called.
    pub(super) name: &'static str,
    /// What is on it.
    pub(super) meaning: String,
    /// Whether so much waits that what lists it is left out.
    pub(super) lists_what_waits: bool,
    /// The board.
    pub(super) board: Board,
    /// Its runtime.
    pub(super) runtime: Runtime,
    /// The agents that have tasks waiting and can be given them.
    pub(super) waiting_agents: Vec<Uuid>,
    /// The agent of the tasks at the head.
    pub(super) last_agent: Uuid,
    /// The last task in the line of the runtime.
    pub(super) last_in_line: Uuid,
    /// An issue with finished tasks.
    pub(super) issue: Uuid,
    /// How many lives there were, so that the agents take turns.
    lives: AtomicUsize,
}

impl Subject {
    async fn open(
        postgres: &Postgres,
        args: &FlatArgs,
        (name, meaning): (&'static str, String),
        lists_what_waits: bool,
    ) -> anyhow::Result<Self> {
        let board = Board::open(postgres, name).await?;
        let mut connection = postgres.connect(name).await?;
        let last_in_line = sqlx::query_scalar(
            "select id from agent_task_queue where status = 'queued' order by created_at desc limit 1",
        )
        .fetch_one(&mut connection)
        .await?;
        let issue = sqlx::query_scalar("select md5('issue 5')::uuid")
            .fetch_one(&mut connection)
            .await?;
        let runtime = board.runtime()?.clone();
        let waiting: usize = args.waiting_agents.try_into()?;
        let agents = &runtime.agents;
        Ok(Self {
            name,
            meaning,
            lists_what_waits,
            waiting_agents: agents.iter().take(waiting).copied().collect(),
            last_agent: agents.last().copied().unwrap_or_default(),
            last_in_line,
            issue,
            lives: AtomicUsize::new(0),
            runtime,
            board,
        })
    }

    /// The same board behind a server whose statements Postgres explains.
    pub(super) async fn explained(
        &self,
        postgres: &Postgres,
        explained: Explained,
    ) -> anyhow::Result<Self> {
        let server = Server::start_explained(postgres, self.name, explained).await?;
        let runtime = Runtime {
            daemon: self.runtime.daemon.at(server.address)?,
            ..self.runtime.clone()
        };
        Ok(Self {
            name: self.name,
            meaning: self.meaning.clone(),
            lists_what_waits: self.lists_what_waits,
            waiting_agents: self.waiting_agents.clone(),
            last_agent: self.last_agent,
            last_in_line: self.last_in_line,
            issue: self.issue,
            lives: AtomicUsize::new(self.lives.load(Ordering::Relaxed)),
            board: Board {
                database: self.board.database.clone(),
                workspace_id: self.board.workspace_id,
                host: self.board.host.at(server.address)?,
                runtimes: vec![runtime.clone()],
                server,
            },
            runtime,
        })
    }

    /// The host application.
    pub(super) const fn host(&self) -> &Client {
        &self.board.host
    }

    /// The life of a task of the agent whose turn it is.
    pub(super) fn life(&self) -> Life<'_> {
        let turn = self.lives.fetch_add(1, Ordering::Relaxed);
        let agents = &self.waiting_agents;
        let agent = agents.get(turn % agents.len().max(1)).copied();
        Life::new(self.host(), &self.runtime, agent.unwrap_or_default())
    }

    /// The variables that the documents use.
    pub(super) fn variables(&self) -> Value {
        json!({
            "workspace": self.board.workspace_id,
            "runtime": self.runtime.id,
            "agent": self.waiting_agents.first(),
            "lastAgent": self.last_agent,
            "lastInLine": self.last_in_line,
            "issue": self.issue,
        })
    }
}

/// Loads them all and opens them, the small one first.
pub(super) async fn load(postgres: &Postgres, args: &FlatArgs) -> anyhow::Result<Vec<Subject>> {
    let waiting = args.waiting_agents;
    let active = Active {
        waiting_agents: waiting,
        waiting,
        running: RUNNING,
    };
    let history = args.small.saturating_sub(waiting + RUNNING + 1);
    load_one(postgres, args, SMALL, history, active).await?;
    load_one(postgres, args, "history", args.finished, active).await?;
    for (name, head) in [("capacity", Head::AtCapacity), ("chat", Head::OfOneChat)] {
        postgres.copy("history", name).await?;
        let mut connection = postgres.connect(name).await?;
        board::backlog(&mut connection, waiting, BEHIND.saturating_sub(waiting)).await?;
        board::waiting_at_the_head(&mut connection, head, args.blocked).await?;
        board::settle_down(&mut connection).await?;
    }
    let (finished, blocked) = (args.finished, args.blocked);
    let small =
        format!("{history} finished tasks, {waiting} waiting, one for each of as many agents");
    let history =
        format!("{finished} finished tasks, {waiting} waiting, one for each of as many agents");
    let capacity = format!(
        "{finished} finished tasks, {blocked} at the head of an agent that is at its capacity, \
         {BEHIND} behind these of {waiting} agents"
    );
    let chat = format!(
        "{finished} finished tasks, {blocked} at the head of a chat session that is at work, \
         {BEHIND} behind these of {waiting} agents"
    );
    let mut subjects = Vec::new();
    for (named, lists_what_waits) in [
        ((SMALL, small), false),
        (("history", history), false),
        (("capacity", capacity), true),
        (("chat", chat), true),
    ] {
        subjects.push(Subject::open(postgres, args, named, lists_what_waits).await?);
    }
    Ok(subjects)
}

/// Loads a board with a history and active tasks.
async fn load_one(
    postgres: &Postgres,
    args: &FlatArgs,
    name: &str,
    finished: u32,
    active: Active,
) -> anyhow::Result<()> {
    let mut connection = board::with_agents(postgres, name, 1, args.agents).await?;
    board::finished_tasks(&mut connection, finished).await?;
    board::active_tasks(&mut connection, active).await?;
    board::settle_down(&mut connection).await
}
