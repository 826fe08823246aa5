//! One `--agent NAME[=COMMAND]`: a provider, and what runs its tasks.

use std::{ffi::OsStr, str::FromStr};

/// A provider that this daemon offers, and the command that runs one of its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentOption {
    /// The provider's name: with the daemon and the workspace it names one runtime.
    pub provider: String,
    /// What `sh -c` is given; without it the program named like the provider is run.
    pub command: Option<String>,
}

/// Why a text is not an [`AgentOption`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AgentOptionError {
    /// Nothing stands before the equals sign.
    #[error("the provider's name is empty; write NAME or NAME=COMMAND")]
    NoName,
    /// Nothing stands after the equals sign.
    #[error("the command is empty; write NAME=COMMAND, or NAME alone for the program of that name")]
    NoCommand,
}

impl FromStr for AgentOption {
    type Err = AgentOptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (provider, command) = match text.split_once('=') {
            Some((provider, command)) => (provider.trim(), Some(command.trim())),
            None => (text.trim(), None),
        };
        if provider.is_empty() {
            return Err(AgentOptionError::NoName);
        }
        if command == Some("") {
            return Err(AgentOptionError::NoCommand);
        }
        Ok(Self {
            provider: provider.to_owned(),
            command: command.map(str::to_owned),
        })
    }
}

impl AgentOption {
    /// Refuses a provider whose program is nowhere: each of its tasks would fail.
    pub(crate) fn check_program(&self, path: Option<&OsStr>) -> anyhow::Result<()> {
        if self.command.is_some() || self.provider.contains('/') {
            return Ok(());
        }
        let found = path.is_some_and(|path| {
            std::env::split_paths(path).any(|dir| dir.join(&self.provider).is_file())
        });
        anyhow::ensure!(
            found,
            "there is no program `{0}` on the PATH; give its command as --agent {0}=COMMAND",
            self.provider
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_all_that_follows_the_first_equals_sign() {
        let cases = [
            ("claude", "claude", None),
            ("claude=claude -p", "claude", Some("claude -p")),
            ("x=A=1 env", "x", Some("A=1 env")),
            (" spaced = run ", "spaced", Some("run")),
        ];
        for (text, provider, command) in cases {
            let agent: AgentOption = text.parse().unwrap();
            assert_eq!(agent.provider, provider, "{text}");
            assert_eq!(agent.command.as_deref(), command, "{text}");
        }
    }

    #[test]
    fn half_an_agent_is_none() {
        assert_eq!("=run".parse::<AgentOption>(), Err(AgentOptionError::NoName));
        assert_eq!("".parse::<AgentOption>(), Err(AgentOptionError::NoName));
        assert_eq!(
            "claude=".parse::<AgentOption>(),
            Err(AgentOptionError::NoCommand)
        );
    }

    #[test]
    fn a_missing_program_is_seen_at_the_start() {
        let agent: AgentOption = "sh".parse().unwrap();
        assert!(
            agent
                .check_program(Some(OsStr::new("/bin:/usr/bin")))
                .is_ok()
        );
        assert!(
            agent
                .check_program(Some(OsStr::new("/nonexistent")))
                .is_err()
        );
        assert!(agent.check_program(None).is_err());
        let agent: AgentOption = "nowhere=exit 0".parse().unwrap();
        assert!(agent.check_program(None).is_ok());
    }
}
