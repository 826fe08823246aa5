-- What users of PostGraphile add to ask for a snapshot in one query: functions, which it shows as fields. They read by the
-- same indexes as Callboard.

create function workspace_active_tasks(workspace workspace) returns setof agent_task_queue
language sql stable
as $$
    select * from agent_task_queue as task
    where task.workspace_id = $1.id and by_index('active', task.status in ('queued', 'dispatched', 'running'))
    order by task.created_at, task.id
$$;

create function workspace_latest_outcomes(workspace workspace) returns setof agent_task_queue
language sql stable
as $$
    select latest.*
    from agent
    cross join lateral (
        select * from agent_task_queue as task
        where task.agent_id = agent.id and task.status in ('completed', 'failed')
        order by task.completed_at desc nulls last
        limit 1
    ) as latest
    where agent.workspace_id = $1.id
$$;

create function issue_active_tasks(issue_id uuid) returns setof agent_task_queue
language sql stable
as $$
    select * from agent_task_queue as task
    where task.issue_id = $1 and task.status in ('queued', 'dispatched', 'running')
    order by task.created_at desc, task.id desc
$$;
