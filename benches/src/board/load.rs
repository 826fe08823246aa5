//! The SQL that fills a board. It goes through the triggers, as any insert does, in statements of bounded size.
//!
//! Everything is reckoned from the number of a row, so that two boards of one size are alike; only the ids are random.

use sqlx::PgConnection;

use crate::postgres::execute;

/// How many rows one statement inserts.
const BATCH: u32 = 50_000;

/// Over how many days the finished tasks are spread.
const HISTORY_DAYS: u32 = 40;

/// A workspace with runtimes, and agents dealt out over them: `agent 00001` and so on, each for six tasks at once. Their
/// ids follow from their numbers, so that a script can name them.
pub(crate) async fn agents(
    connection: &mut PgConnection,
    runtimes: u32,
    agents: u32,
) -> anyhow::Result<()> {
    let sql = format!(
        "with workspace as (
             insert into workspace (slug, name) values ('bench', 'Bench') returning id
         ), runtime as (
             insert into agent_runtime (id, workspace_id, daemon_id, name, provider, status, last_seen_at)
             select md5('runtime ' || n)::uuid, workspace.id, 'daemon ' || to_char(n, 'FM000'), 'Bench', 'claude', 'online', now()
             from workspace, generate_series(0, {runtimes} - 1) as n
             returning id, workspace_id, daemon_id
         )
         insert into agent (id, workspace_id, runtime_id, name, description, instructions, visibility, custom_env)
         select md5('agent ' || n)::uuid, runtime.workspace_id, runtime.id, 'agent ' || to_char(n, 'FM00000'), 'Works on what it is given.',
             repeat('Be careful. ', 40), 'workspace', '{{\"TOKEN\": \"secret\"}}'
         from generate_series(1, {agents}) as n
         join runtime on runtime.daemon_id = 'daemon ' || to_char(n % {runtimes}, 'FM000')"
    );
    execute(connection, sql).await
}

/// A numbered view of the agents, for the statements below.
const NUMBERED: &str =
    "(select right(name, 5)::int as number, id, workspace_id, runtime_id from agent) as agent";

/// So many finished tasks, from the oldest to the newest, over all agents alike. Of twenty, one is cancelled and two
/// failed, of these every other with a second try; most are of issues, three tasks to each.
pub(crate) async fn finished_tasks(
    connection: &mut PgConnection,
    tasks: u32,
) -> anyhow::Result<()> {
    in_batches(connection, tasks, |first, last| {
        format!(
            "insert into agent_task_queue (
                 workspace_id, agent_id, runtime_id, issue_id, chat_session_id, autopilot_run_id, status, priority,
                 created_at, dispatched_at, started_at, completed_at, claim_token, deliveries, attempt,
                 trigger_summary, result, error, failure_reason, session_id, work_dir)
             select agent.workspace_id, agent.id, agent.runtime_id,
                 case when n % 10 < 7 then md5('issue ' || n / 30)::uuid end,
                 case when n % 10 = 7 then md5('chat ' || n / 100)::uuid end,
                 case when n % 10 = 8 then md5('autopilot ' || n)::uuid end,
                 case when n % 20 = 3 then 'cancelled' when n % 20 in (5, 12) then 'failed' else 'completed' end,
                 n % 4,
                 began.at, began.at + interval '2 s', began.at + interval '3 s',
                 began.at + interval '3 s' + make_interval(secs => 20 + n % 600),
                 gen_random_uuid(), 1, case when n % 40 = 5 then 2 else 1 end,
                 'Please look into number ' || n,
                 case when n % 20 not in (3, 5, 12) then jsonb_build_object('branch', 'task-' || n) end,
                 case when n % 20 in (5, 12) then 'the command ended with status 1' end,
                 case n % 20 when 5 then 'timeout' when 12 then 'agent_error' end,
                 'session-' || n, '/home/agent/work/' || n
             from generate_series({first}, {last} - 1) as n
             cross join lateral (
                 select now() - interval '1 h' - interval '{HISTORY_DAYS} days' * (1 - n / {tasks}.0) as at
             ) as began
             cross join (select count(*) as count from agent) as agents
             -- Shifted with each turn, or what becomes of a task would follow from whose it is.
             join {NUMBERED} on agent.number = 1 + (n * 7919::bigint + n / agents.count * 13) % agents.count"
        )
    })
    .await
}

/// Inserts so many tasks by statements that are given the number of their first one, from 0, and that after their last.
async fn in_batches(
    connection: &mut PgConnection,
    tasks: u32,
    insert: impl Fn(u32, u32) -> String,
) -> anyhow::Result<()> {
    let mut first = 0;
    while first < tasks {
        let last = tasks.min(first + BATCH);
        execute(connection, insert(first, last)).await?;
        first = last;
    }
    Ok(())
}

