-- Which queued task an agent may be given next. This is the one place where the rule stands: the claim uses
-- it, and so does whatever explains to people why a task waits.

-- Whether a waiting task may not run beside an active one of the same agent: the same issue, the same chat
-- session, or both without an issue, chat session and autopilot run. Autopilot runs are not serialised.
create function task_serialised_with(waiting agent_task_queue, active agent_task_queue) returns boolean
language sql immutable parallel safe
as $$
    select coalesce(waiting.issue_id = active.issue_id, false)
        or coalesce(waiting.chat_session_id = active.chat_session_id, false)
        or (waiting.issue_id is null and waiting.chat_session_id is null and waiting.autopilot_run_id is null
            and active.issue_id is null and active.chat_session_id is null and active.autopilot_run_id is null)
$$;

-- The agent's next claimable task on the runtime: highest priority, then oldest. Null while the agent is
-- archived or at capacity, or everything that waits is serialised behind what it works on.
--
-- Whoever claims must have locked the agent's row in an earlier statement, or two claims could each see a
-- state without the other's.
create function task_next_claimable(p_runtime_id uuid, p_agent_id uuid) returns agent_task_queue
language plpgsql stable
as $$
declare
    capacity integer;
    active agent_task_queue[];
    candidate agent_task_queue;
begin
    select max_concurrent_tasks into capacity from agent where id = p_agent_id and archived_at is null;
    if capacity is null then
        return null;
    end if;
    -- Never more than the agent's capacity, so they are read once and compared in memory. A NOT EXISTS in the
    -- search below is at the mercy of the statistics: taken while nothing was active, they led to a plan that
    -- was twenty times slower.
    active := array(
        select task from agent_task_queue as task
        where task.agent_id = p_agent_id and task.status in ('dispatched', 'running'));
    if cardinality(active) >= capacity then
        return null;
    end if;
    select task.* into candidate
    from agent_task_queue as task
    where task.runtime_id = p_runtime_id
        and task.agent_id = p_agent_id
        and task.status = 'queued'
        and not exists (select from unnest(active) as a where task_serialised_with(task, a))
    order by task.priority desc, task.created_at, task.id
    limit 1;
    return candidate;
end
$$;

-- The agents with queued tasks on the runtime, by one look at the index for each of them however many tasks
-- they have.
create function task_agents_waiting(p_runtime_id uuid) returns setof uuid
language sql stable
as $$
    with recursive waiting (agent_id) as (
        (select agent_id from agent_task_queue
         where runtime_id = p_runtime_id and status = 'queued'
         order by agent_id limit 1)
        union all
        select (select task.agent_id from agent_task_queue as task
                where task.runtime_id = p_runtime_id and task.status = 'queued'
                    and task.agent_id > waiting.agent_id
                order by task.agent_id limit 1)
        from waiting where waiting.agent_id is not null
    )
    select agent_id from waiting where agent_id is not null
$$;
