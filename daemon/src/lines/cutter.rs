//! Bytes into lines of a bounded length.

/// The longest line that is kept whole.
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
                    lines.push(cut(&self.line));
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

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}

/// The beginning of an overlong line, not ending within a character.
fn cut(line: &[u8]) -> String {
    // A character has three continuation bytes at most; what has more is not UTF-8 anyway.
    let end = (MAX_LINE_BYTES.saturating_sub(3)..=MAX_LINE_BYTES)
        .rev()
        .find(|end| line.get(*end).is_some_and(|byte| byte & 0xc0 != 0x80))
        .unwrap_or(MAX_LINE_BYTES);
    let kept = line.get(..end).unwrap_or(line);
    format!("{}{CUT}", String::from_utf8_lossy(kept))
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
            assert!(kept.len() > MAX_LINE_BYTES - 4 && kept.len() <= MAX_LINE_BYTES);
            assert_eq!(cutter.finish(), None);
        }
    }

    #[test]
    fn the_longest_line_is_whole() {
        let line = "x".repeat(MAX_LINE_BYTES);
        let mut cutter = Cutter::default();
        assert_eq!(cutter.push(format!("{line}\n").as_bytes()), [line]);
    }
}
