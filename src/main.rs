//! The binary: parses the command line and maps the result to an exit code.

use std::process::ExitCode;

use callboard::{cli, telemetry};
use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if let Err(error) = telemetry::install(&cli.log) {
        return failed(&error);
    }
    match cli::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Says why, on standard error.
#[expect(
    clippy::print_stderr,
    reason = "the log may not be there, or may be turned off"
)]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("callboard: {error:#}");
    ExitCode::FAILURE
}
