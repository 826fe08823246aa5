//! Positions in the event log, as clients hold them.

use std::fmt;
use std::str::FromStr;

/// A position in the event log: everything up to it, and nothing after it. Later is never smaller. The same on every
/// server, and good across restarts, for as long as the log reaches back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub i64);

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct NotACursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Fixed width, so that the order of the texts is the order of the cursors.
        write!(f, "c{:016x}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let digits = text
            .strip_prefix('c')
            .filter(|digits| digits.len() == 16)
            .ok_or(NotACursor)?;
        if !digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        {
            return Err(NotACursor);
        }
        i64::from_str_radix(digits, 16)
            .map(Self)
            .map_err(|_out_of_range| NotACursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_the_way_through_text_in_their_order() {
        let cursors = [0, 1, 9, 10, 255, 256, i64::MAX].map(Cursor);
        for pair in cursors.windows(2) {
            assert!(pair[0].to_string() < pair[1].to_string());
        }
        for cursor in cursors {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn what_is_not_a_cursor_is_refused() {
        for text in [
            "",
            "c",
            "c0",
            "c00000000000000000",
            "cffffffffffffffff",
            "c000000000000000G",
            "d0000000000000001",
            "c+00000000000000f",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(NotACursor), "{text}");
        }
    }
}
