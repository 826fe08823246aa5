//! Lines by which a running command speaks to Callboard: `::callboard VERB …` on its stdout.

use serde_json::Value;

use crate::usage::Usage;

const PREFIX: &str = "::callboard ";

/// The longest session, summary or path, in bytes: the server takes no longer ones.
pub(crate) const MAX_BYTES: usize = 1024;

/// What such a line says.
#[derive(Debug, PartialEq)]
pub(crate) enum Control {
    /// How far the command has got.
    Progress(Progress),
    /// The session that a later task can resume.
    Session(String),
    /// The task's result, for when the command succeeds.
    Result(Value),
    /// Tokens used, to be added to the sum.
    Usage(Usage),
}

/// How far a task has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// In words.
    pub(crate) summary: String,
    /// The step under way, of `total`.
    pub(crate) step: Option<i32>,
    /// How many steps there are.
    pub(crate) total: Option<i32>,
}

/// Reads a line; none where it is output like any other, a malformed control line included, so that
/// its author finds it in the transcript.
pub(crate) fn parse(line: &str) -> Option<Control> {
    let (verb, rest) = split_word(line.strip_prefix(PREFIX)?);
    match verb {
        "progress" => progress(rest).map(Control::Progress),
        "session" if !rest.is_empty() && rest.len() <= MAX_BYTES => {
            Some(Control::Session(rest.to_owned()))
        }
        "result" => serde_json::from_str(rest).ok().map(Control::Result),
        "usage" => serde_json::from_str(rest).ok().map(Control::Usage),
        _ => None,
    }
}

fn progress(text: &str) -> Option<Progress> {
    if text.is_empty() {
        return None;
    }
    let text = text
        .get(..text.floor_char_boundary(MAX_BYTES))
        .unwrap_or(text);
    let (first, rest) = split_word(text);
    let counted = first
        .split_once('/')
        .and_then(|(step, total)| Some((step.parse().ok()?, total.parse().ok()?)))
        .filter(|(step, total): &(i32, i32)| *step >= 0 && *total >= 0);
    Some(match counted {
        Some((step, total)) => Progress {
            // Progress is for people, who get at least the count.
            summary: if rest.is_empty() { first } else { rest }.to_owned(),
            step: Some(step),
            total: Some(total),
        },
        None => Progress {
            summary: text.to_owned(),
            step: None,
            total: None,
        },
    })
}

fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace)
        .map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn progress_of(summary: &str, count: Option<(i32, i32)>) -> Control {
        Control::Progress(Progress {
            summary: summary.into(),
            step: count.map(|(step, _)| step),
            total: count.map(|(_, total)| total),
        })
    }

    #[test]
    fn progress_has_words_and_perhaps_a_count() {
        let cases = [
            (
                "::callboard progress 2/5 some text",
                Some(progress_of("some text", Some((2, 5)))),
            ),
            (
                "::callboard progress some text",
                Some(progress_of("some text", None)),
            ),
            (
                "::callboard progress 2/5",
                Some(progress_of("2/5", Some((2, 5)))),
            ),
            (
                "::callboard progress src/main.rs read",
                Some(progress_of("src/main.rs read", None)),
            ),
            (
                "::callboard progress -1/5 x",
                Some(progress_of("-1/5 x", None)),
            ),
            ("::callboard progress", None),
            (
                &format!("::callboard progress {}", "ä".repeat(MAX_BYTES)),
                Some(progress_of(&"ä".repeat(MAX_BYTES / 2), None)),
            ),
        ];
        for (line, control) in cases {
            assert_eq!(parse(line), control, "{line}");
        }
    }

    #[test]
    fn a_session_is_named() {
        assert_eq!(
            parse("::callboard session 7f-3 "),
            Some(Control::Session("7f-3".into()))
        );
        assert_eq!(parse("::callboard session"), None);
        let session = |length| parse(&format!("::callboard session {}", "x".repeat(length)));
        assert!(session(MAX_BYTES).is_some());
        assert_eq!(session(MAX_BYTES + 1), None);
    }

    #[test]
    fn a_result_is_json() {
        assert_eq!(
            parse(r#"::callboard result {"ok": true}"#),
            Some(Control::Result(json!({ "ok": true })))
        );
        assert_eq!(parse("::callboard result {oops"), None);
    }

    #[test]
    fn usage_names_its_model_and_counts_from_nought() {
        let line = r#"::callboard usage {"provider":"p","model":"m","outputTokens":3}"#;
        let Some(Control::Usage(usage)) = parse(line) else {
            panic!("no usage in {line}");
        };
        assert_eq!((usage.input_tokens, usage.output_tokens), (0, 3));
        assert_eq!(parse(r#"::callboard usage {"model":"m"}"#), None);
        assert_eq!(
            parse(r#"::callboard usage {"provider":"p","model":"m","outputTokens":-3}"#),
            None
        );
    }

    #[test]
    fn everything_else_is_output() {
        for line in [
            "",
            "progress 1/2",
            " ::callboard progress 1/2",
            "::callboard",
            "::callboard dance",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
