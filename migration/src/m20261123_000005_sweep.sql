-- What the sweeper looks for. Each function says once which tasks are concerned; the sweeper asks it for their agents,
-- locks these, and asks again for the tasks.

-- What is at work on a runtime that is gone, and will not be left to it any longer.
create function tasks_of_lost_runtimes(p_lost_after interval, p_limit bigint) returns setof agent_task_queue
language sql stable
as $$
    select task.*
    from agent_task_queue as task
    left join agent_runtime as runtime on runtime.id = task.runtime_id
    where task.status in ('dispatched', 'running')
        and (runtime.id is null
             or runtime.status = 'offline'
                 and (runtime.last_seen_at is null or runtime.last_seen_at < now() - p_lost_after))
    order by task.dispatched_at
    limit p_limit
$$;

-- What was dispatched and not started for too long, and what runs for too long on a runtime that is silent too: while
-- the daemon lives, it knows best whether its command still works.
create function tasks_timed_out(
    p_dispatch_timeout interval, p_running_timeout interval, p_silent_after interval, p_limit bigint
) returns setof agent_task_queue
language sql stable
as $$
    select task.*
    from agent_task_queue as task
    left join agent_runtime as runtime on runtime.id = task.runtime_id
    where task.status in ('dispatched', 'running')
        and (task.status = 'dispatched' and task.dispatched_at < now() - p_dispatch_timeout
             or task.status = 'running' and task.started_at < now() - p_running_timeout
                 and (runtime.id is null
                      or runtime.last_seen_at is null
                      or runtime.last_seen_at < now() - p_silent_after))
    order by task.dispatched_at
    limit p_limit
$$;

-- What has waited for too long, oldest first, but not what waits behind work of its own agent on a runtime that is
-- there: it will have its turn.
create index agent_task_queue_waiting_since on agent_task_queue (created_at) where status = 'queued';
create function tasks_expired_in_queue(p_ttl interval, p_limit bigint) returns setof agent_task_queue
language sql stable
as $$
    select task.*
    from agent_task_queue as task
    where task.status = 'queued'
        and task.created_at < now() - p_ttl
        and not (
            exists (select from agent_runtime as runtime
                    where runtime.id = task.runtime_id and runtime.status = 'online')
            and exists (select from agent_task_queue as active
                        where active.agent_id = task.agent_id and active.status in ('dispatched', 'running')))
    order by task.created_at
    limit p_limit
$$;

-- What an agent finished is counted by day from here.
create index agent_task_queue_finished on agent_task_queue (agent_id, completed_at) include (status)
    where completed_at is not null;
