//! Boards on which tasks wait in the line of one runtime.

use futures::future::try_join_all;

use super::GrowthArgs;
use super::found::{Figure, Found};
use crate::board::{self, Active, Board, Runtime};
use crate::flames::{Flames, Watched};
use crate::life::{Life, Step};
use crate::postgres::{Postgres, execute};
use crate::queue::pgbench::{self, Repeated, Until};

/// An index for pgbench. The plain statement cannot use Callboard's, which are for those who ask for them by name, and
/// would sort all that waits for an agent. Both sides keep it up to date.
const PLAIN_ORDER: &str = "
    create index on agent_task_queue (agent_id, runtime_id, priority desc, created_at) where status = 'queued'";

/// What is at the head of the line.
#[derive(Clone, Copy, Debug)]
enum Head {
    /// The oldest tasks of all agents: any of them can be claimed.
    Claimable,
    /// All the tasks of a chat session that is at work, so that none of them can be. Behind them each agent has one.
    HeldBack,
}

impl Head {
    const fn name(self) -> &'static str {
        match self {
            Self::Claimable => "head claimable",
            Self::HeldBack => "head held back",
        }
    }

    /// What it is called in the names of databases and files.
    const fn file(self) -> &'static str {
        match self {
            Self::Claimable => "claimable",
            Self::HeldBack => "held_back",
        }
    }
}

/// A board with a line.
#[derive(Debug)]
pub(super) struct Line {
    head: Head,
    waiting: u32,
    runtime: Runtime,
    /// The board, and who serves it.
    pub(super) board: Board,
}

impl Line {
    /// Loads the boards on which so many tasks wait, both at once, and opens them.
    pub(super) async fn load(
        postgres: &Postgres,
        agents: u32,
        waiting: u32,
    ) -> anyhow::Result<[Self; 2]> {
        let one = async |head| Self::load_one(postgres, agents, waiting, head).await;
        let (claimable, held_back) = tokio::try_join!(one(Head::Claimable), one(Head::HeldBack))?;
        Ok([claimable, held_back])
    }

    async fn load_one(
        postgres: &Postgres,
        agents: u32,
        waiting: u32,
        head: Head,
    ) -> anyhow::Result<Self> {
        let name = format!("growth_{}_{waiting}", head.file());
        // One more, whose chat session is at work.
        let mut connection = board::with_agents(postgres, &name, 1, agents + 1).await?;
        let (first, behind) = match head {
            Head::Claimable => (0, waiting),
            Head::HeldBack => (waiting, agents),
        };
        let active = Active {
            waiting_agents: agents,
            waiting: behind,
            running: 0,
        };
        board::in_bulk(&mut connection, async |connection| {
            board::waiting_at_the_head(connection, board::Head::OfOneChat, first).await?;
            board::active_tasks(connection, active).await
        })
        .await?;
        execute(&mut connection, PLAIN_ORDER.to_owned()).await?;
        board::settle_down(&mut connection).await?;
        let board = Board::open(postgres, &name).await?;
        Ok(Self {
            head,
            waiting,
            runtime: board.runtime()?.clone(),
            board,
        })
    }

    /// Enqueues and claims so many tasks, by Callboard and then by pgbench, and ends them: the line is as long after it.
    pub(super) async fn round(
        &self,
        postgres: &Postgres,
        args: &GrowthArgs,
        found: &mut Found,
    ) -> anyhow::Result<()> {
        let mut lives = self.lives(args)?;
        for step in Step::ALL {
            let steps = make(step, &mut lives, args);
            match Figure::of(step) {
                None => steps.await?,
                Some(figure) => {
                    let point = found.point(figure, self.head.name(), self.waiting);
                    let server = &self.board.server;
                    point.measure(postgres, server, args.calls, steps).await?;
                }
            }
        }
        for step in Step::ALL {
            if let Some(figure) = Figure::of(step) {
                let rate = self.by_pgbench(postgres, args, figure).await?;
                let point = found.point(figure, self.head.name(), self.waiting);
                point.pgbench.push(rate);
            }
        }
        self.end_all(postgres).await
    }

    /// Lives as many tasks as in all rounds, and draws that.
    pub(super) async fn draw(
        &self,
        postgres: &Postgres,
        args: &GrowthArgs,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        let lived = async {
            for _ in 0..args.rounds {
                let mut lives = self.lives(args)?;
                for step in Step::ALL {
                    make(step, &mut lives, args).await?;
                }
            }
            Ok(())
        };
        let name = format!("growth-{}-{}", self.head.file(), self.waiting);
        let watched = Watched::of(&self.board.server, postgres);
        flames.of(&name, watched, lived).await
    }

    /// As many lives as there are in a round.
    fn lives(&self, args: &GrowthArgs) -> anyhow::Result<Vec<Life<'_>>> {
        let agents = self.runtime.agents.iter().take(args.agents.try_into()?);
        let lives = agents
            .cycle()
            .take(args.calls.try_into()?)
            .map(|agent| Life::new(&self.board.host, &self.runtime, *agent));
        Ok(lives.collect())
    }

    /// Lets pgbench do it as often, for the same agents: it has to be told of which agent it claims.
    async fn by_pgbench(
        &self,
        postgres: &Postgres,
        args: &GrowthArgs,
        figure: Figure,
    ) -> anyhow::Result<f64> {
        let statement = pgbench::statement(match figure {
            Figure::Enqueue => "CreateAgentTask",
            Figure::Claim | Figure::Daemons => "ClaimAgentTaskForRuntime",
        })?;
        let text = format!(
            "\\set turn :turn + 1
             \\set number 1 + (:turn * {} + :client_id) % {}
             {statement}",
            args.at_once, args.agents
        );
        let repeated = Repeated {
            text: &text,
            defines: &["turn=0".to_owned(), "runtime=0".to_owned()],
            clients: args.at_once,
            until: Until::Times(args.calls.div_ceil(args.at_once)),
        };
        repeated.run(postgres, &self.board.database).await
    }

    /// Ends what pgbench has claimed. What the chat session is at goes on.
    async fn end_all(&self, postgres: &Postgres) -> anyhow::Result<()> {
        let mut connection = postgres.connect(&self.board.database).await?;
        let sql = "update agent_task_queue set status = 'running', started_at = now(), claim_expires_at = null
                   where status = 'dispatched';
                   update agent_task_queue set status = 'completed', completed_at = now()
                   where status = 'running' and chat_session_id is null";
        execute(&mut connection, sql.to_owned()).await
    }

    /// Stops the server and removes the board.
    pub(super) async fn close(self, postgres: &Postgres) -> anyhow::Result<()> {
        self.board.server.stop().await?;
        postgres.drop(&self.board.database).await
    }
}

/// Makes a step of all lives, so many at once.
async fn make(step: Step, lives: &mut [Life<'_>], args: &GrowthArgs) -> anyhow::Result<()> {
    let part = args.calls.div_ceil(args.at_once).try_into()?;
    let parts = lives.chunks_mut(part).map(async |lives| {
        for life in lives {
            life.make(step).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(parts).await.map(drop)
}
