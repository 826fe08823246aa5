//! What a command is told: the prompt, and the text on its stdin.

use serde_json::Value;

use crate::claim::Claim;

/// What the task asks for: the context's own prompt, else why there is a task, else the context.
pub(crate) fn prompt(claim: &Claim) -> String {
    choose(claim.context.as_ref(), claim.trigger_summary.as_deref())
}

/// What the command reads: the agent's instructions, an empty line, the prompt.
pub(crate) fn stdin(claim: &Claim) -> String {
    join(&claim.agent.instructions, &prompt(claim))
}

fn choose(context: Option<&Value>, trigger_summary: Option<&str>) -> String {
    let prompt = context
        .and_then(|context| context.get("prompt"))
        .and_then(Value::as_str);
    match (prompt.or(trigger_summary), context) {
        (Some(text), _) => text.to_owned(),
        (None, Some(context)) => context.to_string(),
        (None, None) => String::new(),
    }
}

fn join(instructions: &str, prompt: &str) -> String {
    if instructions.is_empty() {
        prompt.to_owned()
    } else {
        format!("{instructions}\n\n{prompt}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_prompt_is_the_most_deliberate_text_there_is() {
        let cases = [
            (Some(json!({ "prompt": "do it" })), Some("why"), "do it"),
            (Some(json!({ "prompt": 3 })), Some("why"), "why"),
            (Some(json!({ "a": 1 })), None, r#"{"a":1}"#),
            (None, Some("why"), "why"),
            (None, None, ""),
        ];
        for (context, summary, expected) in cases {
            assert_eq!(choose(context.as_ref(), summary), expected);
        }
    }

    #[test]
    fn instructions_come_first() {
        assert_eq!(join("be kind", "do it"), "be kind\n\ndo it");
        assert_eq!(join("", "do it"), "do it");
    }
}
