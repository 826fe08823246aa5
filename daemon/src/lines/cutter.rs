//! Bytes into lines of a bounded length.

/// The longest line that is kept whole, in bytes of UTF-8: the server takes no longer ones.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// What stands at the end of a line that was cut.
const CUT: &str = " […]";

/// Collects bytes until a line is complete.
#[derive(Default)]
pub(crate) struct Cutter {
    line: Vec<u8>,
    /// The rest of a line that was cut is not kept.
    skipping: bool,
}

impl Cutter {
    /// Takes bytes as they come; the lines that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (part, ends) = match part.strip_suffix(b"\n") {
                Some(part) => (part, true),
                None => (part, false),
            };
            if !self.skipping {
                self.line.extend_from_slice(part);
                if self.line.len() > MAX_LINE_BYTES {
                    lines.push(text(&self.line));
                    self.line.clear();
                    self.skipping = true;
                }
            }
            if ends {
                if !self.skipping {
                    lines.push(text(&self.line));
                    self.line.clear();
                }
                self.skipping = false;
            }
        }
        lines
    }

    /// The line that no end has come for.
    pub(crate) fn finish(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        (!line.is_empty()).then(|| text(&line))
    }
}

/// A line as text. What is no UTF-8 can take three times as many bytes then; what becomes too long is
/// cut, and not within a character.
fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut text = String::from_utf8_lossy(line).into_owned();
    if text.len() > MAX_LINE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_LINE_BYTES - CUT.len()));
        text.push_str(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_may_come_in_any_portions() {
        let text = "ä\nbé\r\n\nlast";
        for portion in 1..text.len() {
            let mut cutter = Cutter::default();
            let mut lines: Vec<_> = text
                .as_bytes()
                .chunks(portion)
                .flat_map(|bytes| cutter.push(bytes))
                .collect();
            lines.extend(cutter.finish());
            assert_eq!(lines, ["ä", "bé", "", "last"], "portions of {portion}");
        }
    }

    #[test]
    fn what_is_not_utf8_is_kept_as_well_as_can_be() {
        assert_eq!(Cutter::default().push(b"a\xffb\n"), ["a\u{fffd}b"]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        for shift in 0..4 {
            let long = "x".repeat(shift) + &"🙂".repeat(MAX_LINE_BYTES / 2);
            let mut cutter = Cutter::default();
            let lines: Vec<_> = (long.clone() + "\nnext\n")
                .as_bytes()
                .chunks(8192)
                .flat_map(|bytes| cutter.push(bytes))
                .collect();
            assert_eq!(lines.len(), 2);
            assert_eq!(lines[1], "next");
            let kept = lines[0].strip_suffix(CUT).unwrap();
            assert!(long.starts_with(kept));
            assert!(lines[0].len() > MAX_LINE_BYTES - 4 && lines[0].len() <= MAX_LINE_BYTES);
            assert_eq!(cutter.finish(), None);
        }
    }

    #[test]
    fn what_is_not_utf8_is_no_longer_than_that() {
        let lines =
            Cutter::default().push(&[b"\xff".repeat(MAX_LINE_BYTES), b"\n".into()].concat());
        assert_eq!(lines.len(), 1);
        assert!(lines[0].len() > MAX_LINE_BYTES - 4 && lines[0].len() <= MAX_LINE_BYTES);
    }

    #[test]
    fn the_longest_line_is_whole() {
        let line = "x".repeat(MAX_LINE_BYTES);
        let mut cutter = Cutter::default();
        assert_eq!(cutter.push(format!("{line}\n").as_bytes()), [line]);
    }
}
