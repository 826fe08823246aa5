//! Samples of stacks, folded into a tree: what is called from one place is counted together.

use std::collections::BTreeMap;

use super::name::{Frame, Whose};

/// How often a place was found in a stack, with what was called from there.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// In how many samples.
    pub(super) samples: u32,
    /// What was called.
    pub(super) called: BTreeMap<Frame, Self>,
}

impl Place {
    /// Counts a stack, the outermost frame first. Frames that call themselves, or each other in turn, are there once, and
    /// what everybody uses is with whoever used it.
    fn add(&mut self, stack: impl Iterator<Item = Frame>) {
        self.samples += 1;
        let mut place = self;
        let (mut last, mut before) = (None, None);
        for mut frame in stack {
            if frame.whose == Whose::Others {
                frame.whose = last
                    .as_ref()
                    .map_or(Whose::Others, |last: &Frame| last.whose);
            }
            if [last.as_ref(), before.as_ref()].contains(&Some(&frame)) {
                continue;
            }
            before = last.replace(frame.clone());
            place = place.called.entry(frame).or_default();
            place.samples += 1;
        }
    }

    /// In how many samples code was at work, by whose it is.
    pub(super) fn at_work(&self) -> BTreeMap<Whose, u32> {
        let mut found = BTreeMap::new();
        for (frame, place) in &self.called {
            let elsewhere: u32 = place.called.values().map(|called| called.samples).sum();
            *found.entry(frame.whose).or_default() += place.samples - elsewhere;
            for (whose, samples) in place.at_work() {
                *found.entry(whose).or_default() += samples;
            }
        }
        found
    }
}

/// What `perf script` prints, a line after the other.
#[derive(Debug)]
pub(super) struct Fold {
    server: u32,
    /// Whose stack is being read, and its frames, the innermost first.
    process: Option<u32>,
    stack: Vec<Frame>,
    found: Folded,
}

/// The samples of a server, and those of Postgres.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) server: Place,
    pub(super) postgres: Place,
}

impl Fold {
    /// One that tells this server from Postgres.
    pub(super) fn new(server: u32) -> Self {
        Self {
            server,
            process: None,
            stack: Vec::new(),
            found: Folded::default(),
        }
    }

    /// Reads a line: the process of a sample, a frame of it, or the empty one after it.
    pub(super) fn read(&mut self, line: &str) {
        if line.trim().is_empty() {
            self.end_sample();
        } else if self.process.is_none() {
            self.process = line.trim().parse().ok();
        } else {
            self.stack.extend(Frame::parse(line));
        }
    }

    /// What was read.
    pub(super) fn end(mut self) -> Folded {
        self.end_sample();
        self.found
    }

    fn end_sample(&mut self) {
        let stack = self.stack.drain(..).rev();
        if let Some(process) = self.process.take() {
            let place = if process == self.server {
                &mut self.found.server
            } else {
                &mut self.found.postgres
            };
            place.add(stack);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Fold;
    use crate::flames::name::Whose;

    /// As `perf script -F pid,ip,sym,dso` prints it.
    const PRINTED: &str = "    7 
\tffffffff81e418f5 skb_clone ([kernel.kallsyms])
\t          145ad9a _ZN5tokio3net4unix6stream10UnixStream9poll_read17h124e2d196abc9c3dE (/target/callboard)

    7 
\t          145ad9a _ZN5tokio3net4unix6stream10UnixStream9poll_read17h124e2d196abc9c3dE (/target/callboard)
\t          145ad9a _ZN5tokio3net4unix6stream10UnixStream9poll_read17h0123456789abcdefE (/target/callboard)

    8 
\t          3e738a StartTransaction (/usr/lib/postgresql/15/bin/postgres)
";

    #[test]
    fn what_is_called_from_one_place_is_counted_together() {
        let mut fold = Fold::new(7);
        for line in PRINTED.lines() {
            fold.read(line);
        }
        let folded = fold.end();
        assert_eq!((folded.server.samples, folded.postgres.samples), (2, 1));
        let (frame, place) = folded.server.called.first_key_value().unwrap();
        assert_eq!(
            frame.name,
            "tokio::net::unix::stream::UnixStream::poll_read"
        );
        assert_eq!((folded.server.called.len(), place.samples), (1, 2));
        assert_eq!(place.called.len(), 1, "{place:?}");
        let (frame, place) = place.called.first_key_value().unwrap();
        assert_eq!((frame.name.as_str(), place.samples), ("skb_clone", 1));
        let at_work = folded.server.at_work();
        assert_eq!(at_work.get(&Whose::Kernel), Some(&1));
        assert_eq!(at_work.get(&Whose::Runtime), Some(&1));
    }
}
