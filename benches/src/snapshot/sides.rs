//! Who is asked: a board with all the servers in front of it.

use std::num::NonZero;
use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;

use crate::board::{self, Active, Board};
use crate::flames::{Flames, Watched};
use crate::npm::Package;
use crate::postgraphile;
use crate::postgres::{Postgres, execute};
use crate::processor::Used;
use crate::server::Server;

use super::SnapshotArgs;
use super::asked::{About, Question};
use super::found::One;
use super::load::{Answered, Request};

/// An issue that has finished tasks on every board.
const ISSUE: &str = "md5('issue 5')::uuid";

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Callboard,
    PostGraphile,
    ForEachProcessor,
    Document,
}

impl Side {
    pub(super) const ALL: [Self; 4] = [
        Self::Callboard,
        Self::PostGraphile,
        Self::ForEachProcessor,
        Self::Document,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Callboard => "Callboard",
            Self::PostGraphile => "PostGraphile",
            Self::ForEachProcessor => "PostGraphile, all processors",
            Self::Document => "pgbench",
        }
    }

    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Callboard => {
                "one document by HTTP, with a token, each row shown to those who may see it, presence reckoned"
            }
            Self::PostGraphile => {
                "one document by HTTP for the same rows: nobody is authenticated and presence is left to the client"
            }
            Self::ForEachProcessor => "the same with a process for each processor",
            Self::Document => {
                "the queries that the tables were made for, over a socket, prepared; their answers are thrown away"
            }
        }
    }
}

/// A board, and who answers for it.
#[derive(Debug)]
pub(super) struct Asked {
    /// How many finished tasks it has.
    pub(super) finished: u32,
    board: Board,
    about: About,
    alone: Server,
    for_each_processor: Server,
}

impl Asked {
    /// Loads a board and starts everyone.
    pub(super) async fn open(
        postgres: &Postgres,
        package: &Package,
        args: &SnapshotArgs,
        finished: u32,
    ) -> anyhow::Result<Self> {
        let database = format!("snapshot_{finished}");
        load(postgres, args, &database, finished).await?;
        postgraphile::with_functions(postgres, &database).await?;
        let mut connection = postgres.connect(&database).await?;
        let issue = sqlx::query_scalar(AssertSqlSafe(format!("select {ISSUE}")))
            .fetch_one(&mut connection)
            .await?;
        let board = Board::open(postgres, &database).await?;
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            finished,
            about: About {
                workspace: board.workspace_id,
                issue,
            },
            alone: postgraphile::start(package, postgres, &database, 1).await?,
            for_each_processor: postgraphile::start(package, postgres, &database, processors)
                .await?,
            board,
        })
    }

    /// Makes sure that everybody answers with the same rows; how many there are of each sort.
    pub(super) async fn compare(&self, question: Question) -> anyhow::Result<Vec<usize>> {
        let ours = self.request(Side::Callboard, question).data().await?;
        let theirs = self.request(Side::PostGraphile, question).data().await?;
        question.compare(&ours, &theirs)
    }

    /// Asks one side for so long.
    pub(super) async fn ask(
        &self,
        postgres: &Postgres,
        args: &SnapshotArgs,
        (side, question, seconds): (Side, Question, u32),
    ) -> anyhow::Result<One> {
        // Or its daemons would be found silent while the others are asked, which is an event.
        self.board.heartbeat().await?;
        let server = match side {
            Side::Callboard => self.board.server.process(),
            Side::PostGraphile => self.alone.process(),
            Side::ForEachProcessor => self.for_each_processor.process(),
            Side::Document => None,
        };
        let began = Instant::now();
        let before = Used::until_now(server, postgres.process());
        let answered = if side == Side::Document {
            let script = question.of_postgres(self.about);
            let rate = script
                .run(postgres, &self.board.database, args.connections, seconds)
                .await?;
            Answered {
                rate,
                ..Answered::default()
            }
        } else {
            let time = Duration::from_secs(seconds.into());
            let request = self.request(side, question);
            request.repeat(args.connections, time).await?
        };
        let used = Used::until_now(server, postgres.process()).since(before);
        let count = answered.rate * began.elapsed().as_secs_f64();
        Ok(One {
            answered,
            server: used.server * 1e3 / count,
            postgres: used.postgres * 1e3 / count,
        })
    }

    /// Asks Callboard once more, and draws it.
    pub(super) async fn draw(
        &self,
        postgres: &Postgres,
        args: &SnapshotArgs,
        question: Question,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        let asked = self.ask(postgres, args, (Side::Callboard, question, args.seconds));
        let name = format!("{}-{}", question.name(), self.finished);
        let watched = Watched::of(&self.board.server, postgres);
        flames.of(&name, watched, asked).await
    }

    fn request(&self, side: Side, question: Question) -> Request {
        let (address, document) = match side {
            Side::Callboard | Side::Document => {
                (self.board.server.address, question.of_callboard())
            }
            Side::PostGraphile => (self.alone.address, question.of_postgraphile()),
            Side::ForEachProcessor => (self.for_each_processor.address, question.of_postgraphile()),
        };
        let variables = self.about.variables();
        Request::new(address, self.board.host.token(), document, &variables)
    }

    /// Stops everyone.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.board.server.stop().await?;
        self.alone.stop().await?;
        self.for_each_processor.stop().await
    }
}

/// Loads a board.
async fn load(
    postgres: &Postgres,
    args: &SnapshotArgs,
    database: &str,
    finished: u32,
) -> anyhow::Result<()> {
    let mut connection = board::with_agents(postgres, database, 1, args.agents).await?;
    board::finished_tasks(&mut connection, finished).await?;
    // A tenth of them run, with one more that comes of itself; the others wait, for all agents alike.
    let running = args.active / 10;
    let active = Active {
        waiting_agents: args.agents,
        waiting: args.active - running,
        running: running.saturating_sub(1),
    };
    board::active_tasks(&mut connection, active).await?;
    let sql = format!(
        "update agent_task_queue set issue_id = {ISSUE} where id in (
             select id from agent_task_queue where status = 'queued' order by created_at limit 3)"
    );
    execute(&mut connection, sql).await?;
    board::settle_down(&mut connection).await
}
