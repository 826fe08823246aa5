//! What agents have done: counts and days.

use serde_json::json;

use crate::harness::{TestApp, World};

#[tokio::test]
async fn runs_and_days_count_what_falls_into_the_last_30_days() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, other) = (world.agent(1).await, world.agent(1).await);
    // Two on one UTC day, either side of another zone's midnight; one a day later; one too old; one cancelled.
    let runtime = world.runtime_id;
    app.database
        .execute(&format!(
            "set timezone = 'Pacific/Kiritimati';
             insert into agent_task_queue (agent_id, runtime_id, status, created_at, completed_at) select
                '{agent}', '{runtime}', status, at, at
             from (values
                ('completed', date_trunc('day', now(), 'UTC') - interval '5 days' + interval '1 hour'),
                ('failed', date_trunc('day', now(), 'UTC') - interval '5 days' + interval '23 hours'),
                ('cancelled', date_trunc('day', now(), 'UTC') - interval '4 days' + interval '1 second'),
                ('completed', now() - interval '30 days' - interval '1 minute')
             ) as past (status, at)"
        ))
        .await;
    let queued = world.enqueue(agent, json!({})).await;
    let document = "query($id: UUID!) { workspace(id: $id) { agents {
        id runCount30d runningTaskCount activity30d { day taskCount failedCount } } } }";
    let data = world
        .host
        .data(document, json!({"id": world.workspace_id.0}))
        .await;
    let agents = data["workspace"]["agents"].as_array().unwrap();
    assert_eq!(agents[0]["runCount30d"], 4);
    let days = agents[0]["activity30d"].as_array().unwrap();
    assert_eq!(
        (&days[0]["taskCount"], &days[0]["failedCount"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        (&days[1]["taskCount"], &days[1]["failedCount"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(days.len(), 2);
    assert!(days[0]["day"].as_str().unwrap().contains("T00:00:00"));
    assert_eq!(
        agents[1],
        json!({"id": other.0, "runCount30d": 0, "runningTaskCount": 0, "activity30d": []})
    );
    world
        .host
        .mutate("cancelTask", json!({"taskId": queued.0}))
        .await
        .unwrap();
}
