//! Callboard's measurements: for each case one command, and everything that is compared in one run; and one for all cases.
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
mod postgraphile;
mod postgres;
mod processor;
mod queue;
mod rates;
mod report;
mod sample;
mod server;
mod snapshot;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::flames::Flames;
use crate::postgres::Postgres;

/// Measures Callboard, side by side with what it is to be compared with.
#[derive(Debug, Parser)]
#[command(name = COMMAND, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    run: Run,
}

/// How this program is called.
const COMMAND: &str = "callboard-benches";

/// What goes for each case.
#[derive(Args, Clone, Debug)]
struct Run {
    /// Writes the figures, and what they rest on, to this file too; those of all cases to files in this directory.
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
    /// Measures all of these, one after the other, with what each has by default. Takes an hour or more.
    All,
    /// Draws what `growth` found, and prints it as a table for a page.
    Plot(plot::PlotArgs),
    /// Serves a board that is measured; a run starts these by itself.
    #[command(hide = true)]
    Server(server::ServerArgs),
}

/// What to measure.
#[derive(Debug, Subcommand)]
enum Case {
    /// What live delivery costs, and how long it takes, against PostGraphile and the edge that async-graphql brings for axum.
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

/// All cases, those first that are about tasks.
const ALL: [&str; 9] = [
    "queue", "peers", "latency", "idle", "growth", "flat", "held", "snapshot", "fanout",
];

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Command::Server(args) => runtime(Threads::All)?.block_on(args.run()),
        Command::Plot(args) => args.run(),
        Command::Measure(case) => cli.run.run(case),
        Command::All => cli.run.run_all(),
    }
}

impl Run {
    /// Runs all cases.
    fn run_all(self) -> anyhow::Result<()> {
        if let Some(directory) = &self.json {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("{} cannot be made", directory.display()))?;
        }
        for name in ALL {
            let Command::Measure(case) = Cli::try_parse_from([COMMAND, name])?.command else {
                anyhow::bail!("{name} is not a case");
            };
            let json = self.json.as_ref();
            let run = Self {
                json: json.map(|directory| directory.join(name).with_extension("json")),
                ..self.clone()
            };
            run.run(case).with_context(|| format!("in {name}"))?;
        }
        Ok(())
    }

    /// Runs one.
    fn run(self, case: Case) -> anyhow::Result<()> {
        // Whoever plays daemons is to be as little as possible in the way of those who share the machine; but thousands of
        // subscribers are more than one thread can hear.
        let threads = if matches!(case, Case::Fanout(_)) {
            Threads::All
        } else {
            Threads::One
        };
        runtime(threads)?.block_on(async {
            let output = Output {
                file: self.json,
                flames: Flames::into(self.flames).await?,
            };
            measure(case, self.data_dir, output).await
        })
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
        Case::Flat(args) => args.run(postgres, file, &flames).await,
        Case::Growth(args) => args.run(postgres, file, &flames).await,
        Case::Held(args) => args.run(postgres, file, &flames).await,
        Case::Idle(args) => args.run(postgres, file, &flames).await,
        Case::Latency(args) => args.run(postgres, file, &flames).await,
        Case::Peers(args) => args.run(postgres, file, &flames).await,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_case_is_among_all() {
        let command = Cli::command();
        let others = ["all", "plot", "server"];
        let mut cases: Vec<&str> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .filter(|name| !others.contains(name))
            .collect();
        let mut all = ALL;
        cases.sort_unstable();
        all.sort_unstable();
        assert_eq!(cases, all);
        for name in ALL {
            let cli = Cli::try_parse_from([COMMAND, name]).unwrap();
            assert!(matches!(cli.command, Command::Measure(_)), "{name}");
        }
    }
}
