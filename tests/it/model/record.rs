//! Comparing what is in the database with the board.

use entity::id::{AgentId, RuntimeId, TaskId};
use sea_orm::ActiveEnum;
use serde_json::{Value, json};
use uuid::Uuid;

use super::case::{Case, number};
use super::reading::{Read, list};
use super::task::{Lease, Since, Task};
use crate::harness::uuid;

/// Everything that is compared. Of a task's errors the words are, where they are not the service's own affair.
const CONTENTS: &str = "select jsonb_build_object(
    'tasks', (select jsonb_agg(to_jsonb(task) || jsonb_build_object('events', (
            select jsonb_agg(kind order by position) from task_event as event where event.task_id = task.id
        )) order by id) from agent_task_queue as task),
    'agents', (select jsonb_agg(to_jsonb(agent)) from agent),
    'runtimes', (select jsonb_agg(to_jsonb(runtime)) from agent_runtime as runtime)) as contents";

impl Case<'_> {
    /// Compares the database with the board. In words, what is different.
    pub(super) async fn compare(&mut self) -> Read<()> {
        let rows = self.app.database.rows(CONTENTS).await;
        let contents: Value = rows[0].try_get("", "contents").unwrap();
        for row in list(&contents["tasks"]) {
            let no = number(&TaskId(uuid(&row["id"])), &self.ids.tasks).unwrap();
            same(
                &format!("task {no}"),
                &self.found(row),
                &expected(&self.board.tasks[no]),
            )?;
            if self.board.tasks[no].status.is_terminal() {
                let mut now = row.clone();
                now.as_object_mut()
                    .unwrap()
                    .retain(|name, _| name != "issue_id" && name != "events");
                let before = self.ended.entry(no).or_insert_with(|| now.clone());
                same(&format!("task {no} after its end"), &now, before)?;
            }
        }
        for row in list(&contents["agents"]) {
            let no = number(&AgentId(uuid(&row["id"])), &self.ids.agents).unwrap();
            let agent = &self.board.agents[no];
            let found = json!({"status": row["status"], "archived": !row["archived_at"].is_null(),
                "runtime": self.runtime(&row["runtime_id"]), "capacity": row["max_concurrent_tasks"]});
            let expected = json!({"status": agent.status, "archived": agent.archived, "runtime": agent.runtime,
                "capacity": agent.capacity});
            same(&format!("agent {no}"), &found, &expected)?;
        }
        let found: Vec<(Option<usize>, bool)> = list(&contents["runtimes"])
            .iter()
            .map(|row| (self.runtime(&row["id"]), row["status"] == "online"))
            .collect();
        for (no, runtime) in self.board.runtimes.iter().enumerate() {
            let is_there = found.contains(&(Some(no), runtime.online));
            same(
                &format!("runtime {no}"),
                &json!(is_there),
                &json!(!runtime.removed),
            )?;
        }
        Ok(())
    }

    fn runtime(&self, id: &Value) -> Option<usize> {
        number(&RuntimeId(uuid(id)), &self.ids.runtimes)
    }

    /// A task's row, in the board's terms.
    fn found(&self, row: &Value) -> Value {
        let known = |column: &str, list: &[Uuid]| {
            // What is not known is shown as it is, and is then different.
            let id = &row[column];
            if id.is_null() {
                json!(null)
            } else {
                number(&uuid(id), list).map_or(id.clone(), |no| json!(no))
            }
        };
        let tasks: Vec<Uuid> = self.ids.tasks.iter().map(|id| id.0).collect();
        let agents: Vec<Uuid> = self.ids.agents.iter().map(|id| id.0).collect();
        let runtimes: Vec<Uuid> = self.ids.runtimes.iter().map(|id| id.0).collect();
        json!({
            "agent": known("agent_id", &agents), "runtime": known("runtime_id", &runtimes),
            "issue": known("issue_id", &self.ids.issues), "chat": known("chat_session_id", &self.ids.chats),
            "autopilot": known("autopilot_run_id", &self.ids.autopilots),
            "comment": known("trigger_comment_id", &self.ids.comments),
            "status": row["status"], "priority": row["priority"],
            "token": known("claim_token", &self.ids.tokens), "lease": !row["claim_expires_at"].is_null(),
            "request": known("claim_request_id", &self.ids.requests), "deliveries": row["deliveries"],
            "attempt": row["attempt"], "max_attempts": row["max_attempts"],
            "parent": known("parent_task_id", &tasks), "reason": row["failure_reason"],
            "failed": !row["error"].is_null(), "session": row["session_id"], "work_dir": row["work_dir"],
            "fresh": row["force_fresh_session"], "dispatched": !row["dispatched_at"].is_null(),
            "started": !row["started_at"].is_null(), "ended": !row["completed_at"].is_null(), "events": row["events"],
        })
    }
}

/// Compares, and says in which fields two records differ.
fn same(of_what: &str, found: &Value, expected: &Value) -> Read<()> {
    if found == expected {
        return Ok(());
    }
    let fields = expected
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| found[name.as_str()] != **value);
    let different: Vec<String> = fields
        .map(|(name, value)| format!("{name} is {} instead of {value}", found[name.as_str()]))
        .collect();
    Err(format!(
        "{of_what}: {}{}",
        different.join(", "),
        if different.is_empty() {
            format!("{found} instead of {expected}")
        } else {
            String::new()
        }
    ))
}

/// What a task's row has to be, in the same terms.
fn expected(task: &Task) -> Value {
    json!({
        "agent": task.agent, "runtime": task.runtime,
        "issue": task.links.issue, "chat": task.links.chat,
        "autopilot": task.links.autopilot,
        "comment": task.links.comment,
        "status": task.status.to_value(), "priority": task.priority,
        "token": task.token, "lease": task.lease != Lease::None,
        "request": task.request, "deliveries": task.deliveries,
        "attempt": task.attempt, "max_attempts": task.max_attempts,
        "parent": task.parent, "reason": task.failure_reason,
        "failed": task.error.is_some(), "session": task.session, "work_dir": task.work_dir,
        "fresh": task.fresh, "dispatched": task.dispatched != Since::Never,
        "started": task.started != Since::Never, "ended": task.ended.is_some(), "events": task.events,
    })
}
