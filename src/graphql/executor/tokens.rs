//! How many tokens a document has, found out before it is parsed.
//!
//! Parsing costs some two microseconds a token, so that a document of a megabyte would keep a server busy for as long as a
//! thousand honest ones.

use super::nesting::{after_comment, after_string};
use crate::error::{Error, Result};

/// The most tokens of a document. A list of a thousand inputs, written out, is smaller.
const MAX_TOKENS: usize = 15_000;

/// Refuses a document that would take long to parse. Looks no further than to the first token too many.
pub(super) fn check(document: &str) -> Result<()> {
    if count(document, MAX_TOKENS + 1) <= MAX_TOKENS {
        return Ok(());
    }
    Err(Error::QueryTooComplex(format!(
        "the document is too long: more than {MAX_TOKENS} tokens; give values as variables"
    )))
}

/// The number of tokens, counted up to so many.
fn count(document: &str, most: usize) -> usize {
    let (mut rest, mut count) = (document.as_bytes(), 0);
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => continue,
            b'#' => {
                rest = after_comment(tail);
                continue;
            }
            // Where it does not end, the parser ends too.
            b'"' => rest = after_string(tail).unwrap_or_default(),
            first if in_word(*first) => {
                let length = tail.iter().take_while(|byte| in_word(**byte)).count();
                rest = tail.get(length..).unwrap_or_default();
            }
            b'.' => rest = tail.strip_prefix(b"..").unwrap_or(tail),
            _ => {}
        }
        count += 1;
        if count == most {
            break;
        }
    }
    count
}

/// Whether a name or a number goes on with it.
const fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_strings_and_marks_are_tokens_and_nothing_else_is() {
        for (document, expected) in [
            ("", 0),
            (" \t\r\n,,", 0),
            ("# a comment { a }\n", 0),
            ("{ a }", 3),
            ("{a,b # c\n d}", 5),
            ("query Q($x: [Int!]! = -1) { ...F @skip(if: $x) }", 26),
            (r#"{ a(b: "c d \" e", f: """g " h""") }"#, 11),
            ("{ a(b: \"never closed }", 6),
        ] {
            assert_eq!(count(document, 1000), expected, "{document}");
        }
    }

    #[test]
    fn nobody_counts_further_than_the_limit() {
        assert_eq!(count(&"a ".repeat(1000), 10), 10);
        assert!(check(&"a ".repeat(MAX_TOKENS)).is_ok());
        assert!(check(&"a ".repeat(MAX_TOKENS + 1)).is_err());
    }
}
