//! How deep a document nests, found out before it is parsed.
//!
//! The parser calls itself for each bracket and only partly minds its stack: some 300 lists within each other, a document
//! of less than a kilobyte, would end the process. What it can come by is followed here as its grammar has it; where
//! it would stop, this stops.

use crate::error::{Error, Result};

/// The most brackets, of whatever kind, that may be open at once.
const MAX_OPEN: usize = 100;

/// Refuses a document whose nesting the parser may not survive.
pub(super) fn check(document: &str) -> Result<()> {
    if deepest(document) <= MAX_OPEN {
        return Ok(());
    }
    Err(Error::QueryTooComplex(format!(
        "the document nests too deep: more than {MAX_OPEN} brackets are open at once"
    )))
}

/// The most brackets that are open at once.
fn deepest(document: &str) -> usize {
    let (mut rest, mut open, mut deepest) = (document.as_bytes(), 0_usize, 0);
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'(' | b'[' | b'{' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'#' => rest = after_comment(tail),
            b'"' => match after_string(tail) {
                Some(after) => rest = after,
                None => break,
            },
            // Nothing begins with it.
            b'\\' => break,
            _ => {}
        }
    }
    deepest
}

/// What follows a comment.
pub(super) fn after_comment(mut rest: &[u8]) -> &[u8] {
    while let [first, tail @ ..] = rest {
        rest = tail;
        if matches!(first, b'\n' | b'\r') {
            break;
        }
    }
    rest
}

/// What follows a string, given what follows its first quotation mark; none where it does not end.
pub(super) fn after_string(begun: &[u8]) -> Option<&[u8]> {
    // Three marks that nothing closes are an empty string and the beginning of another, and the parser takes them so.
    let block = begun.strip_prefix(b"\"\"").and_then(after_block);
    if block.is_some() {
        return block;
    }
    let mut rest = begun;
    loop {
        rest = match rest {
            [b'"', tail @ ..] => return Some(tail),
            [] | [b'\n' | b'\r', ..] => return None,
            [b'\\', _, tail @ ..] | [_, tail @ ..] => tail,
        };
    }
}

/// What follows a block string, given what follows its first three marks.
fn after_block(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest {
            [b'"', b'"', b'"', tail @ ..] => return Some(tail),
            [b'\\', b'"', b'"', b'"', tail @ ..] | [_, tail @ ..] => tail,
            [] => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_of_every_kind_are_counted_while_they_are_open() {
        for (document, expected) in [
            ("", 0),
            ("{ a b }", 1),
            ("{ a(b: [1, {c: 2}]) { d } }", 4),
            ("{ a } { b } }", 1),
            ("]]] [[", 2),
        ] {
            assert_eq!(deepest(document), expected, "{document}");
        }
    }

    #[test]
    fn brackets_in_strings_and_comments_are_not() {
        for document in [
            r#"{ "[[[" }"#,
            r#"{ "\"[[[" }"#,
            r#"{ "\\" }"#,
            r#"{ """[[[ " "" \""" [[[""" }"#,
            "{ # [[[\n }",
            "{ # [[[\r }",
        ] {
            assert_eq!(deepest(document), 1, "{document}");
        }
    }

    #[test]
    fn nothing_hides_brackets_that_the_parser_would_come_by() {
        for document in [
            "# a comment\r[[[",
            "# a comment\n[[[",
            r#""" [[["#,
            // Two empty strings, since no three marks follow.
            r#""""" [[["#,
            r#""]" [ "]" [ "]" ["#,
            r#""\\" [[["#,
            r#""""]""" [[["#,
            r#""""\"""]""" [[["#,
        ] {
            assert_eq!(deepest(document), 3, "{document}");
        }
    }

    #[test]
    fn what_the_parser_cannot_read_ends_the_search() {
        for document in ["\"never closed [[[", "\"a line\n [[[", "\\ [[["] {
            assert_eq!(deepest(document), 0, "{document}");
        }
    }
}
