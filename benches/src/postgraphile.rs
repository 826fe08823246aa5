//! PostGraphile on a board's database, in processes of its own: its scripts, and what its users add to a database, are in
//! `benches/postgraphile`.

use crate::npm::Package;
use crate::postgres::{Postgres, execute};
use crate::server::Server;

/// What a user adds to a database to ask for a snapshot.
const FUNCTIONS: &str = include_str!("../postgraphile/functions.sql");

/// What a user adds to be told of events.
const LIVE: &str = include_str!("../postgraphile/live.sql");

/// PostGraphile as npm has it, with the libraries that it needs.
pub(crate) async fn package() -> anyhow::Result<Package> {
    Package::installed("postgraphile").await
}

/// Adds to a database what is needed to ask for a snapshot.
pub(crate) async fn with_functions(postgres: &Postgres, database: &str) -> anyhow::Result<()> {
    execute(&mut postgres.connect(database).await?, FUNCTIONS.to_owned()).await
}

/// Adds to a database what tells of its events: of the tasks too, or of which tasks they are.
pub(crate) async fn with_trigger(
    postgres: &Postgres,
    database: &str,
    of_tasks: bool,
) -> anyhow::Result<()> {
    let trigger = format!(
        "create trigger tell after insert on task_event for each row when (new.task_id is not null)
         execute function tell_of_task_event({of_tasks})"
    );
    let mut connection = postgres.connect(database).await?;
    execute(&mut connection, LIVE.to_owned()).await?;
    execute(&mut connection, trigger).await
}

/// Starts one that answers, with so many processes.
pub(crate) async fn start(
    package: &Package,
    postgres: &Postgres,
    database: &str,
    processes: usize,
) -> anyhow::Result<Server> {
    start_with(package, postgres, database, &processes.to_string()).await
}

/// Starts one that tells subscribers of events, in one process.
pub(crate) async fn start_live(
    package: &Package,
    postgres: &Postgres,
    database: &str,
) -> anyhow::Result<Server> {
    start_with(package, postgres, database, "live").await
}

async fn start_with(
    package: &Package,
    postgres: &Postgres,
    database: &str,
    wanted: &str,
) -> anyhow::Result<Server> {
    let mut command = package.script("server.js", &postgres.options(database)?)?;
    command.arg(wanted).env("GRAPHILE_ENV", "production");
    Server::spawn(&mut command).await
}
