//! The command line. Calls the parts and prints; what is for machines goes to standard output, all else to standard
//! error.

mod database;
mod demo;
mod doctor;
mod serve;
mod token;
mod workspace;

use clap::{Parser, Subcommand};

use crate::config::LogArgs;

/// A self-hosted board on which work for coding agents is posted, claimed, run and watched live.
#[derive(Debug, Parser)]
#[command(name = "callboard", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
    /// What to log, and how.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service.
    Serve(serve::ServeCommand),
    /// Runs the service with a workspace, agents and daemons at work in it.
    Demo(demo::DemoCommand),
    /// Brings the database up to this version.
    Migrate(database::MigrateCommand),
    /// Prints the GraphQL schema.
    Schema,
    /// Says in words what is wrong with the database and the settings.
    Doctor(doctor::DoctorCommand),
    /// Makes workspaces.
    #[command(subcommand)]
    Workspace(workspace::WorkspaceCommand),
    /// Makes, lists and revokes tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
}

/// Does what the command line says.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(command) => command.run().await,
        Command::Demo(command) => command.run().await,
        Command::Migrate(command) => command.run().await,
        Command::Schema => {
            print(&crate::graphql::sdl());
            Ok(())
        }
        Command::Doctor(command) => command.run().await,
        Command::Workspace(command) => command.run().await,
        Command::Token(command) => command.run().await,
    }
}

/// Writes what was asked for.
#[expect(clippy::print_stdout, reason = "this is the output of the command")]
fn print(text: &str) {
    println!("{}", text.trim_end());
}
