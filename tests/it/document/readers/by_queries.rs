//! The readers of the document.

use super::super::side::Side;
use super::super::statement::{Argument, Row, some};
use super::{AGENTS, ISSUES, RUNTIMES, Readings};

/// Runs all of them.
pub(super) async fn read(side: &mut Side) -> Readings {
    let mut readings = Readings::new();
    of_workspace(side, &mut readings).await;
    for runtime in RUNTIMES {
        let id = [side.argument(runtime)];
        for name in [
            "ListPendingTasksByRuntime",
            "ListQueuedClaimCandidatesByRuntime",
        ] {
            let rows = side.session.run(name, &id).await;
            readings.insert(format!("{name} {runtime}"), ids(side, &rows));
        }
    }
    for agent in AGENTS {
        let id = [side.argument(agent)];
        let rows = side.session.run("ListAgentTasks", &id).await;
        readings.insert(format!("ListAgentTasks {agent}"), ids(side, &rows));
        let rows = side.session.run("CountRunningTasks", &id).await;
        readings.insert(
            format!("CountRunningTasks {agent}"),
            texts(&rows, &["count"]),
        );
        let given = [id[0].clone(), some(side.workspace)];
        let rows = side.session.run("GetAgentInWorkspace", &given).await;
        readings.insert(format!("GetAgentInWorkspace {agent}"), ids(side, &rows));
    }
    for issue in ISSUES {
        of_issue(side, issue, &mut readings).await;
    }
    readings
}

async fn of_workspace(side: &mut Side, readings: &mut Readings) {
    let id = [some(side.workspace)];
    for name in ["ListAgents", "ListAllAgents"] {
        let rows = side.session.run(name, &id).await;
        readings.insert(name.to_owned(), ids(side, &rows));
    }
    let rows = side
        .session
        .run("ListWorkspaceAgentTaskSnapshot", &id)
        .await;
    // No order is promised.
    let mut snapshot = ids(side, &rows);
    snapshot.sort();
    readings.insert("ListWorkspaceAgentTaskSnapshot".to_owned(), snapshot);
    let counts = side.session.run("GetWorkspaceAgentRunCounts", &id).await;
    let days = side.session.run("GetWorkspaceAgentActivity30d", &id).await;
    for agent in AGENTS {
        let agent_id = side.names.id(agent);
        let of_agent = |rows: &[Row]| -> Vec<Row> {
            rows.iter()
                .filter(|row| row.id("agent_id") == agent_id)
                .cloned()
                .collect()
        };
        readings.insert(
            format!("GetWorkspaceAgentRunCounts {agent}"),
            texts(&of_agent(&counts), &["run_count"]),
        );
        readings.insert(
            format!("GetWorkspaceAgentActivity30d {agent}"),
            texts(&of_agent(&days), &["bucket", "task_count", "failed_count"]),
        );
    }
}

async fn of_issue(side: &mut Side, issue: &str, readings: &mut Readings) {
    let id = [side.argument(issue)];
    for name in ["ListTasksByIssue", "ListActiveTasksByIssue"] {
        let rows = side.session.run(name, &id).await;
        readings.insert(format!("{name} {issue}"), ids(side, &rows));
    }
    for (name, column) in [
        ("HasActiveTaskForIssue", "has_active"),
        ("HasPendingTaskForIssue", "has_pending"),
    ] {
        let rows = side.session.run(name, &id).await;
        readings.insert(format!("{name} {issue}"), texts(&rows, &[column]));
    }
    for agent in AGENTS {
        let agent_id: Argument = side.argument(agent);
        let pair = [id[0].clone(), agent_id.clone()];
        for (name, column) in [
            ("HasPendingTaskForIssueAndAgent", "has_pending"),
            ("GetLatestTaskIsLeaderForIssueAndAgent", "is_leader_task"),
        ] {
            let rows = side.session.run(name, &pair).await;
            readings.insert(format!("{name} {issue} {agent}"), texts(&rows, &[column]));
        }
        let rows = side
            .session
            .run("GetLastTaskSession", &[agent_id, id[0].clone()])
            .await;
        let session = rows.iter().map(|row| {
            let runtime = side.names.name(row.id("runtime_id"));
            format!(
                "{} {:?} {runtime}",
                row.text("session_id"),
                row.get("work_dir")
            )
        });
        readings.insert(
            format!("GetLastTaskSession {issue} {agent}"),
            session.collect(),
        );
    }
}

fn ids(side: &Side, rows: &[Row]) -> Vec<String> {
    rows.iter()
        .map(|row| side.names.name(row.id("id")))
        .collect()
}

fn texts(rows: &[Row], columns: &[&str]) -> Vec<String> {
    let text = |row: &Row| {
        let texts: Vec<&str> = columns
            .iter()
            .map(|column| row.get(column).unwrap_or("-"))
            .collect();
        texts.join(" ")
    };
    rows.iter().map(text).collect()
}
