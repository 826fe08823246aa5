//! Deeds done by the queries, composed as the service around them composes them.

mod agent;
mod board;
mod claim;
mod settle;
mod sweep;

use std::collections::BTreeMap;

use super::deed::{Deed, Past, Token};
use super::difference::{Difference, Met};
use super::side::{Answer, Side};
use super::statement::{Argument, Row, some};

/// How long a lease is, in seconds; longer than any history.
pub(super) const LEASE_SECS: u64 = 240;

/// Whether the differences are kept to.
#[derive(Debug)]
pub(super) enum Manner<'a> {
    /// They are, and noted; with how often each task was handed out by the API.
    Callboard(&'a mut Met, BTreeMap<String, i32>),
    /// They are not: the host does as its queries do.
    AsWritten,
}

/// Somebody who works by the queries.
#[derive(Debug)]
pub(super) struct ByQueries<'a> {
    pub(super) side: &'a mut Side,
    pub(super) manner: Manner<'a>,
}

impl ByQueries<'_> {
    /// Does a deed, in a transaction of its own.
    pub(super) async fn act(&mut self, deed: &Deed) -> Answer {
        self.plain("begin").await;
        let answer = Box::pin(self.answer(deed)).await;
        self.plain("commit").await;
        answer
    }

    async fn answer(&mut self, deed: &Deed) -> Answer {
        match deed {
            Deed::Enqueue {
                agent,
                link,
                priority,
                comment,
                leader,
                fresh,
            } => {
                let rest = [
                    some(priority),
                    self.side.optional(comment.as_ref()),
                    None,
                    some(fresh),
                    some(leader),
                ];
                self.enqueue(agent, link, rest).await
            }
            Deed::QuickCreate { agent, priority } => self.quick_create(agent, *priority).await,
            Deed::Claim {
                runtime,
                agent,
                max,
            } => self.claim(runtime, agent.as_deref(), *max).await,
            Deed::LegacyClaim { agent } => self.legacy_claim(agent).await,
            Deed::Start { task, token } => self.start(task, *token).await,
            Deed::Pin {
                task,
                token,
                session,
            } => self.pin(task, *token, session.clone()).await,
            Deed::Complete {
                task,
                token,
                session,
            } => self.complete(task, *token, session.clone()).await,
            Deed::Fail {
                task,
                token,
                reason,
                error,
                session,
            } => {
                let (reason, error) = (reason.map(str::to_owned), some(error));
                self.fail(task, *token, [error, reason, session.clone(), None])
                    .await
            }
            Deed::Cancel { task } => self.cancel(task).await,
            Deed::CancelAll(whose) => self.cancel_all(whose).await,
            Deed::LinkToIssue { task, issue } => self.link_to_issue(task, issue).await,
            Deed::Rerun { issue, agent } => self.rerun(issue, agent).await,
            Deed::Retry { task } => self.retry(task).await,
            Deed::Recover { runtime } => self.recover(runtime).await,
            Deed::Archive { agent } => self.archive(agent).await,
            Deed::ArchiveAll { runtime } => self.archive_all(runtime).await,
            Deed::Restore { agent } => self.restore(agent).await,
            Deed::Change { agent, change } => self.change(agent, change).await,
            Deed::SetStatus { agent, status } => self.set_status(agent, status).await,
            Deed::Sweep => self.sweep().await,
            Deed::Heartbeat { runtime } => {
                self.heard_of(runtime, "status = 'online', last_seen_at = now()")
                    .await
            }
            Deed::Silence { runtime, seconds } => {
                let past = format!("last_seen_at = now() - interval '{seconds} s'");
                self.heard_of(runtime, &past).await
            }
            Deed::TurnBack { task, past } => self.turn_back(task, *past).await,
        }
    }

    /// Whether a difference is kept to.
    fn is_callboard(&self) -> bool {
        matches!(self.manner, Manner::Callboard(..))
    }

    /// Notes a difference that was met.
    fn note(&mut self, difference: Difference) {
        if let Manner::Callboard(met, _) = &mut self.manner {
            met.note(difference);
        }
    }

    /// What a query would do: its rows, or the constraint that it would violate.
    async fn would(&mut self, name: &str, arguments: &[Argument]) -> Result<Vec<Row>, String> {
        self.plain("savepoint would").await;
        let outcome = self.side.session.try_run(name, arguments).await;
        self.plain("rollback to savepoint would").await;
        outcome.map_err(|error| {
            let violated = error
                .as_database_error()
                .and_then(|error| error.constraint());
            violated
                .unwrap_or_else(|| panic!("{name}: {error}"))
                .to_owned()
        })
    }

    async fn run(&mut self, name: &str, arguments: &[Argument]) -> Vec<Row> {
        self.side.session.run(name, arguments).await
    }

    async fn one(&mut self, name: &str, arguments: &[Argument]) -> Option<Row> {
        self.side.session.one(name, arguments).await
    }

    async fn plain(&mut self, sql: &str) -> Vec<Row> {
        self.side.session.plain(sql).await
    }

    /// The token that a daemon shows.
    fn shown(token: Token, row: &Row) -> Argument {
        match token {
            Token::Right => row.get("claim_token").map(str::to_owned),
            Token::Wrong => some(uuid::Uuid::new_v4()),
            Token::Missing => None,
        }
    }

    async fn heard_of(&mut self, runtime: &str, change: &str) -> Answer {
        let id = self.side.names.id(runtime);
        let sql = format!("update agent_runtime set {change} where id = '{id}'");
        self.plain(&sql).await;
        Some(Vec::new())
    }

    async fn turn_back(&mut self, task: &str, past: Past) -> Answer {
        let id = self.side.names.id(task);
        let number: u32 = task.trim_start_matches("task ").parse().unwrap();
        let change = match past {
            Past::LeaseRanOut => {
                let seconds = number + 1;
                format!(
                    "claim_expires_at = now() - interval '{seconds} s' where claim_expires_at is not null and"
                )
            }
            Past::DispatchedLongAgo => {
                "dispatched_at = dispatched_at - interval '6 min' where status = 'dispatched' and"
                    .to_owned()
            }
            Past::StartedLongAgo => {
                "started_at = started_at - interval '3 h' where status = 'running' and".to_owned()
            }
            Past::HandedOutOften => "deliveries = 5 where".to_owned(),
            Past::PutOnBoardLongAgo => {
                "created_at = created_at - interval '3 h' where status = 'queued' and".to_owned()
            }
        };
        self.plain(&format!("update agent_task_queue set {change} id = '{id}'"))
            .await;
        Some(Vec::new())
    }
}
