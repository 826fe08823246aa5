//! What a daemon is told at its start: flags, their names in the environment, and defaults.
//!
//! The environment is read here and nowhere else.

mod agent;

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use secrecy::SecretString;

pub use self::agent::{AgentOption, AgentOptionError};

/// How one daemon runs; a set of command-line flags, or filled in by a program that embeds it.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The server's URL, as in <http://127.0.0.1:8080>.
    #[arg(long, env = "CALLBOARD_SERVER", value_name = "URL")]
    pub server: String,

    /// The daemon's token. Prefer the environment: arguments are visible to other processes.
    #[arg(
        long,
        env = "CALLBOARD_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub token: SecretString,

    /// A provider whose tasks this daemon runs, and the shell command that runs one.
    /// Without a command the program of that name on the PATH. Repeatable.
    #[arg(long = "agent", required = true, value_name = "NAME[=COMMAND]")]
    pub agents: Vec<AgentOption>,

    /// The name under which the runtimes are registered; the machine's host name if absent.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// How many tasks may run at once, over all providers.
    #[arg(long, default_value_t = Self::MAX_TASKS, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..))]
    pub max_tasks: u16,

    /// Time between two heartbeats.
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration)]
    pub heartbeat: Duration,

    /// Time between two claims that nobody rang for: a wake-up can be lost.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub poll: Duration,

    /// How long the server may take to answer one request.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub request_timeout: Duration,

    /// How long a command that is being stopped has between SIGTERM and SIGKILL.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub kill_grace: Duration,

    /// How long a stopping daemon, its commands ended, tries to settle their tasks.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub settle_bound: Duration,

    /// Where settlements are kept until the server has acknowledged them;
    /// `$XDG_STATE_HOME/callboard-daemon` or `~/.local/state/callboard-daemon` if absent.
    #[arg(long, env = "CALLBOARD_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Where tasks that resume nothing get a fresh directory each; below the state directory if
    /// absent.
    #[arg(long, env = "CALLBOARD_WORK_DIR_ROOT", value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
}

impl Options {
    const MAX_TASKS: u16 = 6;

    /// The defaults of the command line, around what has no default.
    pub fn new(server: String, token: SecretString, agents: Vec<AgentOption>) -> Self {
        Self {
            server,
            token,
            agents,
            name: None,
            max_tasks: Self::MAX_TASKS,
            heartbeat: Duration::from_secs(15),
            poll: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
            kill_grace: Duration::from_secs(10),
            settle_bound: Duration::from_secs(10),
            state_dir: None,
            work_dir: None,
        }
    }

    /// The state directory, chosen or default.
    pub(crate) fn state_dir(&self) -> anyhow::Result<PathBuf> {
        if let Some(chosen) = &self.state_dir {
            return Ok(chosen.clone());
        }
        let base = std::env::var_os("XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))
            .context("there is no home directory for the daemon's state; give --state-dir")?;
        Ok(base.join("callboard-daemon"))
    }

    /// The first mistake that no server is needed to see.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.agents.is_empty(),
            "no agent is given: a daemon needs one --agent at least"
        );
        anyhow::ensure!(self.max_tasks > 0, "--max-tasks must be 1 at least");
        anyhow::ensure!(
            !self.heartbeat.is_zero() && !self.poll.is_zero(),
            "--heartbeat and --poll must be longer than nothing"
        );
        for (index, agent) in self.agents.iter().enumerate() {
            let twice = self
                .agents
                .iter()
                .skip(index + 1)
                .any(|other| other.provider == agent.provider);
            anyhow::ensure!(!twice, "the agent `{}` is given twice", agent.provider);
            agent.check_program(std::env::var_os("PATH").as_deref())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn parse(more: &[&str]) -> Result<Options, clap::Error> {
        let base = ["daemon", "--server", "http://localhost", "--token", "t0p"];
        Cli::try_parse_from(base.iter().chain(more)).map(|cli| cli.options)
    }

    #[test]
    fn the_command_line_and_new_have_the_same_defaults() {
        let parsed = parse(&["--agent", "sh"]).unwrap();
        let built = Options::new(
            "http://localhost".into(),
            "t0p".into(),
            vec!["sh".parse().unwrap()],
        );
        assert_eq!(format!("{parsed:?}"), format!("{built:?}"));
    }

    #[test]
    fn the_token_is_not_shown() {
        let options = parse(&["--agent", "sh"]).unwrap();
        assert!(!format!("{options:?}").contains("t0p"));
    }

    #[test]
    fn one_provider_is_one_runtime() {
        let options = parse(&["--agent", "a=true", "--agent", "a=false"]).unwrap();
        assert_eq!(
            options.check().unwrap_err().to_string(),
            "the agent `a` is given twice"
        );
    }

    #[test]
    fn a_daemon_without_a_slot_is_refused() {
        assert!(parse(&["--agent", "sh", "--max-tasks", "0"]).is_err());
    }
}
