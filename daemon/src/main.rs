//! The daemon as a program: flags, logs on stderr, signals.

use std::io::IsTerminal;

use anyhow::Context;
use callboard_daemon::Options;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Claims tasks from a Callboard server and runs a command for each.
#[derive(Parser)]
#[command(name = "callboard-daemon", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // Where stderr cannot be written to, saying so there would be a panic.
        .log_internal_errors(false)
        .init();
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    // Its terminal is gone.
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let signalled = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = callboard_daemon::run(cli.options, stop.clone()) => ended,
        () = signalled => Ok(()),
    }
}
