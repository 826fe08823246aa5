//! A step: a verb, by somebody, about something that is on the board when its turn comes.

use proptest::sample::Index;

use super::board::Board;
use super::task::Task;
use super::verb::Verb;

/// Who asks, where people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// The host application.
    Host,
    /// A person without a say over others' agents.
    Member,
}

/// A verb, by whom, about what.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) verb: Verb,
    pub(super) user: User,
    /// Whether it is another daemon than the one whose it is.
    pub(super) stranger: bool,
    /// Whether the task is one that the verb is made for.
    pub(super) apt: bool,
    pub(super) task: Index,
    pub(super) token: TokenPick,
}

/// Which token a daemon shows.
#[derive(Clone, Copy, Debug)]
pub(super) enum TokenPick {
    Held,
    Another(Index),
    Unknown,
    None,
}

/// What a step comes to on a board.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    pub(super) user: User,
    pub(super) stranger: bool,
    /// Its number; one that no task has where there is none.
    pub(super) task: usize,
    /// Its number; one that no token has where it is nobody's.
    pub(super) token: Option<usize>,
}

impl Step {
    /// Which task and token are meant.
    pub(super) fn aim(&self, board: &Board) -> Aim {
        // Of what nobody may ask for, nothing is to come where nothing can.
        let possible = matches!(self.verb, Verb::Time(_));
        let apt = |task: &Task| self.verb.is_made_for(board, task);
        let mut tasks = board.which(|task| (self.apt || possible) && apt(task));
        if tasks.is_empty() && !possible {
            tasks = board.which(|_| true);
        }
        let task = if tasks.is_empty() {
            usize::MAX
        } else {
            *self.task.get(&tasks)
        };
        let held = board.tasks.get(task).and_then(|task| task.token);
        let token = match self.token {
            TokenPick::Held => held,
            TokenPick::Another(index) if board.tokens > 0 => Some(index.index(board.tokens)),
            TokenPick::Another(_) | TokenPick::Unknown => Some(usize::MAX),
            TokenPick::None => None,
        };
        Aim {
            user: self.user,
            stranger: self.stranger,
            task,
            token,
        }
    }
}
