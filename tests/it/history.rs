//! What agents have done: counts and days.

use callboard::background::closer::{self, Left};
use serde_json::{Value, json};

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

/// What the agents' front end shows of the last 30 days, and what the tasks themselves say.
async fn shown_and_true(app: &TestApp, world: &World<'_>) -> [Value; 2] {
    let document = "query($id: UUID!) { workspace(id: $id) { agents {
        id runCount30d activity30d { day taskCount failedCount } } } }";
    let data = world
        .host
        .data(document, json!({"id": world.workspace_id.0}))
        .await;
    let sql = "select coalesce(jsonb_agg(jsonb_build_object(
                   'id', agent.id,
                   'runCount30d', (select count(*) from agent_task_queue as task
                       where task.agent_id = agent.id and task.created_at >= now() - interval '30 days'),
                   'activity30d', coalesce((select jsonb_agg(to_jsonb(days) order by days.day) from (
                       select to_char(completed_at at time zone 'utc', 'YYYY-MM-DD') || 'T00:00:00+00:00' as day,
                           count(*) as \"taskCount\", count(*) filter (where status = 'failed') as \"failedCount\"
                       from agent_task_queue as task
                       where task.agent_id = agent.id and task.completed_at >= now() - interval '30 days'
                       group by 1) as days), '[]')
               ) order by agent.created_at, agent.id), '[]')
               from agent";
    let rows = app.database.rows(sql).await;
    [
        data["workspace"]["agents"].clone(),
        rows[0].try_get_by_index(0).unwrap(),
    ]
}

/// Closes all that is past.
async fn close(app: &TestApp) {
    while closer::run_once(&app.database.pool).await.unwrap() == Left::Some {}
}

#[tokio::test]
async fn closed_time_is_counted_like_open_time_whatever_still_changes_in_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, other, runtime) = (world.agent(1).await, world.agent(1).await, world.runtime_id);
    app.database
        .execute(&format!(
            "insert into agent_task_queue (agent_id, runtime_id, status, created_at, completed_at)
             select '{agent}', '{runtime}', case when n % 3 = 0 then 'failed' else 'completed' end, at, at + interval '5 min'
             from (select n, now() - n * interval '7 hours' as at from generate_series(0, 120) as n) as past"
        ))
        .await;
    let one = "(select id from agent_task_queue where created_at < now() - interval '3 days' order by created_at desc limit 1)";
    let changes = [
        String::new(),
        format!("update agent_task_queue set status = 'failed' where id = {one}"),
        format!("update agent_task_queue set status = 'cancelled' where id = {one}"),
        format!("update agent_task_queue set completed_at = now() where id = {one}"),
        format!("update agent_task_queue set completed_at = now() - interval '9 days' where id = {one}"),
        format!("update agent_task_queue set created_at = now() - interval '5 days' where id = {one}"),
        format!("update agent_task_queue set agent_id = '{other}' where id = {one}"),
        format!("delete from agent_task_queue where id = {one}"),
        format!(
            "insert into agent_task_queue (agent_id, runtime_id, status, created_at, completed_at)
             values ('{other}', '{runtime}', 'failed', now() - interval '8 days', now() - interval '7 days'),
                 ('{other}', '{runtime}', 'completed', now() - interval '2 min', now()),
                 ('{other}', '{runtime}', 'completed', now() - interval '80 days', now() - interval '40 days')"
        ),
        format!("delete from agent where id = '{agent}'"),
    ];
    for change in changes {
        if !change.is_empty() {
            app.database.execute(&change).await;
        }
        let [shown, true_] = shown_and_true(&app, &world).await;
        assert_eq!(shown, true_, "after {change:?}");
        close(&app).await;
        let [shown, true_] = shown_and_true(&app, &world).await;
        assert_eq!(shown, true_, "closed after {change:?}");
    }
    let open = "select count(*) from agent_day_closed where until < now() - interval '5 min'";
    assert_eq!(app.database.count(open).await, 0);
}

#[tokio::test]
async fn time_is_not_closed_while_somebody_writes_in_it() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, runtime) = (world.agent(1).await, world.runtime_id);
    let insertion = format!(
        "insert into agent_task_queue (agent_id, runtime_id, status, created_at, completed_at)
         values ('{agent}', '{runtime}', 'completed', now() - interval '10 min', now() - interval '9 min')"
    );
    // The time of the test's beginning is closed by the migration; it has to be past.
    app.database
        .execute("update agent_day_closed set until = now() - interval '1 hour'")
        .await;
    let until = "select extract(epoch from until)::bigint from agent_day_closed";
    let before = app.database.count(until).await;
    let early = app.database.hold("select 1").await;
    let writer = app.database.hold(&insertion).await;
    assert!(closer::run_once(&app.database.pool).await.is_err());
    assert_eq!(app.database.count(until).await, before);
    writer.commit().await;
    close(&app).await;
    assert!(app.database.count(until).await > before);
    // Who began before the closing and writes after it is counted too.
    early.execute(&insertion).await;
    early.commit().await;
    let [shown, true_] = shown_and_true(&app, &world).await;
    assert_eq!(shown, true_);
    assert_eq!(shown[0]["runCount30d"], 2);
}
