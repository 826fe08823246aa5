//! What is answered to a step, and which part of the specification answers it.

use std::collections::BTreeSet;

use callboard::background::sweeper::Swept;

use super::board::Board;
use super::step::Aim;
use super::verb::Verb;

/// An answer, tasks and tokens by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The error's code.
    Refused(String),
    /// Nothing of which more is to be said than what is then on the board.
    Done,
    Task(usize),
    /// Tasks in their order.
    Tasks(Vec<usize>),
    Agents(Vec<usize>),
    Enqueued {
        task: usize,
        deduplicated: bool,
    },
    Failed {
        task: usize,
        retry: Option<usize>,
    },
    Recovered {
        failed: BTreeSet<usize>,
        retried: BTreeSet<usize>,
    },
    Claims(Vec<Given>),
    /// What the daemon holds no longer.
    Lost(BTreeSet<usize>),
    Swept(Swept),
}

/// A task that a daemon was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) task: usize,
    pub(super) token: usize,
    /// The session and directory to go on with.
    pub(super) resume: Option<(String, Option<String>)>,
}

/// What a verb comes to, or the code that it is refused with.
pub(super) type Outcome = Result<Answer, &'static str>;

impl Board {
    /// What has to come of a step.
    pub(super) fn answer(&mut self, verb: &Verb, aim: Aim) -> Answer {
        self.clock += 1;
        let outcome = match verb {
            Verb::Board(verb) => self.answer_host(*verb, aim),
            Verb::Agent(verb) => self.answer_manager(*verb, aim),
            Verb::Runtime(verb) => self.answer_runtime(verb, aim),
            Verb::Claim(verb) => self.answer_holder(*verb, aim),
            Verb::Time(verb) => Ok(self.pass(*verb, aim)),
        };
        outcome.unwrap_or_else(|code| Answer::Refused(code.to_owned()))
    }
}
