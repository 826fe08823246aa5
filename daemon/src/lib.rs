//! The Callboard daemon: offers this machine's coding agents to a Callboard server, claims the tasks
//! that are addressed to them, runs a command for each, and tells the server how it went.
//!
//! It knows the server by its GraphQL schema alone. [`run`] is a whole daemon; several may run in
//! one process. Nothing is spawned that [`run`] does not wait for, and nothing is global.
//!
//! # What a command gets
//!
//! A task of `--agent NAME=COMMAND` is run by `sh -c COMMAND`, with the agent's custom arguments as
//! `"$@"`; one of `--agent NAME` by the program `NAME` with these arguments. It leads a process
//! group of its own and works where the session that it resumes worked, or else in a fresh
//! directory. On its stdin it finds the agent's instructions, an empty line, and the prompt: the
//! context's `prompt`, else the task's trigger summary, else the context as JSON. In its
//! environment, besides the daemon's own and the agent's custom variables:
//!
//! | variable | |
//! |---|---|
//! | `CALLBOARD_TASK_ID`, `CALLBOARD_ISSUE_ID`, `CALLBOARD_ATTEMPT` | the task, its issue if it has one, the number of the try |
//! | `CALLBOARD_AGENT`, `CALLBOARD_INSTRUCTIONS`, `CALLBOARD_MODEL` | the agent's name, instructions, and model if it has one |
//! | `CALLBOARD_PROMPT`, `CALLBOARD_CONTEXT` | the prompt; the task's context as JSON |
//! | `CALLBOARD_SESSION_ID`, `CALLBOARD_WORK_DIR` | the session to resume, and where it worked |
//! | `CALLBOARD_RUNTIME_CONFIG`, `CALLBOARD_MCP_CONFIG` | the agent's settings as JSON |
//!
//! A variable longer than 96 KiB is left out, since the system would refuse the whole command. The
//! daemon's token and the task's claim token are in neither.
//!
//! # What a command says
//!
//! Lines of stdout and stderr go into the task's transcript, cut at 64 KiB each. These lines on
//! stdout are understood instead:
//!
//! ```text
//! ::callboard progress 2/5 reading the tests      how far it has got; the count may be left out
//! ::callboard session ID                          what a later task can resume
//! ::callboard result {"merged": true}             the task's result, as JSON
//! ::callboard usage {"provider": "p", "model": "m", "inputTokens": 10, "outputTokens": 3,
//!                    "cacheReadTokens": 0, "cacheWriteTokens": 0}       on one line; added up
//! ```
//!
//! A command that exits with status 0 has completed its task; the result is the last one given, or
//! `{"exitCode": 0}`. Any other end fails it, with the last lines of stderr as the error. Whatever
//! of its group outlives it is ended.
//!
//! # What can be relied on
//!
//! - A success stays a success: it is on disk before it is told, and told until the server has
//!   acknowledged it, across restarts too.
//! - A claim whose answer was lost is asked for again under the same request id, and a start until it
//!   is answered.
//! - A task that is cancelled, or that somebody else has claimed, is stopped and not failed.
//! - A daemon that is told to stop ends its commands, SIGTERM first, fails their tasks as
//!   `runtime_recovery`, which the server may retry, and leaves no process behind. If it is killed
//!   itself, its next life ends what outlived it, where there is a /proc that shows it, before the
//!   tasks are given to anybody again.
//! - In one directory one command works at a time.

mod api;
mod backoff;
mod claim;
mod claiming;
mod command;
mod control;
mod daemon;
mod dirs;
mod doorbell;
mod heartbeat;
mod held;
mod lines;
mod options;
mod outbox;
mod process;
mod prompt;
mod report;
mod running;
mod runtime;
mod settlement;
mod start;
mod state;
mod subscription;
mod supervision;
mod task_run;
mod transcript;
mod usage;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::daemon::Daemon;
pub use self::options::{AgentOption, AgentOptionError, Options};

/// Runs a daemon until it is told to stop; an error only where it cannot start, or the server no
/// longer wants it.
///
/// Returns when its commands have ended and their tasks are settled, or kept for its next life.
/// Dropped before that, it stops in the background.
pub async fn run(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let stop = stop.child_token();
    let _stop_when_dropped = stop.clone().drop_guard();
    let connecting = Box::pin(Daemon::connect(options, stop.clone()));
    let Some(connected) = stop.run_until_cancelled(connecting).await else {
        return Ok(());
    };
    let daemon = Arc::new(connected?);
    Box::pin(daemon.live()).await
}
