//! What is read: every reader of the document against the fields of the API that answer the same question.

mod by_api;
mod by_queries;

use std::collections::BTreeMap;

use super::side::Side;
use crate::harness::World;

/// What each reader said, by its name and what it was asked about.
type Readings = BTreeMap<String, Vec<String>>;

/// The issues and agents of the play-off.
const ISSUES: [&str; 3] = ["issue 0", "issue 1", "issue 2"];
const AGENTS: [&str; 3] = ["agent 0", "agent 1", "agent 2"];
const RUNTIMES: [&str; 2] = ["runtime 0", "runtime 1"];

/// Compares all of them.
pub(super) async fn compare(
    world: &World<'_>,
    api: &Side,
    queries: &mut Side,
) -> Result<(), String> {
    let by_api = by_api::read(world, &api.names).await;
    let by_queries = by_queries::read(queries).await;
    let mut faults = Vec::new();
    for (reader, says) in &by_queries {
        let answer = by_api.get(reader);
        if answer != Some(says) {
            faults.push(format!(
                "{reader}: {answer:?} by the API, {says:?} by the queries"
            ));
        }
    }
    if by_api.len() != by_queries.len() {
        faults.push("the API answers other readers than the queries".to_owned());
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n"))
    }
}
