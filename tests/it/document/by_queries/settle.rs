//! The ends of tasks, and what comes after them.

use super::super::deed::Token;
use super::super::difference::Difference;
use super::super::side::{Answer, Said, rows};
use super::super::statement::{Argument, Row, some};
use super::ByQueries;

/// The failures that are tried again.
const RETRIED: [&str; 3] = ["runtime_offline", "runtime_recovery", "timeout"];

/// The states that end a task.
const ENDS: [&str; 3] = ["completed", "failed", "cancelled"];

impl ByQueries<'_> {
    pub(super) async fn pin(&mut self, task: &str, token: Token, session: Argument) -> Answer {
        let id = self.side.argument(task);
        let row = self.side.task(&id).await;
        let token = Self::shown(token, &row);
        if !["dispatched", "running"].contains(&row.text("status")) {
            return None;
        }
        if self.is_callboard() && row.get("claim_token") != token.as_deref() {
            self.would("UpdateAgentTaskSession", &[id, session, None])
                .await
                .unwrap();
            self.note(Difference::PinChecksTheToken);
            return None;
        }
        self.run("UpdateAgentTaskSession", &[id.clone(), session, None])
            .await;
        Some(rows(&[row]))
    }

    pub(super) async fn complete(&mut self, task: &str, token: Token, session: Argument) -> Answer {
        let id = self.side.argument(task);
        let row = self.side.task(&id).await;
        let (token, result) = (Self::shown(token, &row), some(r#"{"done": true}"#));
        let given = [id.clone(), result.clone(), session.clone(), None];
        let would = self.would("CompleteAgentTask", &given).await.unwrap();
        if self.is_callboard() && !would.is_empty() {
            if row.get("claim_token") != token.as_deref() {
                self.note(Difference::CompleteChecksTheToken);
                return None;
            }
            let pinned = row.get("session_id").map(str::to_owned);
            if session.is_none() && pinned.is_some() {
                self.note(Difference::CompleteKeepsTheSession);
            }
            let (session, work_dir) = (session.or(pinned), row.get("work_dir").map(str::to_owned));
            return Some(rows(
                &self
                    .run("CompleteAgentTask", &[id, result, session, work_dir])
                    .await,
            ));
        }
        let completed = self.one("CompleteAgentTask", &given).await;
        self.settled(completed, &id).await
    }

    /// `given` are the error, the reason, the session and the directory.
    pub(super) async fn fail(&mut self, task: &str, token: Token, given: [Argument; 4]) -> Answer {
        let id = self.side.argument(task);
        let token = Self::shown(token, &self.side.task(&id).await);
        let [error, reason, session, work_dir] = given;
        let given = [id.clone(), error, reason, session, work_dir, token];
        let Some(failed) = self.one("FailAgentTask", &given).await else {
            return self.settled(None, &id).await;
        };
        let mut said = rows(std::slice::from_ref(&failed));
        said.extend(self.after_failure(&failed).await);
        Some(said)
    }

    pub(super) async fn recover(&mut self, runtime: &str) -> Answer {
        let given = [self.side.argument(runtime)];
        let failed = self.run("RecoverOrphanedTasksForRuntime", &given).await;
        let mut said = rows(&failed);
        for task in &failed {
            said.extend(self.after_failure(task).await);
        }
        Some(said)
    }

    /// The next try of a task that has just failed, if it earns one.
    pub(super) async fn after_failure(&mut self, failed: &Row) -> Vec<Said> {
        let somebody_waits =
            failed.get("issue_id").is_some() || failed.get("chat_session_id").is_some();
        let earned = RETRIED.contains(&failed.text("failure_reason"))
            && somebody_waits
            && failed.get("autopilot_run_id").is_none()
            && failed.number("attempt") < failed.number("max_attempts");
        if !earned {
            return Vec::new();
        }
        let given = [some(failed.id("id"))];
        if self.would("CreateRetryTask", &given).await.is_err() {
            self.note(Difference::RetryGivesWay);
            return Vec::new();
        }
        self.next_try(failed).await
    }

    /// The next try of a task because somebody asks for it.
    pub(super) async fn retry(&mut self, task: &str) -> Answer {
        let id = self.side.argument(task);
        let row = self.side.task(&id).await;
        let agent_id = some(row.id("agent_id"));
        let of_agent = self
            .run("ListAgentTasks", std::slice::from_ref(&agent_id))
            .await;
        let is_retried = of_agent.iter().any(|other| {
            other.get("parent_task_id") == id.as_deref() && !ENDS.contains(&other.text("status"))
        });
        let is_archived = self
            .side
            .agent(&agent_id)
            .await
            .get("archived_at")
            .is_some();
        if !["failed", "cancelled"].contains(&row.text("status"))
            || is_retried
            || is_archived
            || self
                .would("CreateRetryTask", std::slice::from_ref(&id))
                .await
                .is_err()
        {
            return None;
        }
        Some(self.next_try(&row).await)
    }

    /// Puts the next try on the board.
    async fn next_try(&mut self, parent: &Row) -> Vec<Said> {
        let retried = self.run("CreateRetryTask", &[some(parent.id("id"))]).await;
        if self.is_callboard() && retried[0].get("session_id").is_some() && is_poisoned(parent) {
            self.note(Difference::PoisonIsNotHandedOn);
            let id = retried[0].id("id");
            let forget = format!("update agent_task_queue set session_id = null where id = '{id}'");
            self.plain(&forget).await;
        }
        rows(&retried)
    }

    /// The answer to an end: what was ended, or what had ended before.
    async fn settled(&mut self, ended: Option<Row>, id: &Argument) -> Answer {
        let row = match ended {
            Some(row) => row,
            None => self.side.task(id).await,
        };
        ENDS.contains(&row.text("status")).then(|| rows(&[row]))
    }
}

/// Whether a task ended in a way that would spoil the session for whoever goes on with it.
pub(super) fn is_poisoned(task: &Row) -> bool {
    let reason = task.get("failure_reason").unwrap_or_default();
    let error = task.get("error").unwrap_or_default();
    [
        "iteration_limit",
        "agent_fallback_message",
        "api_invalid_request",
    ]
    .contains(&reason)
        || error.contains("400") && error.contains("invalid_request_error")
}
