//! The case `latency`: how long it takes from a host that enqueues a task to the daemon that has it, on a board where nothing
//! else happens.
//!
//! Many daemons are subscribed to `taskAvailable` through graphql-transport-ws, each for its own runtime, and say every
//! fifteen seconds that they are there. One task after the other is enqueued for one of them: that one is told, claims, and
//! then does the task, which is not measured.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::board::{self, Board, Runtime};
use crate::client::Client;
use crate::fanout::{self, Said, Socket};
use crate::flames::{Flames, Watched};
use crate::life::{self, Life, Step};
use crate::postgres::Postgres;
use crate::report::{Cell, Report, Row, Table, columns};
use crate::sample::Sample;

/// The board of the run.
const BOARD: &str = "latency";

/// How often a daemon says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a task may take to its daemon.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many tasks are enqueued before it counts: what is done for the first time takes longer.
const WARM_UP: u32 = 50;

/// How much to measure.
#[derive(Args, Debug)]
pub(crate) struct LatencyArgs {
    /// How many daemons wait, each with a runtime.
    #[arg(long, default_value_t = 1_000)]
    daemons: u32,
    /// How many tasks are enqueued.
    #[arg(long, default_value_t = 500)]
    tasks: u32,
    /// How many in a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
}

/// When a daemon was told of a task, and when it had it.
#[derive(Clone, Copy, Debug)]
struct Taken {
    told: Instant,
    claimed: Instant,
}

/// How long it took, in milliseconds since the request to enqueue was sent.
#[derive(Debug, Default)]
struct Found {
    enqueued: Sample,
    told: Sample,
    claimed: Sample,
}

impl LatencyArgs {
    /// Measures and reports.
    pub(crate) async fn run(
        self,
        postgres: &Postgres,
        file: Option<PathBuf>,
        flames: &Flames,
    ) -> anyhow::Result<()> {
        fanout::many_files()?;
        let mut report = Report::new("latency", postgres.version().await?);
        report.condition("tasks", &self.tasks);
        report.condition("tasks in a second", &self.rate);
        let mut connection =
            board::with_agents(postgres, BOARD, self.daemons, self.daemons).await?;
        board::settle_down(&mut connection).await?;
        drop(connection);
        let board = Board::open(postgres, BOARD).await?;
        let (found, memory) = self.measure(postgres, &board, flames).await?;
        board.server.stop().await?;
        report.condition("MiB of the server with all of them there", &memory.round());
        report.add(self.table(&found))?;
        postgres.drop(BOARD).await?;
        report.finish(file)
    }

    async fn measure(
        &self,
        postgres: &Postgres,
        board: &Board,
        flames: &Flames,
    ) -> anyhow::Result<(Found, f64)> {
        let (take, mut taken) = mpsc::unbounded_channel();
        let mut daemons = JoinSet::new();
        for (number, runtime) in (0..self.daemons).zip(&board.runtimes) {
            let daemon = Daemon::subscribe(board, runtime, take.clone()).await?;
            // They do not all speak at the same time.
            let first = HEARTBEAT * number / self.daemons;
            daemons.spawn(daemon.live(first));
        }
        let memory = board.server.memory()?;
        let enqueued = async {
            let found = self.enqueue(board, &mut taken).await?;
            let watched = Watched::of(&board.server, postgres);
            let again = self.enqueue(board, &mut taken);
            flames.of("latency", watched, again).await?;
            anyhow::Ok(found)
        };
        let found = tokio::select! {
            ended = daemons.join_next() => match ended.context("there are daemons")?? {
                Ok(never) => match never {},
                Err(error) => return Err(error),
            },
            found = enqueued => found?,
        };
        Ok((found, memory))
    }