/// Which tasks are active.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Active {
    /// How many agents, from the first, have tasks that wait.
    pub(crate) waiting_agents: u32,
    /// How many tasks wait, over these agents alike.
    pub(crate) waiting: u32,
    /// How many agents, from the last but one backwards, have one running task each. The last one has one too, of a
    /// chat session.
    pub(crate) running: u32,
}

/// Puts active tasks on the board, none older than half an hour.
pub(crate) async fn active_tasks(
    connection: &mut PgConnection,
    active: Active,
) -> anyhow::Result<()> {
    backlog(connection, active.waiting_agents, active.waiting).await?;
    let running = active.running;
    let sql = format!(
        "insert into agent_task_queue (
             workspace_id, agent_id, runtime_id, issue_id, chat_session_id, status,
             created_at, dispatched_at, started_at, claim_token, deliveries)
         select workspace_id, id, runtime_id,
             case when number < agents.count then gen_random_uuid() end,
             case when number = agents.count then md5('the busy chat')::uuid end,
             'running', now() - interval '20 min', now() - interval '19 min', now() - interval '19 min',
             gen_random_uuid(), 1
         from {NUMBERED}, (select count(*) from agent) as agents
         where number >= agents.count - {running}"
    );
    execute(connection, sql).await?;
    // As the update that began to run them would have said.
    execute(
        connection,
        "update agent set status = 'working' where id in (
             select agent_id from agent_task_queue where status in ('dispatched', 'running'))"
            .to_owned(),
    )
    .await
}

/// So many waiting tasks, each of an issue of its own, over so many agents from the first on.
pub(crate) async fn backlog(
    connection: &mut PgConnection,
    agents: u32,
    tasks: u32,
) -> anyhow::Result<()> {
    in_batches(connection, tasks, |first, last| {
        format!(
            "insert into agent_task_queue (workspace_id, agent_id, runtime_id, issue_id, created_at, trigger_summary)
             select workspace_id, id, runtime_id, gen_random_uuid(),
                 now() - interval '30 min' * (1 - n / {tasks}.0), 'Please look into number ' || n
             from generate_series({first} + 1, {last}) as n
             join {NUMBERED} on agent.number = 1 + n % {agents}"
        )
    })
    .await
}

/// Why what waits at the head of the line cannot be claimed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head {
    /// It is all of one agent, which is at its capacity.
    AtCapacity,
    /// It is all of one chat session, which is at work, of an agent that is not at its capacity.
    OfOneChat,
}

/// Puts tasks of the last agent on the board, older than all others there.
pub(crate) async fn waiting_at_the_head(
    connection: &mut PgConnection,
    head: Head,
    tasks: u32,
) -> anyhow::Result<()> {
    let (capacity, issue, chat) = match head {
        Head::AtCapacity => (1, "gen_random_uuid()", "null::uuid"),
        Head::OfOneChat => (6, "null::uuid", "md5('the busy chat')::uuid"),
    };
    let last = "name = (select max(name) from agent)";
    execute(
        connection,
        format!("update agent set max_concurrent_tasks = {capacity} where {last}"),
    )
    .await?;
    in_batches(connection, tasks, |first, after| {
        format!(
            "insert into agent_task_queue (
                 workspace_id, agent_id, runtime_id, issue_id, chat_session_id, created_at, trigger_summary)
             select workspace_id, id, runtime_id, {issue}, {chat},
                 now() - interval '70 min' + interval '30 min' * n / {tasks}.0, 'Please look into number ' || n
             from agent, generate_series({first} + 1, {after}) as n
             where {last}"
        )
    })
    .await
}

/// Loads a board that is empty with so much that it is faster to make indexes, and to count what was done on which day,
/// when all of it is there.
pub(crate) async fn in_bulk(
    connection: &mut PgConnection,
    load: impl AsyncFnOnce(&mut PgConnection) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Those that a constraint needs stay.
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index
         where indrelid = 'agent_task_queue'::regclass
             and not exists (select from pg_constraint where conindid = indexrelid)",
    )
    .fetch_all(&mut *connection)
    .await?;
    for (name, _) in &indexes {
        execute(connection, format!("drop index {name}")).await?;
    }
    // No day is closed then. They cannot be closed while the table is being vacuumed.
    let begin = "alter table agent_task_queue disable trigger agent_day_after_insert;
                 alter table agent_task_queue set (autovacuum_enabled = off);
                 update agent_day_closed set until = '-infinity'";
    execute(connection, begin.to_owned()).await?;
    load(connection).await?;
    for (_, definition) in indexes {
        execute(connection, definition).await?;
    }
    let end = "select agent_day_close('32 days');
               alter table agent_task_queue reset (autovacuum_enabled);
               alter table agent_task_queue enable trigger agent_day_after_insert";
    execute(connection, end.to_owned()).await
}

/// Leaves the database as days of autovacuum would.
pub(crate) async fn settle_down(connection: &mut PgConnection) -> anyhow::Result<()> {
    for sql in ["vacuum (analyze)", "checkpoint"] {
        execute(connection, sql.to_owned()).await?;
    }
    Ok(())
}
