//! Failures that arrive at the same moment, as when the provider of a model is down.

use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{claim_all, put_work};
use crate::harness::{TestApp, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fails_together_is_each_told_of_their_own_next_try() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(100).await;
    put_work(&world, agent).await;
    let claims = claim_all(&world).await;
    // Everyone says it twice, as one does who has lost the first answer.
    let said_twice = claims.iter().enumerate().chain(claims.iter().enumerate());
    let failures = said_twice.map(|(nth, claim)| {
        let input = match nth % 5 {
            0 => claim.with(json!({"error": format!("of {nth}"), "failureReason": "timeout"})),
            1 => claim.with(json!({"error": format!("of {nth}"), "failureReason": "runtime_offline",
                                   "sessionId": format!("session {nth}"), "workDir": "/dir"})),
            2 => claim.with(json!({"error": format!("of {nth}")})),
            3 => json!({"taskId": claim.task_id.0, "claimToken": Uuid::new_v4(), "error": "stolen"}),
            _ => json!({"taskId": Uuid::new_v4(), "claimToken": Uuid::new_v4(), "error": "of nothing"}),
        };
        world.daemon.mutate("failTask", input)
    });
    let mut retries = Vec::new();
    for (said, answer) in join_all(failures).await.into_iter().enumerate() {
        let nth = said % claims.len();
        if nth % 5 > 2 {
            let code = answer.unwrap_err().code;
            let expected = if nth % 5 == 3 {
                "CLAIM_CONFLICT"
            } else {
                "NOT_FOUND"
            };
            assert_eq!(code, expected, "the {nth}th");
            continue;
        }
        let failed = answer.unwrap();
        assert_eq!(failed["task"]["id"], json!(claims[nth].task_id.0));
        assert_eq!(failed["task"]["error"], json!(format!("of {nth}")));
        let reason = ["timeout", "runtime_offline", "agent_error"][nth % 5];
        assert_eq!(failed["task"]["failureReason"], reason);
        let session = if nth % 5 == 1 {
            json!(format!("session {nth}"))
        } else {
            Value::Null
        };
        assert_eq!(failed["task"]["sessionId"], session);
        if !failed["retry"].is_null() {
            assert_ne!(nth % 5, 2, "an error of the agent's own is not tried again");
            assert_eq!(failed["retry"]["attempt"], 2);
            assert_eq!(failed["retry"]["sessionId"], session);
            retries.push((nth, failed["retry"]["id"].clone()));
        }
    }
    // Who says it again may be told of the next try too, but there is one.
    retries.sort_by_key(|(nth, _)| *nth);
    retries.dedup();
    let expected = (0..claims.len()).filter(|nth| nth % 5 < 2);
    assert_eq!(
        retries.iter().map(|(nth, _)| *nth).collect::<Vec<_>>(),
        expected.collect::<Vec<_>>()
    );
    let put = "select count(*) from agent_task_queue where parent_task_id is not null and status = 'queued'";
    let put = usize::try_from(app.database.count(put).await).unwrap();
    assert_eq!(put, retries.len());
}
