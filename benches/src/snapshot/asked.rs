//! What is asked of each side: the same rows, with as much of each.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::at;
use crate::queue::pgbench::Script;

/// A question of a front end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    Snapshot,
    Banner,
}

impl Question {
    pub(super) const ALL: [Self; 2] = [Self::Snapshot, Self::Banner];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Banner => "banner",
        }
    }

    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Snapshot => {
                "what a front end asks first: the agents with their presence, the active tasks, each agent's latest outcome"
            }
            Self::Banner => "an issue's active tasks: three, in front of some twenty finished ones",
        }
    }

    /// As Callboard is asked.
    pub(super) const fn of_callboard(self) -> &'static str {
        match self {
            Self::Snapshot => {
                "query($workspace: UUID!) { workspace(id: $workspace) { snapshot {
                    cursor
                    activeTasks { id agentId runtimeId issueId status priority createdAt dispatchedAt startedAt
                        attempt triggerSummary }
                    latestOutcomes { id agentId status completedAt failureReason error }
                    presence { agentId agent { name avatarUrl status }
                        availability workload runningCount queuedCount capacity } } } }"
            }
            Self::Banner => {
                "query($issue: UUID!) { issue(id: $issue) {
                    activeTasks { id agentId runtimeId status priority createdAt dispatchedAt startedAt
                        attempt triggerSummary } } }"
            }
        }
    }

    /// As PostGraphile is asked. Presence is left to the client, which has all that it is made of.
    pub(super) const fn of_postgraphile(self) -> &'static str {
        match self {
            Self::Snapshot => {
                "query($workspace: UUID!) { workspaceByRowId(rowId: $workspace) {
                    activeTasks { nodes { rowId agentId runtimeId issueId status priority createdAt dispatchedAt startedAt
                        attempt triggerSummary } }
                    latestOutcomes { nodes { rowId agentId status completedAt failureReason error } }
                    agentsByWorkspaceId { nodes { rowId name avatarUrl status maxConcurrentTasks
                        agentRuntimeByRuntimeId { status lastSeenAt } } } } }"
            }
            Self::Banner => {
                "query($issue: UUID!) { issueActiveTasks(issueId: $issue) {
                    nodes { rowId agentId runtimeId status priority createdAt dispatchedAt startedAt
                        attempt triggerSummary } } }"
            }
        }
    }

    /// As pgbench asks Postgres: the queries that Callboard's tables were made for.
    pub(super) fn of_postgres(self, about: About) -> Script {
        let (text, define) = match self {
            Self::Snapshot => (
                include_str!("snapshot.sql"),
                format!("workspace={}", about.workspace),
            ),
            Self::Banner => (include_str!("banner.sql"), format!("issue={}", about.issue)),
        };
        Script {
            text,
            defines: vec![define],
        }
    }

    /// Where Callboard's and PostGraphile's answers have the same rows, and what their ids are called.
    const fn places(self) -> &'static [[(&'static str, &'static str); 2]] {
        match self {
            Self::Snapshot => &[
                [
                    ("/workspace/snapshot/activeTasks", "id"),
                    ("/workspaceByRowId/activeTasks/nodes", "rowId"),
                ],
                [
                    ("/workspace/snapshot/latestOutcomes", "id"),
                    ("/workspaceByRowId/latestOutcomes/nodes", "rowId"),
                ],
                [
                    ("/workspace/snapshot/presence", "agentId"),
                    ("/workspaceByRowId/agentsByWorkspaceId/nodes", "rowId"),
                ],
            ],
            Self::Banner => &[[
                ("/issue/activeTasks", "id"),
                ("/issueActiveTasks/nodes", "rowId"),
            ]],
        }
    }

    /// Makes sure that both answers are about the same rows; how many there are of each sort.
    pub(super) fn compare(
        self,
        callboard: &Value,
        postgraphile: &Value,
    ) -> anyhow::Result<Vec<usize>> {
        let same = self.places().iter().map(|[ours, theirs]| {
            let (own, other) = (ids(callboard, *ours)?, ids(postgraphile, *theirs)?);
            anyhow::ensure!(!own.is_empty(), "there is nothing at {}", ours.0);
            anyhow::ensure!(own == other, "{} and {} differ", ours.0, theirs.0);
            Ok(own.len())
        });
        same.collect()
    }
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    /// The workspace.
    pub(super) workspace: Uuid,
    /// An issue with active tasks and finished ones.
    pub(super) issue: Uuid,
}

impl About {
    /// The variables of a document.
    pub(super) fn variables(self) -> Value {
        json!({"workspace": self.workspace, "issue": self.issue})
    }
}

/// The ids of the rows at a place, each of which is there once.
fn ids(answer: &Value, (place, name): (&str, &str)) -> anyhow::Result<BTreeSet<String>> {
    let rows = at(answer, place)?.as_array().cloned().unwrap_or_default();
    let ids: BTreeSet<String> = rows
        .iter()
        .filter_map(|row| row.get(name)?.as_str().map(str::to_owned))
        .collect();
    anyhow::ensure!(ids.len() == rows.len(), "{place} has a row twice");
    Ok(ids)
}
