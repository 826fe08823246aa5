//! Drawing a deed at random.

use super::super::dice::Dice;
use super::super::facts::Facts;
use super::{Change, Deed, Link, Past, Token, Whose};

impl Deed {
    /// Draws one for a board on which there are these tasks.
    pub(in super::super) fn draw(dice: &mut Dice, tasks: &[Facts]) -> Self {
        let weighed = dice.roll() % 100;
        match weighed {
            22..44 => Self::claim(dice),
            44..70 if !tasks.is_empty() => Self::with_task(dice, tasks),
            70..89 if !tasks.is_empty() => Self::of_time(dice, tasks),
            89..94 => Self::with_agent(dice),
            94..96 => Self::Rerun {
                issue: dice.one("issue"),
                agent: dice.one("agent"),
            },
            98.. => Self::CancelAll(Self::whose(dice)),
            _ => Self::new_task(dice),
        }
    }

    fn new_task(dice: &mut Dice) -> Self {
        let agent = dice.one("agent");
        if dice.percent(15) {
            return Self::QuickCreate { agent, priority: 3 };
        }
        let (issue, chat, run) = dice.of(&[
            (true, false, false),
            (true, false, false),
            (true, false, false),
            (false, true, false),
            (false, true, false),
            (true, true, false),
            (false, false, true),
            (true, false, true),
            (false, false, false),
        ]);
        let link = Link {
            issue: issue.then(|| dice.one("issue")),
            chat: chat.then(|| dice.one("chat")),
            run: run.then(|| dice.one("run")),
        };
        let priority = dice.of(&[0, 0, 1, 2]);
        let comment = dice.percent(30).then(|| dice.one("comment"));
        Self::Enqueue {
            agent,
            link,
            priority,
            comment,
            leader: dice.percent(20),
            fresh: dice.percent(20),
        }
    }

    fn claim(dice: &mut Dice) -> Self {
        if dice.percent(8) {
            return Self::LegacyClaim {
                agent: dice.one("agent"),
            };
        }
        let agent = dice.percent(20).then(|| dice.one("agent"));
        let max = if agent.is_none() && dice.percent(30) {
            3
        } else {
            1
        };
        Self::Claim {
            runtime: runtime(dice),
            agent,
            max,
        }
    }

    fn with_task(dice: &mut Dice, tasks: &[Facts]) -> Self {
        let token = dice.of(&[
            Token::Right,
            Token::Right,
            Token::Right,
            Token::Right,
            Token::Right,
            Token::Wrong,
            Token::Missing,
        ]);
        let session = dice.percent(50).then(|| dice.one("session"));
        match dice.roll() % 100 {
            0..36 => Self::Start {
                task: task(dice, tasks, "dispatched"),
                token,
            },
            36..44 => Self::Pin {
                task: task(dice, tasks, "running"),
                token,
                session,
            },
            44..60 => Self::Complete {
                task: task(dice, tasks, "running"),
                token,
                session,
            },
            60..82 => {
                let (reason, error) = dice.of(&[
                    (None, "it broke"),
                    (None, "400: invalid_request_error"),
                    (Some("timeout"), "it took too long"),
                    (Some("runtime_offline"), "it's gone"),
                    (Some("runtime_recovery"), "it is back"),
                    (Some("iteration_limit"), "it went round"),
                ]);
                let status = dice.of(&["running", "running", "dispatched"]);
                Self::Fail {
                    task: task(dice, tasks, status),
                    token,
                    reason,
                    error,
                    session,
                }
            }
            82..86 => Self::Cancel {
                task: task(dice, tasks, "queued"),
            },
            86..91 => Self::LinkToIssue {
                task: task(dice, tasks, "running"),
                issue: dice.one("issue"),
            },
            91..95 => Self::Retry {
                task: task(dice, tasks, "failed"),
            },
            95..98 => Self::Retry {
                task: task(dice, tasks, "cancelled"),
            },
            _ => Self::Recover {
                runtime: runtime(dice),
            },
        }
    }

    fn of_time(dice: &mut Dice, tasks: &[Facts]) -> Self {
        let (status, past) = match dice.roll() % 100 {
            0..22 => ("dispatched", Past::LeaseRanOut),
            22..30 => ("dispatched", Past::DispatchedLongAgo),
            30..40 => ("running", Past::StartedLongAgo),
            40..50 => ("queued", Past::PutOnBoardLongAgo),
            50..55 => ("dispatched", Past::HandedOutOften),
            55..60 => {
                return Self::Silence {
                    runtime: runtime(dice),
                    seconds: dice.of(&[200, 10_000]),
                };
            }
            60..68 => {
                return Self::Heartbeat {
                    runtime: runtime(dice),
                };
            }
            _ => return Self::Sweep,
        };
        Self::TurnBack {
            task: task(dice, tasks, status),
            past,
        }
    }

    fn with_agent(dice: &mut Dice) -> Self {
        let agent = dice.one("agent");
        match dice.roll() % 100 {
            0..8 => Self::Archive { agent },
            8..11 => Self::ArchiveAll {
                runtime: runtime(dice),
            },
            11..55 => Self::Restore { agent },
            55..80 => {
                let (name, home) = (dice.one("name"), runtime(dice));
                let capacity = dice.of(&[1, 2, 6]);
                let change = dice.of(&[
                    Change::Name(name),
                    Change::Capacity(capacity),
                    Change::Runtime(home),
                    Change::NoMcpConfig,
                ]);
                Self::Change { agent, change }
            }
            _ => Self::SetStatus {
                agent,
                status: dice.of(&["idle", "working", "blocked", "error", "offline"]),
            },
        }
    }

    fn whose(dice: &mut Dice) -> Whose {
        match dice.roll() % 5 {
            0 => Whose::Issue(dice.one("issue")),
            1 => Whose::IssueAndAgent(dice.one("issue"), dice.one("agent")),
            2 => Whose::Agent(dice.one("agent")),
            3 => Whose::Comment(dice.one("comment")),
            _ => Whose::Chat(dice.one("chat")),
        }
    }
}

/// One of the two runtimes, the first more often.
fn runtime(dice: &mut Dice) -> String {
    dice.of(&["runtime 0", "runtime 0", "runtime 1"]).to_owned()
}

/// A task, mostly one in this state if there is one.
fn task(dice: &mut Dice, tasks: &[Facts], status: &str) -> String {
    let in_state: Vec<&Facts> = tasks
        .iter()
        .filter(|task| task["status"] == status)
        .collect();
    if in_state.is_empty() || dice.percent(10) {
        return dice.of(tasks)["id"].clone();
    }
    dice.of(&in_state)["id"].clone()
}
