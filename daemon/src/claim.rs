//! A claimed task as the server hands it over, and the proof of the claim.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The unguessable part of a claim: whoever has it may settle the task. Never logged.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ClaimToken(Uuid);

impl ClaimToken {
    /// Takes charge of a token as it came.
    pub(crate) const fn new(token: Uuid) -> Self {
        Self(token)
    }

    /// The token itself, for the server alone.
    pub(crate) const fn expose(self) -> Uuid {
        self.0
    }
}

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimToken([redacted])")
    }
}

/// Which task, and by which claim: goes along with everything said about the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClaimProof {
    /// The task.
    pub(crate) task_id: Uuid,
    /// The claim on it.
    pub(crate) claim_token: ClaimToken,
}

/// A task that this daemon may start. Has no `Debug`: the environment and the MCP configuration
/// are secrets.
pub(crate) struct Claim {
    /// Which task, and by which claim.
    pub(crate) proof: ClaimProof,
    /// The issue that the task is about, if any.
    pub(crate) issue_id: Option<Uuid>,
    /// Number of the try, from 1.
    pub(crate) attempt: i64,
    /// Why there is a task, in a sentence.
    pub(crate) trigger_summary: Option<String>,
    /// What the host application gave along.
    pub(crate) context: Option<Value>,
    /// The session to continue.
    pub(crate) resume: Option<Resume>,
    /// Whom the task is addressed to.
    pub(crate) agent: ClaimedAgent,
}

/// An earlier session of this runtime that the task continues.
pub(crate) struct Resume {
    /// As the agent's own command named it.
    pub(crate) session_id: String,
    /// Where it worked.
    pub(crate) work_dir: Option<String>,
}

/// The persona behind the task, with its secrets.
pub(crate) struct ClaimedAgent {
    /// Its name.
    pub(crate) name: String,
    /// What comes before every prompt.
    pub(crate) instructions: String,
    /// The model it is to use.
    pub(crate) model: Option<String>,
    /// The provider's own settings.
    pub(crate) runtime_config: Value,
    /// Arguments for the command.
    pub(crate) custom_args: Vec<String>,
    /// Environment for the command.
    pub(crate) custom_env: Vec<(String, String)>,
    /// Servers that the agent may use as tools.
    pub(crate) mcp_config: Option<Value>,
}

/// The strings of a JSON array; numbers and the like as they are written.
pub(crate) fn strings(array: &Value) -> Vec<String> {
    array
        .as_array()
        .map(|values| values.iter().map(text).collect())
        .unwrap_or_default()
}

/// The entries of a JSON object whose values can be those of an environment.
pub(crate) fn entries(object: &Value) -> Vec<(String, String)> {
    object
        .as_object()
        .map(|object| {
            object
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), text(value)))
                .collect()
        })
        .unwrap_or_default()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_token_is_never_shown() {
        let token = Uuid::from_u128(0xfeed_beef);
        let proof = ClaimProof {
            task_id: Uuid::nil(),
            claim_token: ClaimToken::new(token),
        };
        assert!(!format!("{proof:?}").contains(&token.to_string()));
    }

    #[test]
    fn arguments_and_environment_are_texts() {
        assert_eq!(strings(&json!(["-p", 3])), ["-p", "3"]);
        assert!(strings(&json!({})).is_empty());
        assert_eq!(
            entries(&json!({ "A": "x", "B": 1, "C": null })),
            [("A".into(), "x".into()), ("B".into(), "1".into())]
        );
        assert!(entries(&Value::Null).is_empty());
    }
}
