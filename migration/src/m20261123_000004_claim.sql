-- Which queued task an agent may be given next, and what holds back the others. This is the one place where the
-- rule stands: the claim uses it, and so does whatever explains to people why a task waits.

-- Why a waiting task may not run beside an active one of the same agent, or null where it may: the same issue, the
-- same chat session, or both without an issue, chat session and autopilot run. Autopilot runs are not serialised.
create function task_serialised_behind(waiting agent_task_queue, active agent_task_queue) returns text
language sql immutable parallel safe
as $$
    select case
        when waiting.issue_id = active.issue_id then 'same_issue_active'
        when waiting.chat_session_id = active.chat_session_id then 'same_chat_active'
        when waiting.issue_id is null and waiting.chat_session_id is null and waiting.autopilot_run_id is null
            and active.issue_id is null and active.chat_session_id is null and active.autopilot_run_id is null
            then 'quick_create_active'
    end
$$;

-- What holds back everything that waits for an agent on a runtime.
create function agent_held_back_by(p_runtime_id uuid, p_agent_id uuid) returns setof text
language sql stable
as $$
    select 'runtime_offline'
    where not exists (select from agent_runtime where id = p_runtime_id and status = 'online')
    union all
    select 'agent_archived'
    where exists (select from agent where id = p_agent_id and archived_at is not null)
    union all
    select 'agent_at_capacity'
    from agent
    where id = p_agent_id
        and max_concurrent_tasks <= (
            select count(*) from agent_task_queue
            where agent_id = p_agent_id and status in ('dispatched', 'running'))
$$;

-- What holds back a queued task, and behind which other task, where it is one.
create function task_held_back_by(waiting agent_task_queue) returns table (reason text, task_id uuid)
language sql stable
as $$
    select reason, null::uuid
    from agent_held_back_by(waiting.runtime_id, waiting.agent_id) as held (reason)
    union all
    select task_serialised_behind(waiting, active), active.id
    from agent_task_queue as active
    where active.agent_id = waiting.agent_id
        and active.status in ('dispatched', 'running')
        and task_serialised_behind(waiting, active) is not null
$$;

-- The lines in which an agent's tasks wait on a runtime. Tasks of one chat session wait for one another, as do those
-- without any link; of an issue there is never more than one.
create index agent_task_queue_line_of_chat
    on agent_task_queue (runtime_id, agent_id, chat_session_id, priority desc, created_at, id)
    where status = 'queued' and chat_session_id is not null;
create index agent_task_queue_line_without_link
    on agent_task_queue (runtime_id, agent_id, priority desc, created_at, id)
    where status = 'queued' and chat_session_id is null and issue_id is null and autopilot_run_id is null;
create index agent_task_queue_line_of_others
    on agent_task_queue (runtime_id, agent_id, priority desc, created_at, id)
    where status = 'queued' and chat_session_id is null and (issue_id is not null or autopilot_run_id is not null);
-- The order of the whole runtime, for whoever asks about a place in it.
create index agent_task_queue_line_of_runtime
    on agent_task_queue (runtime_id, priority desc, created_at, id) where status = 'queued';

-- The agent's next claimable task on the runtime: highest priority, then oldest. Null while something holds back all
-- that waits.
--
-- Whoever claims must have locked the agent's row in an earlier statement, or two claims could each see a state
-- without the other's.
create function task_next_claimable(p_runtime_id uuid, p_agent_id uuid) returns agent_task_queue
language plpgsql stable
as $$
declare
    looked_at constant integer := 32;
    active agent_task_queue[];
    line agent_task_queue[];
    candidate agent_task_queue;
