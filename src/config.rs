//! The settings of a run: flags and environment variables from one definition, each with its default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use secrecy::SecretString;

use crate::settings::{Edge, Settings};

/// The least of what may as well not be.
const NONE: Duration = Duration::ZERO;

/// The least of all else: nothing can be done within less, and what is done as often is done without end.
const SECOND: Duration = Duration::from_secs(1);

/// The most of what somebody waits for.
const DAY: Duration = Duration::from_hours(24);

/// The most of all else, ten years: so far back or ahead is still a date that the database knows.
const TEN_YEARS: Duration = Duration::from_hours(10 * 8766);

/// Reads a duration, and refuses one with which no server could work.
fn within(
    least: Duration,
    most: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| {
        let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
        if (least..=most).contains(&duration) {
            return Ok(duration);
        }
        let [least, most] = [least, most].map(humantime::format_duration);
        Err(format!("must be from {least} to {most}"))
    }
}

/// Which database.
#[derive(Args, Clone, Debug)]
pub struct DatabaseArgs {
    /// The Postgres to use (15 or newer); without it Callboard runs one of its own in the data directory.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// Where Callboard's own Postgres keeps its data [default: /var/lib/callboard for root, else the user's data
    /// directory].
    #[arg(long, env = "CALLBOARD_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// How to serve.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Where to accept connections; port 0 takes a free one.
    #[arg(long, env = "CALLBOARD_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The way to Postgres itself for LISTEN, where the database URL leads through a pooler.
    #[arg(long, env = "CALLBOARD_LISTENER_DATABASE_URL", hide_env_values = true)]
    pub listener_database_url: Option<SecretString>,
    /// The most connections to the database at once, 2 at least: migrating takes as many.
    #[arg(long, env = "CALLBOARD_MAX_CONNECTIONS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..))]
    pub max_connections: u32,
    /// How long one statement may take.
    #[arg(long, env = "CALLBOARD_STATEMENT_TIMEOUT", default_value = "15s", value_parser = within(SECOND, DAY))]
    pub statement_timeout: Duration,
    /// The thresholds of the lifecycle.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// The thresholds of the lifecycle.
#[derive(Args, Clone, Debug)]
pub struct SettingsArgs {
    /// Within which a claimed task must be started.
    #[arg(long, env = "CALLBOARD_CLAIM_LEASE", default_value = "60s", value_parser = within(SECOND, TEN_YEARS))]
    pub claim_lease: Duration,
    /// How often a task is handed out before it fails for want of a daemon that starts it.
    #[arg(long, env = "CALLBOARD_MAX_DELIVERIES", default_value_t = 5, value_parser = clap::value_parser!(i32).range(1..))]
    pub max_deliveries: i32,
    /// How long a silent runtime counts as unstable before it counts as offline.
    #[arg(long, env = "CALLBOARD_UNSTABLE_WINDOW", default_value = "5m", value_parser = within(NONE, TEN_YEARS))]
    pub unstable_window: Duration,
    /// How long events are kept for subscribers to resume from.
    #[arg(long, env = "CALLBOARD_EVENT_RETENTION", default_value = "7d", value_parser = within(SECOND, TEN_YEARS))]
    pub event_retention: Duration,
    /// How often every server sweeps.
    #[arg(long, env = "CALLBOARD_SWEEP_INTERVAL", default_value = "30s", value_parser = within(SECOND, TEN_YEARS))]
    pub sweep_interval: Duration,
    /// After how much silence a runtime goes off line.
    #[arg(long, env = "CALLBOARD_RUNTIME_SILENT_AFTER", default_value = "150s", value_parser = within(SECOND, TEN_YEARS))]
    pub runtime_silent_after: Duration,
    /// For how long, beyond that, its tasks are left to it.
    #[arg(long, env = "CALLBOARD_RECONNECT_GRACE", default_value = "2h", value_parser = within(NONE, TEN_YEARS))]
    pub reconnect_grace: Duration,
    /// How long a task may be dispatched without being started.
    #[arg(long, env = "CALLBOARD_DISPATCH_TIMEOUT", default_value = "5m", value_parser = within(SECOND, TEN_YEARS))]
    pub dispatch_timeout: Duration,
    /// How long a task may run, once its runtime is silent too.
    #[arg(long, env = "CALLBOARD_RUNNING_TIMEOUT", default_value = "2h 30m", value_parser = within(SECOND, TEN_YEARS))]
    pub running_timeout: Duration,
    /// How long a task may wait for a runtime that does not come.
    #[arg(long, env = "CALLBOARD_QUEUE_TTL", default_value = "2h", value_parser = within(SECOND, TEN_YEARS))]
    pub queue_ttl: Duration,
    /// After how long an offline runtime without agents is removed.
    #[arg(long, env = "CALLBOARD_RUNTIME_RETENTION", default_value = "7d", value_parser = within(SECOND, TEN_YEARS))]
    pub runtime_retention: Duration,
    /// How many requests a token may make in a second, on each server; 0 for as many as it likes.
    #[arg(long, env = "CALLBOARD_REQUESTS_PER_SECOND", default_value_t = 1000)]
    pub requests_per_second: u32,
    /// How many sockets and event streams a token may have open, on each server.
    #[arg(long, env = "CALLBOARD_CONNECTIONS_PER_TOKEN", default_value_t = 1000)]
    pub connections_per_token: usize,
}

impl From<&SettingsArgs> for Settings {
    fn from(args: &SettingsArgs) -> Self {
        Self {
            claim_lease: args.claim_lease,
            max_deliveries: args.max_deliveries,
            unstable_window: args.unstable_window,
            event_retention: args.event_retention,
            sweep_interval: args.sweep_interval,
            runtime_silent_after: args.runtime_silent_after,
            reconnect_grace: args.reconnect_grace,
            dispatch_timeout: args.dispatch_timeout,
            running_timeout: args.running_timeout,
            queue_ttl: args.queue_ttl,
            runtime_retention: args.runtime_retention,
            edge: Edge {
                requests_per_second: args.requests_per_second,
                connections_per_token: args.connections_per_token,
                ..Edge::default()
            },
            ..Self::default()
        }
    }
}

/// What to log, and how.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// What to log: a level, or directives such as `callboard=debug,sqlx=warn`.
    #[arg(
        long,
        env = "CALLBOARD_LOG",
        default_value = "info,callboard_daemon=warn,reqwest_retry=error,sea_orm_migration=warn,sqlx=warn",
        global = true
    )]
    pub log: String,
    /// How to write the log.
    #[arg(long, env = "CALLBOARD_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
}

/// How to write the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines, an object a line.
    Json,
}

/// The data directory where none is given. `None` when the user has no home.
pub fn default_data_dir() -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/callboard"));
    }
    let in_home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share"));
    let data_home = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    Some(data_home.or_else(in_home)?.join("callboard"))
}
