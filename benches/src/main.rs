//! Callboard's measurements: one command, one case, everything that is compared in one run.
//!
//! A run starts a Postgres of its own, with fsync and the settings that Postgres has by itself, and real servers in
//! processes of their own. Figures are for comparison within a run; what they are on another machine, a run there says.

mod board;
mod client;
mod fanout;
mod flames;
mod flat;
mod growth;
mod held;
mod idle;
mod latency;
mod life;
mod lives;
mod npm;
mod peers;
mod plans;
mod plot;
mod postgres;
mod processor;
mod queue;
mod rates;
mod report;
mod sample;
mod server;
mod snapshot;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::flames::Flames;
use crate::postgres::Postgres;

/// Measures Callboard, side by side with what it is to be compared with.
#[derive(Debug, Parser)]
#[command(name = "callboard-benches", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Writes the figures, and what they rest on, to this file too.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    /// Where Postgres keeps its files for as long as the run takes [default: beside this program].
    #[arg(long, global = true)]
    data_dir: Option<PathBuf>,
    /// Draws, in this directory, flame graphs of a server and of Postgres under each load, when that has been measured: what they
    /// spend their processor time on. Needs Linux with `perf`, and a build with `--release`, whose symbols are enough.
    #[arg(long, global = true, value_name = "DIR")]
    flames: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Measure(Case),
    /// Draws what `growth` found, and prints it as a table for a page.
    Plot(plot::PlotArgs),
    /// Serves a board that is measured; a run starts these by itself.
    #[command(hide = true)]
    Server(server::ServerArgs),
}

/// What to measure.
#[derive(Debug, Subcommand)]
enum Case {
    /// What live delivery costs, and how long it takes, against the edge that async-graphql brings for axum.
    Fanout(fanout::FanoutArgs),
    /// What a call costs on a large board against a small one.
    Flat(flat::FlatArgs),
    /// How what a call costs grows with the tasks that wait, and with the daemons.
    Growth(growth::GrowthArgs),
    /// What a transaction that stays open costs everyone else.
    Held(held::HeldArgs),
    /// What daemons cost that have nothing to do.
    Idle(idle::IdleArgs),
    /// How long it takes from a host that enqueues a task to the daemon that has it.
    Latency(latency::LatencyArgs),
    /// How many tasks live in a second, against the queues that people would else take: graphile-worker and pg-boss.
    Peers(peers::PeersArgs),
    /// How many tasks live through GraphQL in a second, against the same statements by pgbench.
    Queue(queue::QueueArgs),
    /// What a front end asks first, and an issue's banner, against PostGraphile and the plain queries on the same rows.
    Snapshot(snapshot::SnapshotArgs),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let case = match cli.command {
        Command::Server(args) => return runtime(Threads::All)?.block_on(args.run()),
        Command::Plot(args) => return args.run(),
        Command::Measure(case) => case,
    };
    // Whoever plays daemons is to be as little as possible in the way of those who share the machine; but thousands of
    // subscribers are more than one thread can hear.
    let threads = if matches!(case, Case::Fanout(_)) {
        Threads::All
    } else {
        Threads::One
    };
    anyhow::ensure!(
        cli.flames.is_none() || case.has_flames(),
        "there are flame graphs of fanout, idle, latency, queue and snapshot only"
    );
    runtime(threads)?.block_on(async {
        let flames = Flames::into(cli.flames).await?;
        measure(
            case,
            cli.data_dir,
            Output {
                file: cli.json,
                flames,
            },
        )
        .await
    })
}

impl Case {
    /// Whether flame graphs are drawn of it.
    const fn has_flames(&self) -> bool {
        match self {
            Self::Fanout(_)
            | Self::Idle(_)
            | Self::Latency(_)
            | Self::Queue(_)
            | Self::Snapshot(_) => true,
            Self::Flat(_) | Self::Growth(_) | Self::Held(_) | Self::Peers(_) => false,
        }
    }
}

/// What a run leaves behind, besides what it prints.
#[derive(Debug)]
struct Output {
    /// Where the figures go.
    file: Option<PathBuf>,
    flames: Flames,
}

/// On how many threads to run.
#[derive(Clone, Copy, Debug)]
enum Threads {
    One,
    All,
}

fn runtime(threads: Threads) -> std::io::Result<Runtime> {
    let mut builder = match threads {
        Threads::One => Builder::new_current_thread(),
        Threads::All => Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

/// Measures on a Postgres that is there for this.
async fn measure(case: Case, data_dir: Option<PathBuf>, output: Output) -> anyhow::Result<()> {
    let postgres = Postgres::start(data_dir).await?;
    let measured = tokio::select! {
        measured = run(case, &postgres, output) => measured,
        interrupted = interrupted() => {
            interrupted?;
            Err(anyhow::anyhow!("interrupted"))
        }
    };
    postgres.stop().await?;
    measured
}

async fn run(case: Case, postgres: &Postgres, output: Output) -> anyhow::Result<()> {
    let Output { file, flames } = output;
    match case {
        Case::Fanout(args) => args.run(postgres, file, &flames).await,
        Case::Flat(args) => args.run(postgres, file).await,
        Case::Growth(args) => args.run(postgres, file).await,
        Case::Held(args) => args.run(postgres, file).await,
        Case::Idle(args) => args.run(postgres, file, &flames).await,
        Case::Latency(args) => args.run(postgres, file, &flames).await,
        Case::Peers(args) => args.run(postgres, file).await,
        Case::Queue(args) => args.run(postgres, file, &flames).await,
        Case::Snapshot(args) => args.run(postgres, file, &flames).await,
    }
}

/// Waits for Ctrl-C, or for what else asks a program to end: Postgres is stopped and its files are removed then too.
async fn interrupted() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
