//! Statements are counted, on the line to the database: no read asks once more for each row that it finds, and what a
//! task's life costs is known.

mod life;
mod scene;

use serde_json::Value;

use scene::Scene;

/// Reads that front ends make all the time. Each asks for a thing of one sort at one depth only: whether two depths meet
/// in one batch is a matter of time.
const READS: [(&str, &str); 12] = [
    (
        "workspace agents",
        "query($workspace: UUID!) { workspace(id: $workspace) { agents(includeArchived: true) {
            id name status runtime { id status } presence { availability workload agent { id } }
            runningTaskCount runCount30d activity30d { day taskCount } } } }",
    ),
    (
        "workspace tasks and what they refer to",
        "query($workspace: UUID!) { workspace(id: $workspace) { tasks(first: 200) {
            nodes { id status agent { id name } parentTask { id } usage { model } waiting { position blockedBy { reason task { id } } } }
            pageInfo { hasNextPage } } } }",
    ),
    (
        "workspace tasks with their events",
        "query($workspace: UUID!) { workspace(id: $workspace) { tasks(first: 50) {
            nodes { id events { cursor kind task { id } } } } } }",
    ),
    (
        "workspace tasks with their messages",
        "query($workspace: UUID!) { workspace(id: $workspace) { tasks(first: 50) {
            nodes { id messages { seq content } } } } }",
    ),
    (
        "snapshot",
        "query($workspace: UUID!) { workspace(id: $workspace) { snapshot { cursor
            activeTasks { id agent { id } waiting { position } } latestOutcomes { id agent { id } }
            presence { agent { id name } availability workload } } } }",
    ),
    (
        "runtime with its agents",
        "query($runtime: UUID!) { runtime(id: $runtime) { agents { id presence { workload } } } }",
    ),
    (
        "runtime with what is pending",
        "query($runtime: UUID!) { runtime(id: $runtime) {
            pendingTasks { id agent { id runtime { id } } waiting { position } } } }",
    ),
    (
        "runtime with its candidates",
        "query($runtime: UUID!) { runtime(id: $runtime) { claimCandidates {
            claimable blockedBy { reason task { id } } task { id agent { id } } } } }",
    ),
    (
        "workspace runtimes with their agents",
        "query($workspace: UUID!) { workspace(id: $workspace) { runtimes {
            id status agents { id } pendingTasks { id } claimCandidates { claimable } } } }",
    ),
    (
        "workspace agents with their tasks",
        "query($workspace: UUID!) { workspace(id: $workspace) { agents { id tasks(first: 5) { nodes { id } } } } }",
    ),
    (
        "issue with its active tasks",
        "query($issue: UUID!) { issue(id: $issue) { hasActiveTask hasPendingTask
            activeTasks { id agent { id presence { workload } } } } }",
    ),
    (
        "issue with its tasks",
        "query($issue: UUID!) { issue(id: $issue) {
            tasks { nodes { id agent { id } parentTask { id } usage { model } } } } }",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_asks_once_more_for_each_row() {
    let few = Scene::set(2).await;
    let many = Scene::set(40).await;
    let mut faults = Vec::new();
    for (name, document) in READS {
        let of_few = few.least(&few.host, document).await;
        let of_many = many.least(&many.host, document).await;
        if of_few.len() != of_many.len() {
            faults.push(format!(
                "{name}: {} statements with 2, {} with 40: {:#?}",
                of_few.len(),
                of_many.len(),
                repeated(&of_many)
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Statements that were executed more than once, and how often.
fn repeated(statements: &[String]) -> Vec<(usize, String)> {
    let mut distinct = statements.to_vec();
    distinct.sort();
    distinct.dedup();
    let count = |sql: &String| statements.iter().filter(|other| *other == sql).count();
    let counted = distinct
        .into_iter()
        .map(|sql| (count(&sql), sql.chars().take(120).collect()));
    counted.filter(|(count, _)| *count > 1).collect()
}

/// The variables that a document declares, of all there are.
fn declared(document: &str, all: &Value) -> Value {
    let all = all.as_object().unwrap().iter();
    let declared = all.filter(|(name, _)| document.contains(&format!("${name}:")));
    declared
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