    /// Enqueues one task after the other, for daemons from all over the board.
    async fn enqueue(
        &self,
        board: &Board,
        taken: &mut mpsc::UnboundedReceiver<Taken>,
    ) -> anyhow::Result<Found> {
        let mut found = Found::default();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / self.rate);
        // A step that has no divisor in common with the number of daemons, while that is not a multiple of it.
        let runtimes = board.runtimes.iter().cycle().step_by(389);
        for (number, runtime) in (0..WARM_UP + self.tasks).zip(runtimes) {
            ticks.tick().await;
            let agent = *runtime.agents.first().context("a runtime has an agent")?;
            let mut life = Life::new(&board.host, runtime, agent);
            let sent = Instant::now();
            life.make(Step::Enqueue).await?;
            let answered = Instant::now();
            let task = tokio::time::timeout(PATIENCE, taken.recv()).await;
            let task = task
                .context("a daemon was not told")?
                .context("there are daemons")?;
            if number >= WARM_UP {
                found.enqueued.add_time(answered - sent);
                found.told.add_time(task.told - sent);
                found.claimed.add_time(task.claimed - sent);
            }
        }
        Ok(found)
    }

    fn table(&self, found: &Found) -> Table {
        let row = |name: &str, meaning: &str, sample: &Sample| Row {
            name: name.to_owned(),
            meaning: meaning.to_owned(),
            cells: [500, 950, 990, 1000]
                .map(|permille| Cell::Number(sample.quantile(permille)))
                .to_vec(),
        };
        Table {
            title: format!("From the host to one of {} daemons that wait", self.daemons),
            columns: columns([
                (
                    "p50 ms",
                    "since the host sent its request to enqueue; half took less",
                ),
                ("p95 ms", "of a hundred, 95 took less"),
                ("p99 ms", "of a hundred, 99 took less"),
                ("max ms", "the last one"),
            ]),
            rows: vec![
                row(
                    "enqueued",
                    "the host has its answer: the task is committed",
                    &found.enqueued,
                ),
                row(
                    "told",
                    "the daemon has the event of its subscription, taskAvailable",
                    &found.told,
                ),
                row(
                    "claimed",
                    "the daemon has the answer to its claim, and so the task",
                    &found.claimed,
                ),
            ],
        }
    }
}

/// A daemon that waits.
#[derive(Debug)]
struct Daemon {
    host: Client,
    runtime: Runtime,
    socket: Socket,
    take: mpsc::UnboundedSender<Taken>,
}

impl Daemon {
    /// One that is subscribed.
    async fn subscribe(
        board: &Board,
        runtime: &Runtime,
        take: mpsc::UnboundedSender<Taken>,
    ) -> anyhow::Result<Self> {
        let mut socket =
            Socket::open(board.server.address, fanout::PATH, runtime.daemon.token()).await?;
        let document =
            "subscription($ids: [UUID!]!) { taskAvailable(runtimeIds: $ids) { runtimeId } }";
        let payload = json!({"query": document, "variables": {"ids": [runtime.id]}});
        let message = json!({"type": "subscribe", "id": "1", "payload": payload});
        socket.say(&message.to_string()).await?;
        Ok(Self {
            host: board.host.clone(),
            runtime: runtime.clone(),
            socket,
            take,
        })
    }

    /// Waits for tasks and does them, and says that it is there.
    async fn live(mut self, first: Duration) -> anyhow::Result<std::convert::Infallible> {
        let first = tokio::time::Instant::now() + first;
        let mut beat = tokio::time::interval_at(first, HEARTBEAT);
        loop {
            while let Some(said) = self.socket.next()? {
                match said {
                    Said::Available => self.claim().await?,
                    Said::Ping => self.socket.say(r#"{"type":"pong"}"#).await?,
                    Said::SocketPing => self.socket.answer_ping().await?,
                    Said::Pong | Said::Ack | Said::Event { .. } => {
                        anyhow::bail!("{said:?} was not asked for")
                    }
                }
            }
            tokio::select! {
                read = self.socket.read() => read?,
                _ = beat.tick() => self.runtime.heartbeat().await?,
            }
        }
    }

    /// Takes what waits, and does it.
    async fn claim(&self) -> anyhow::Result<()> {
        let told = Instant::now();
        let claims = life::claim_together(&self.runtime, 1).await?;
        let claimed = Instant::now();
        for claim in &claims {
            self.take.send(Taken { told, claimed })?;
            let mut life = Life::claimed(&self.host, &self.runtime, claim)?;
            for step in [Step::Start, Step::Complete] {
                life.make(step).await?;
            }
        }
        Ok(())
    }
}
