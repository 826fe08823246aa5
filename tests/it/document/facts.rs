//! Rows and answers in one form, in which those of two databases can be compared: ids by what they name, times by
//! whether they are there.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;
use uuid::Uuid;

use super::statement::Row;

/// What is known of a row, by column.
pub(super) type Facts = BTreeMap<&'static str, String>;

/// What stands for null.
pub(super) const NOTHING: &str = "-";

/// What sort of thing a column has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sort {
    /// Something that has a name on each side.
    Id,
    /// A text, a number, a flag.
    Plain,
    /// A word that the API writes in capitals.
    Word,
    /// JSON.
    Json,
    /// Something of which only is compared whether it is there.
    Presence,
}

/// A column, where the API has it, and its sort. Where the API does not show it there is no pointer.
type Known = (&'static str, &'static str, Sort);

/// What both know of a task.
pub(super) const TASK: [Known; 29] = [
    ("id", "/id", Sort::Id),
    ("workspace_id", "", Sort::Id),
    ("agent_id", "/agentId", Sort::Id),
    ("runtime_id", "/runtimeId", Sort::Id),
    ("issue_id", "/issueId", Sort::Id),
    ("chat_session_id", "/chatSessionId", Sort::Id),
    ("autopilot_run_id", "/autopilotRunId", Sort::Id),
    ("trigger_comment_id", "/triggerCommentId", Sort::Id),
    ("trigger_summary", "/triggerSummary", Sort::Plain),
    ("parent_task_id", "/parentTask/id", Sort::Id),
    ("status", "/status", Sort::Word),
    ("priority", "/priority", Sort::Plain),
    ("attempt", "/attempt", Sort::Plain),
    ("max_attempts", "/maxAttempts", Sort::Plain),
    ("context", "/context", Sort::Json),
    ("result", "/result", Sort::Json),
    ("error", "/error", Sort::Plain),
    ("failure_reason", "/failureReason", Sort::Plain),
    ("session_id", "/sessionId", Sort::Plain),
    ("work_dir", "/workDir", Sort::Plain),
    ("force_fresh_session", "/forceFreshSession", Sort::Plain),
    ("is_leader_task", "/isLeaderTask", Sort::Plain),
    ("created_at", "/createdAt", Sort::Presence),
    ("dispatched_at", "/dispatchedAt", Sort::Presence),
    ("started_at", "/startedAt", Sort::Presence),
    ("completed_at", "/completedAt", Sort::Presence),
    ("claim_expires_at", "/claimExpiresAt", Sort::Presence),
    ("claim_token", "", Sort::Presence),
    ("progress_at", "/progress/at", Sort::Presence),
];

/// What both know of an agent.
pub(super) const AGENT: [Known; 19] = [
    ("id", "/id", Sort::Id),
    ("workspace_id", "", Sort::Id),
    ("name", "/name", Sort::Plain),
    ("description", "/description", Sort::Plain),
    ("avatar_url", "/avatarUrl", Sort::Plain),
    ("runtime_mode", "/runtimeMode", Sort::Word),
    ("runtime_config", "/runtimeConfig", Sort::Json),
    ("runtime_id", "/runtime/id", Sort::Id),
    ("visibility", "/visibility", Sort::Word),
    ("status", "/status", Sort::Word),
    ("max_concurrent_tasks", "/maxConcurrentTasks", Sort::Plain),
    ("owner_id", "/ownerId", Sort::Plain),
    ("instructions", "/instructions", Sort::Plain),
    ("custom_env", "", Sort::Json),
    ("custom_args", "/customArgs", Sort::Json),
    ("mcp_config", "", Sort::Json),
    ("model", "/model", Sort::Plain),
    ("archived_at", "/archivedAt", Sort::Presence),
    ("archived_by", "/archivedBy", Sort::Plain),
];

/// What each side calls the things that both have.
#[derive(Debug, Default)]
pub(super) struct Names {
    ids: BTreeMap<String, Uuid>,
    names: BTreeMap<Uuid, String>,
}

impl Names {
    /// Names something.
    pub(super) fn give(&mut self, name: &str, id: Uuid) {
        self.ids.insert(name.to_owned(), id);
        self.names.insert(id, name.to_owned());
    }

    /// What has a name.
    pub(super) fn id(&self, name: &str) -> Uuid {
        *self
            .ids
            .get(name)
            .unwrap_or_else(|| panic!("nothing is called {name}"))
    }

    /// The name of something; its id where it has none.
    pub(super) fn name(&self, id: Uuid) -> String {
        let name = self.names.get(&id).cloned();
        name.unwrap_or_else(|| id.to_string())
    }

    /// Whether something has a name.
    pub(super) fn knows(&self, id: Uuid) -> bool {
        self.names.contains_key(&id)
    }

    /// What a row says.
    pub(super) fn row(&self, known: &[Known], row: &Row) -> Facts {
        let fact = |(column, _, sort): &Known| {
            let text = row.get(column).map(|text| match sort {
                Sort::Id => self.name(text.parse().unwrap()),
                Sort::Plain if text == "t" => "true".to_owned(),
                Sort::Plain if text == "f" => "false".to_owned(),
                Sort::Plain | Sort::Word => text.to_owned(),
                Sort::Json => serde_json::from_str::<Value>(text).unwrap().to_string(),
                Sort::Presence => "there".to_owned(),
            });
            (*column, text.unwrap_or_else(|| NOTHING.to_owned()))
        };
        known.iter().map(fact).collect()
    }

    /// What the API says; what it does not show is left out.
    pub(super) fn answer(&self, known: &[Known], answer: &Value) -> Facts {
        let shown = known.iter().filter(|(_, pointer, _)| !pointer.is_empty());
        shown
            .map(|(column, pointer, sort)| {
                let value = answer.pointer(pointer).unwrap_or(&Value::Null);
                let text = match (sort, value) {
                    (_, Value::Null) => NOTHING.to_owned(),
                    (Sort::Id, _) => self.name(value.as_str().unwrap().parse().unwrap()),
                    (Sort::Word, _) => value.as_str().unwrap().to_lowercase(),
                    (Sort::Presence, _) => "there".to_owned(),
                    (Sort::Plain, Value::String(text)) => text.clone(),
                    (Sort::Plain | Sort::Json, _) => value.to_string(),
                };
                (*column, text)
            })
            .collect()
    }
}

/// Takes out of facts what the API does not show.
pub(super) fn shown(known: &[Known], facts: &Facts) -> Facts {
    let hidden: Vec<&str> = known
        .iter()
        .filter(|(_, pointer, _)| pointer.is_empty())
        .map(|(column, ..)| *column)
        .collect();
    let shown = facts.iter().filter(|(column, _)| !hidden.contains(column));
    shown
        .map(|(column, fact)| (*column, fact.clone()))
        .collect()
}

/// What differs between two lists of facts, in words; nothing where nothing does.
pub(super) fn compare(what: &str, api: &[Facts], queries: &[Facts]) -> Result<(), String> {
    let mut text = String::new();
    if api.len() != queries.len() {
        writeln!(
            text,
            "{what}: {} by the API, {} by the queries",
            api.len(),
            queries.len()
        )
        .unwrap();
    }
    for (api, queries) in api.iter().zip(queries) {
        for (column, by_queries) in queries {
            let by_api = api.get(column).map_or("absent", String::as_str);
            if by_api != by_queries {
                let id = &queries["id"];
                writeln!(
                    text,
                    "{what} {id}: {column} is {by_api} by the API, {by_queries} by the queries"
                )
                .unwrap();
            }
        }
    }
    if text.is_empty() { Ok(()) } else { Err(text) }
}
