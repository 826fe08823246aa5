//! The fields of the API that answer the same questions.

use std::fmt::Write;

use serde_json::{Value, json};

use super::super::facts::Names;
use super::{AGENTS, ISSUES, RUNTIMES, Readings};
use crate::harness::{World, uuid};

/// What is asked of a workspace.
const WORKSPACE: &str = "query($id: UUID!) { workspace(id: $id) {
    agents { id }
    all: agents(includeArchived: true) {
        id runningTaskCount runCount30d activity30d { day taskCount failedCount } tasks(first: 200) { nodes { id } } }
    runtimes { id pendingTasks { id } claimCandidates { task { id } } }
    snapshot { activeTasks { id } latestOutcomes { id } } } }";

/// Asks all of it.
pub(super) async fn read(world: &World<'_>, names: &Names) -> Readings {
    let id = json!({"id": world.workspace_id.0});
    let data = world.host.data(WORKSPACE, id).await;
    let mut readings = Readings::new();
    of_workspace(&data["workspace"], names, &mut readings);
    let data = world.host.data(&issues(names), json!({})).await;
    for issue in ISSUES {
        of_issue(issue, &data, names, &mut readings);
    }
    readings
}

fn of_workspace(workspace: &Value, names: &Names, readings: &mut Readings) {
    readings.insert("ListAgents".to_owned(), ids(names, &workspace["agents"]));
    readings.insert("ListAllAgents".to_owned(), ids(names, &workspace["all"]));
    let mut snapshot = ids(names, &workspace["snapshot"]["activeTasks"]);
    snapshot.extend(ids(names, &workspace["snapshot"]["latestOutcomes"]));
    snapshot.sort();
    readings.insert("ListWorkspaceAgentTaskSnapshot".to_owned(), snapshot);
    for agent in AGENTS {
        let it = found(names, &workspace["all"], agent);
        let activity = it["activity30d"].as_array().unwrap().iter().map(|bucket| {
            let day = bucket["day"]
                .as_str()
                .unwrap()
                .replace('T', " ")
                .replace('Z', "+00")
                .replace("+00:00", "+00");
            format!("{day} {} {}", bucket["taskCount"], bucket["failedCount"])
        });
        // An agent without any has no row.
        let runs = it["runCount30d"].as_i64().filter(|runs| *runs > 0);
        for (name, says) in [
            ("ListAgentTasks", ids(names, &it["tasks"]["nodes"])),
            (
                "CountRunningTasks",
                vec![it["runningTaskCount"].to_string()],
            ),
            (
                "GetWorkspaceAgentRunCounts",
                runs.iter().map(ToString::to_string).collect(),
            ),
            ("GetWorkspaceAgentActivity30d", activity.collect()),
            ("GetAgentInWorkspace", vec![agent.to_owned()]),
        ] {
            readings.insert(format!("{name} {agent}"), says);
        }
    }
    for runtime in RUNTIMES {
        let it = found(names, &workspace["runtimes"], runtime);
        let candidates: Value = it["claimCandidates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|candidate| candidate["task"].clone())
            .collect();
        readings.insert(
            format!("ListPendingTasksByRuntime {runtime}"),
            ids(names, &it["pendingTasks"]),
        );
        readings.insert(
            format!("ListQueuedClaimCandidatesByRuntime {runtime}"),
            ids(names, &candidates),
        );
    }
}

/// The document that asks about every issue and, of each, about every agent.
fn issues(names: &Names) -> String {
    let mut document = String::from("{");
    for issue in ISSUES {
        let (id, alias) = (names.id(issue), alias(issue));
        write!(
            document,
            "{alias}: issue(id: \"{id}\") {{
                activeTasks {{ id }} tasks(first: 100) {{ nodes {{ id }} }} hasActiveTask hasPendingTask"
        )
        .unwrap();
        for agent in AGENTS {
            let (given, alias) = (
                format!("(agentId: \"{}\")", names.id(agent)),
                self::alias(agent),
            );
            write!(
                document,
                " {alias}_pending: hasPendingTask{given} {alias}_leader: latestTaskIsLeader{given}
                 {alias}_session: lastSession{given} {{ sessionId workDir runtimeId }}"
            )
            .unwrap();
        }
        document.push('}');
    }
    document.push('}');
    document
}

fn of_issue(issue: &str, data: &Value, names: &Names, readings: &mut Readings) {
    let it = &data[alias(issue)];
    // An issue that no task names is none to the API.
    let flag = |value: &Value| vec![if value == &json!(true) { "t" } else { "f" }.to_owned()];
    for (name, says) in [
        ("ListTasksByIssue", ids(names, &it["tasks"]["nodes"])),
        ("ListActiveTasksByIssue", ids(names, &it["activeTasks"])),
        ("HasActiveTaskForIssue", flag(&it["hasActiveTask"])),
        ("HasPendingTaskForIssue", flag(&it["hasPendingTask"])),
    ] {
        readings.insert(format!("{name} {issue}"), says);
    }
    for agent in AGENTS {
        let of_agent = |field: &str| &it[format!("{}_{field}", alias(agent))];
        let leader = of_agent("leader");
        let session = of_agent("session");
        let session = (!session.is_null()).then(|| {
            let runtime = names.name(uuid(&session["runtimeId"]));
            format!(
                "{} {:?} {runtime}",
                session["sessionId"].as_str().unwrap(),
                session["workDir"].as_str()
            )
        });
        for (name, says) in [
            ("HasPendingTaskForIssueAndAgent", flag(of_agent("pending"))),
            (
                "GetLatestTaskIsLeaderForIssueAndAgent",
                if leader.is_null() {
                    Vec::new()
                } else {
                    flag(leader)
                },
            ),
            ("GetLastTaskSession", session.into_iter().collect()),
        ] {
            readings.insert(format!("{name} {issue} {agent}"), says);
        }
    }
}

fn found<'a>(names: &Names, list: &'a Value, name: &str) -> &'a Value {
    let id = names.id(name);
    let mut items = list.as_array().unwrap().iter();
    items
        .find(|item| uuid(&item["id"]) == id)
        .unwrap_or_else(|| panic!("no {name} in {list}"))
}

fn ids(names: &Names, list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| names.name(uuid(&item["id"]))).collect()
}

/// `issue 0` as the name of a field.
fn alias(name: &str) -> String {
    name.replace(' ', "_")
}