begin
    if exists (select from agent_held_back_by(p_runtime_id, p_agent_id)) then
        return null;
    end if;
    -- Never more than the agent's capacity, so they are read once and compared in memory. A NOT EXISTS in the
    -- searches below is at the mercy of the statistics: taken while nothing was active, they led to a plan that was
    -- twenty times slower.
    active := array(
        select task from agent_task_queue as task
        where task.agent_id = p_agent_id and task.status in ('dispatched', 'running'));

    -- Nearly always one of the first may run.
    line := array(
        select task from agent_task_queue as task
        where task.runtime_id = p_runtime_id and task.agent_id = p_agent_id and task.status = 'queued'
        order by task.priority desc, task.created_at, task.id
        limit looked_at);
    foreach candidate in array line loop
        if not exists (
            select from unnest(active) as a where task_serialised_behind(candidate, a) is not null
        ) then
            return candidate;
        end if;
    end loop;
    if cardinality(line) < looked_at then
        return null;
    end if;

    -- Behind them there may be a hundred thousand more that wait for the same thing. So one is looked for in each
    -- line: of a chat session that is free, of the tasks without a link if none of these is active, and of the others,
    -- where no more can be held back than are active.
    with recursive chat (id) as (
        (select task.chat_session_id from agent_task_queue as task
         where task.runtime_id = p_runtime_id and task.agent_id = p_agent_id and task.status = 'queued'
             and task.chat_session_id is not null
         order by task.chat_session_id limit 1)
        union all
        select (select task.chat_session_id from agent_task_queue as task
                where task.runtime_id = p_runtime_id and task.agent_id = p_agent_id and task.status = 'queued'
                    and task.chat_session_id is not null and task.chat_session_id > chat.id
                order by task.chat_session_id limit 1)
        from chat where chat.id is not null
    ),
    -- MATERIALIZED, or a line may be searched to its end before it is known that it is held back.
    free_chat as materialized (
        select id from chat
        where id is not null and not exists (select from unnest(active) as a where a.chat_session_id = chat.id)
    ),
    head as (
        select first.task from free_chat
        cross join lateral (
            select task from agent_task_queue as task
            where task.runtime_id = p_runtime_id and task.agent_id = p_agent_id and task.status = 'queued'
                and task.chat_session_id = free_chat.id
                and not exists (
                    select from unnest(active) as a where task_serialised_behind(task, a) is not null)
            order by task.priority desc, task.created_at, task.id
            limit 1
        ) as first
        union all
        (select task from agent_task_queue as task
         where task.runtime_id = p_runtime_id and task.agent_id = p_agent_id and task.status = 'queued'
             and task.chat_session_id is null and task.issue_id is null and task.autopilot_run_id is null
             and not exists (
                 select from unnest(active) as a
                 where a.chat_session_id is null and a.issue_id is null and a.autopilot_run_id is null)
         order by task.priority desc, task.created_at, task.id
         limit 1)
        union all
        (select task from agent_task_queue as task
         where task.runtime_id = p_runtime_id and task.agent_id = p_agent_id and task.status = 'queued'
             and task.chat_session_id is null and (task.issue_id is not null or task.autopilot_run_id is not null)
             and not exists (
                 select from unnest(active) as a where task_serialised_behind(task, a) is not null)
         order by task.priority desc, task.created_at, task.id
         limit 1)
    )
    select (head.task).* into candidate
    from head
    order by (head.task).priority desc, (head.task).created_at, (head.task).id
    limit 1;
    return candidate;
end
$$;

-- The agents with queued tasks on the runtime, by one look at the index for each of them however many tasks they
-- have, and where the first of each stands in the order of claiming.
create function task_agents_waiting(p_runtime_id uuid)
    returns table (agent_id uuid, priority integer, created_at timestamptz, task_id uuid)
language sql stable
as $$
    with recursive waiting (agent_id) as (
        (select task.agent_id from agent_task_queue as task
         where task.runtime_id = p_runtime_id and task.status = 'queued'
         order by task.agent_id limit 1)
        union all
        select (select task.agent_id from agent_task_queue as task
                where task.runtime_id = p_runtime_id and task.status = 'queued'
                    and task.agent_id > waiting.agent_id
                order by task.agent_id limit 1)
        from waiting where waiting.agent_id is not null
    )
    select waiting.agent_id, first.priority, first.created_at, first.id
    from waiting
    cross join lateral (
        select task.priority, task.created_at, task.id from agent_task_queue as task
        where task.runtime_id = p_runtime_id and task.agent_id = waiting.agent_id and task.status = 'queued'
        order by task.priority desc, task.created_at, task.id
        limit 1
    ) as first
    where waiting.agent_id is not null
$$;

-- The agents that would be given the next `p_max` tasks of the runtimes, best first; of one agent alone where one is
-- named, and without those that are passed over. Nothing is locked.
--
-- An agent's next task is no better than the first in its line, so the agents are asked in the order of these, and no
-- further than until enough are known that nobody left can surpass.
create function task_agents_to_claim(
    p_runtime_ids uuid[], p_only_agent_id uuid, p_passed_over uuid[], p_max integer
) returns setof uuid
language plpgsql stable
as $$
declare
    waiting record;
    next agent_task_queue;
    found agent_task_queue[] := '{}';
    worst agent_task_queue;
begin
    for waiting in
        select runtime.id as runtime_id, first.*
        from unnest(p_runtime_ids) as runtime (id)
        cross join lateral task_agents_waiting(runtime.id) as first
        where (p_only_agent_id is null or first.agent_id = p_only_agent_id)
            and first.agent_id <> all (p_passed_over)
        order by first.priority desc, first.created_at, first.task_id
    loop
        if cardinality(found) >= p_max then
            -- One task counts for each agent, though it may wait on several of the runtimes: its second may be held back
            -- by its first. As long as there are too few agents, there is no worst, and the search goes on.
            select best.* into worst
            from (
                select distinct on (t.agent_id) t.* from unnest(found) as t
                order by t.agent_id, t.priority desc, t.created_at, t.id
            ) as best
            order by best.priority desc, best.created_at, best.id
            offset p_max - 1 limit 1;
            exit when (-worst.priority, worst.created_at, worst.id)
                < (-waiting.priority, waiting.created_at, waiting.task_id);
        end if;
        next := task_next_claimable(waiting.runtime_id, waiting.agent_id);
        if next.id is not null then
            found := found || next;
        end if;
    end loop;
    return query
        select best.agent_id
        from (
            select distinct on (t.agent_id) t.agent_id, t.priority, t.created_at, t.id
            from unnest(found) as t
            order by t.agent_id, t.priority desc, t.created_at, t.id
        ) as best
        order by best.priority desc, best.created_at, best.id
        limit p_max;
end
$$;
