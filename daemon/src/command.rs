//! The command of a task: program, arguments, environment, directory.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::{claim::Claim, options::AgentOption, prompt};

/// Linux refuses a program whose environment has a longer string than 128 KiB.
const MAX_VARIABLE_BYTES: usize = 96 * 1024;

/// Secrets of the daemon that its own environment may hold.
const NOT_INHERITED: [&str; 1] = ["CALLBOARD_TOKEN"];

/// Builds the command that runs a claimed task. The claim token is nowhere in it.
pub(crate) fn build(agent: &AgentOption, claim: &Claim, work_dir: &Path) -> Command {
    let mut command = match &agent.command {
        Some(script) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(script).arg(&agent.provider);
            shell
        }
        None => Command::new(&agent.provider),
    };
    command.args(&claim.agent.custom_args).current_dir(work_dir);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    for (name, value) in environment(claim) {
        command.env(name, value);
    }
    command
}

/// The directory for a task: where the session that it resumes worked, or a fresh one.
pub(crate) async fn work_dir(root: &Path, claim: &Claim) -> std::io::Result<PathBuf> {
    let resumed = claim
        .resume
        .as_ref()
        .and_then(|resume| resume.work_dir.as_ref());
    if let Some(dir) = resumed.map(PathBuf::from)
        && tokio::fs::metadata(&dir).await.is_ok_and(|at| at.is_dir())
    {
        return Ok(dir);
    }
    let dir = root.join(claim.proof.task_id.to_string());
    tokio::fs::create_dir_all(&dir).await?;
    Ok(dir)
}

/// The agent's own variables, then Callboard's, which win.
fn environment(claim: &Claim) -> Vec<(String, String)> {
    let agent = &claim.agent;
    let mut variables = agent.custom_env.clone();
    let mut add = |name: &str, value: Option<String>| {
        variables.extend(value.map(|value| (format!("CALLBOARD_{name}"), value)));
    };
    let json = |value: &Value| (!value.is_null()).then(|| value.to_string());
    let resume = claim.resume.as_ref();
    add("TASK_ID", Some(claim.proof.task_id.to_string()));
    add("ISSUE_ID", claim.issue_id.map(|id| id.to_string()));
    add("ATTEMPT", Some(claim.attempt.to_string()));
    add("AGENT", Some(agent.name.clone()));
    add("INSTRUCTIONS", Some(agent.instructions.clone()));
    add("MODEL", agent.model.clone());
    add("PROMPT", Some(prompt::prompt(claim)));
    add("CONTEXT", claim.context.as_ref().and_then(json));
    add("RUNTIME_CONFIG", json(&agent.runtime_config));
    add("MCP_CONFIG", agent.mcp_config.as_ref().and_then(json));
    add("SESSION_ID", resume.map(|from| from.session_id.clone()));
    add("WORK_DIR", resume.and_then(|from| from.work_dir.clone()));
    variables
        .into_iter()
        .filter_map(|(name, value)| representable(name, &value))
        .collect()
}

/// What an environment cannot hold is left out rather than keep the task from running.
fn representable(name: String, value: &str) -> Option<(String, String)> {
    let value = value.replace('\0', "");
    if name.is_empty() || name.contains(['=', '\0']) {
        tracing::warn!("left out a variable whose name cannot be one");
        return None;
    }
    if name.len() + value.len() > MAX_VARIABLE_BYTES {
        tracing::warn!(
            variable.name = name,
            variable.bytes = value.len(),
            "left out a variable that is too long"
        );
        return None;
    }
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, ffi::OsStr};

    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::claim::{ClaimProof, ClaimToken, ClaimedAgent, Resume};

    const TOKEN: Uuid = Uuid::from_u128(0x70ce);

    fn claim() -> Claim {
        Claim {
            proof: ClaimProof {
                task_id: Uuid::from_u128(1),
                claim_token: ClaimToken::new(TOKEN),
            },
            issue_id: None,
            attempt: 2,
            trigger_summary: Some("why".into()),
            context: Some(json!({ "k": "v" })),
            resume: None,
            agent: ClaimedAgent {
                name: "Ada".into(),
                instructions: "be kind".into(),
                model: None,
                runtime_config: json!({}),
                custom_args: vec!["--fast".into()],
                custom_env: vec![
                    ("KEY".into(), "secret".into()),
                    ("CALLBOARD_TASK_ID".into(), "forged".into()),
                    ("BAD=NAME".into(), "x".into()),
                ],
                mcp_config: None,
            },
        }
    }

    fn built(agent: &str, claim: &Claim) -> (Vec<String>, HashMap<String, Option<String>>) {
        let command = build(&agent.parse().unwrap(), claim, Path::new("/"));
        let std = command.as_std();
        let text = |text: &OsStr| text.to_str().unwrap().to_owned();
        let words = std::iter::once(std.get_program())
            .chain(std.get_args())
            .map(text)
            .collect();
        let env = std
            .get_envs()
            .map(|(name, value)| (text(name), value.map(text)))
            .collect();
        (words, env)
    }

    #[test]
    fn a_command_is_a_script_with_the_agents_arguments() {
        let (words, _) = built("x=run \"$@\"", &claim());
        assert_eq!(words, ["sh", "-c", "run \"$@\"", "x", "--fast"]);
        let (words, _) = built("claude", &claim());
        assert_eq!(words, ["claude", "--fast"]);
    }

    #[test]
    fn the_environment_says_what_the_task_is() {
        let (_, env) = built("x", &claim());
        let get = |name: &str| env.get(name).cloned().flatten();
        assert_eq!(
            get("CALLBOARD_TASK_ID"),
            Some(Uuid::from_u128(1).to_string())
        );
        assert_eq!(get("CALLBOARD_PROMPT"), Some("why".into()));
        assert_eq!(get("CALLBOARD_CONTEXT"), Some(r#"{"k":"v"}"#.into()));
        assert_eq!(get("CALLBOARD_ATTEMPT"), Some("2".into()));
        assert_eq!(get("CALLBOARD_AGENT"), Some("Ada".into()));
        assert_eq!(get("KEY"), Some("secret".into()));
        assert!(!env.contains_key("CALLBOARD_SESSION_ID"));
        assert!(!env.contains_key("BAD=NAME"));
    }

    #[test]
    fn neither_token_reaches_the_command() {
        let (words, env) = built("x", &claim());
        assert_eq!(env.get("CALLBOARD_TOKEN"), Some(&None));
        assert!(!format!("{words:?}{env:?}").contains(&TOKEN.to_string()));
    }

    #[test]
    fn what_is_too_long_for_an_environment_is_left_out() {
        let mut claim = claim();
        claim.context = Some(json!({ "prompt": "x".repeat(200_000) }));
        let (_, env) = built("x", &claim);
        assert!(!env.contains_key("CALLBOARD_PROMPT"));
        assert!(!env.contains_key("CALLBOARD_CONTEXT"));
    }

    #[tokio::test]
    async fn a_resumed_directory_is_used_where_it_still_is() {
        let root = tempfile::tempdir().unwrap();
        let earlier = tempfile::tempdir().unwrap();
        let mut claim = claim();
        claim.resume = Some(Resume {
            session_id: "s".into(),
            work_dir: earlier.path().to_str().map(str::to_owned),
        });
        let dir = work_dir(root.path(), &claim).await.unwrap();
        assert_eq!(dir, earlier.path());
        earlier.close().unwrap();
        let dir = work_dir(root.path(), &claim).await.unwrap();
        assert_eq!(dir, root.path().join(Uuid::from_u128(1).to_string()));
        assert!(dir.is_dir());
    }
}
