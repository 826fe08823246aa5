-- Which queued task a runtime is given next, and what holds back the others. This is the one place where the rule stands:
-- the claim uses it, and so does whatever explains to people why a task waits. The search begins at the low-water mark,
-- and looks at the first tasks of the whole runtime before it asks each of its agents.

-- What holds back everything that waits for an agent on a runtime.
create or replace function agent_held_back_by(p_runtime_id uuid, p_agent_id uuid) returns setof text
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
            where agent_id = p_agent_id and by_index('at_work', status in ('dispatched', 'running')))
$$;

-- What holds back a queued task, and behind which other task, where it is one.
create or replace function task_held_back_by(waiting agent_task_queue) returns table (reason text, task_id uuid)
language sql stable
as $$
    select reason, null::uuid
    from agent_held_back_by(waiting.runtime_id, waiting.agent_id) as held (reason)
    union all
    select task_serialised_behind(waiting, active), active.id
    from agent_task_queue as active
    where active.agent_id = waiting.agent_id
        and by_index('at_work', active.status in ('dispatched', 'running'))
        and task_serialised_behind(waiting, active) is not null
$$;

-- The agent's next claimable task on the runtime: highest priority, then oldest. Null while something holds back all
-- that waits.
--
-- Whoever claims must have locked the agent's row in an earlier statement, or two claims could each see a state
-- without the other's.
create or replace function task_next_claimable(p_runtime_id uuid, p_agent_id uuid) returns agent_task_queue
language plpgsql stable
set enable_sort = off set enable_bitmapscan = off set jit = off
as $$
declare
    looked_at constant integer := 32;
    -- What is older is not looked at; and being in the indexes, it is skipped there, without a look at the table.
    none_before constant timestamptz := task_none_queued_before(p_runtime_id);
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
        where task.agent_id = p_agent_id and by_index('at_work', task.status in ('dispatched', 'running')));

    -- Nearly always one of the first may run.
    line := array(
        select task from agent_task_queue as task
        where task.runtime_id = p_runtime_id and task.agent_id = p_agent_id
            and by_index('line_of_agent', task.status = 'queued')
            and task.created_at >= none_before
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
         where task.runtime_id = p_runtime_id and task.agent_id = p_agent_id
             and by_index('line', task.status = 'queued')
             and task.created_at >= none_before
             and task.chat_session_id is not null
         order by task.chat_session_id limit 1)
        union all
        select (select task.chat_session_id from agent_task_queue as task
                where task.runtime_id = p_runtime_id and task.agent_id = p_agent_id
                    and by_index('line', task.status = 'queued')
                    and task.created_at >= none_before
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
            where task.runtime_id = p_runtime_id and task.agent_id = p_agent_id
                and by_index('line', task.status = 'queued')
                and task.created_at >= none_before
                and task.chat_session_id = free_chat.id
                and not exists (
                    select from unnest(active) as a where task_serialised_behind(task, a) is not null)
            order by task.priority desc, task.created_at, task.id
            limit 1
        ) as first
        union all
        (select task from agent_task_queue as task
         where task.runtime_id = p_runtime_id and task.agent_id = p_agent_id
             and by_index('line', task.status = 'queued')
             and task.created_at >= none_before
             and task.chat_session_id is null and task.issue_id is null and task.autopilot_run_id is null
             and not exists (
                 select from unnest(active) as a
                 where a.chat_session_id is null and a.issue_id is null and a.autopilot_run_id is null)
         order by task.priority desc, task.created_at, task.id
         limit 1)
        union all
        (select task from agent_task_queue as task
         where task.runtime_id = p_runtime_id and task.agent_id = p_agent_id
             and by_index('line', task.status = 'queued')
             and task.created_at >= none_before
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

-- The agents with queued tasks on the runtime, and where the first of each stands in the order of claiming: one look at
-- the index for each agent, however many tasks it has, because an agent's first entry there is its first task.
create or replace function task_agents_waiting(p_runtime_id uuid)
    returns table (agent_id uuid, priority integer, created_at timestamptz, task_id uuid)
language sql stable
set enable_sort = off set enable_bitmapscan = off set jit = off
as $$
    with recursive none_before (moment) as materialized (
        select task_none_queued_before(p_runtime_id)
    ),
    waiting (agent_id, priority, created_at, task_id) as (
        (select task.agent_id, task.priority, task.created_at, task.id from agent_task_queue as task
         where task.runtime_id = p_runtime_id and by_index('line_of_agent', task.status = 'queued')
             and task.created_at >= (select moment from none_before)
         order by task.agent_id, task.priority desc, task.created_at, task.id
         limit 1)
        union all
        select next.*
        from waiting
        cross join lateral (
            select task.agent_id, task.priority, task.created_at, task.id from agent_task_queue as task
            where task.runtime_id = p_runtime_id
                and by_index('line_of_agent', task.status = 'queued')
                and task.agent_id > waiting.agent_id
                and task.created_at >= (select moment from none_before)
            order by task.agent_id, task.priority desc, task.created_at, task.id
            limit 1
        ) as next
    )
    select * from waiting
$$;

-- The next claimable tasks of the runtime, one for each agent, best first, as far as the first tasks in line tell: as
-- many as are asked for, or all there are, or else some and a row of nulls at the end.
create function task_claimable_at_the_front(
    p_runtime_id uuid, p_passed_over uuid[], p_max integer
) returns setof agent_task_queue
language plpgsql stable
as $$
declare
    looked_at constant integer := 16 + p_max;
    seen integer := 0;
    found_so_far integer := 0;
    -- Agents whose next task is known, or who have none.
    decided uuid[] := p_passed_over;
    -- What occupies the agent of the last candidate.
    active agent_task_queue[];
    active_of uuid;
    candidate agent_task_queue;
begin
    for candidate in select * from task_first_in_line(p_runtime_id, looked_at) loop
        seen := seen + 1;
        continue when candidate.agent_id = any (decided);
        if candidate.agent_id is distinct from active_of then
            if exists (select from agent_held_back_by(p_runtime_id, candidate.agent_id)) then
                decided := decided || candidate.agent_id;
                continue;
            end if;
            active := array(
                select task from agent_task_queue as task
                where task.agent_id = candidate.agent_id
                    and by_index('at_work', task.status in ('dispatched', 'running')));
            active_of := candidate.agent_id;
        end if;
        if not exists (
            select from unnest(active) as a where task_serialised_behind(candidate, a) is not null
        ) then
            decided := decided || candidate.agent_id;
            return next candidate;
            found_so_far := found_so_far + 1;
            if found_so_far >= p_max then
                return;
            end if;
        end if;
    end loop;
    if seen = looked_at then
        candidate := null;
        return next candidate;
    end if;
end
$$;

-- The agents of these tasks, by the best of each.
create function task_agents_of_best(p_tasks agent_task_queue[], p_max integer) returns setof uuid
language sql immutable
as $$
    select best.agent_id
    from (
        select distinct on (task.agent_id) task.agent_id, task.priority, task.created_at, task.id
        from unnest(p_tasks) as task
        order by task.agent_id, task.priority desc, task.created_at, task.id
    ) as best
    order by best.priority desc, best.created_at, best.id
    limit p_max
$$;

-- The agents that would be given the next `p_max` tasks of the runtimes, best first; of one agent alone where one is
-- named, and without those that are passed over. Nothing is locked.
--
-- Nearly always the first tasks in line tell. Where they are held back, each agent is asked: its next task is no better
-- than the first in its line, so the agents are asked in the order of these, and no further than until enough are known
-- that nobody left can surpass.
create or replace function task_agents_to_claim(
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
    if p_only_agent_id is not null then
        return query
            select p_only_agent_id
            where p_only_agent_id <> all (p_passed_over)
                and exists (
                    select from unnest(p_runtime_ids) as runtime (id)
                    cross join lateral task_next_claimable(runtime.id, p_only_agent_id) as claimable
                    where claimable.id is not null);
        return;
    end if;
    found := array(
        select front
        from unnest(p_runtime_ids) as runtime (id)
        cross join lateral task_claimable_at_the_front(runtime.id, p_passed_over, p_max) as front);
    if not exists (select from unnest(found) as task where task.id is null) then
        return query select * from task_agents_of_best(found, p_max);
        return;
    end if;

    found := '{}';
    for waiting in
        select runtime.id as runtime_id, first.*
        from unnest(p_runtime_ids) as runtime (id)
        cross join lateral task_agents_waiting(runtime.id) as first
        where first.agent_id <> all (p_passed_over)
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
            exit when (-worst.priority::bigint, worst.created_at, worst.id)
                < (-waiting.priority::bigint, waiting.created_at, waiting.task_id);
        end if;
        next := task_next_claimable(waiting.runtime_id, waiting.agent_id);
        if next.id is not null then
            found := found || next;
        end if;
    end loop;
    return query select * from task_agents_of_best(found, p_max);
end
$$;


-- The next claimable tasks of agents, one for each of the runtimes on which they have any.
create function task_heads(p_runtime_ids uuid[], p_agent_ids uuid[]) returns setof agent_task_queue
language sql stable
as $$
    select claimable.*
    from unnest(p_runtime_ids) as runtime (id)
    cross join unnest(p_agent_ids) as agent (id)
    cross join lateral task_next_claimable(runtime.id, agent.id) as claimable
    where claimable.id is not null
$$;

-- Dispatches the best of these tasks that nobody holds; null where there is none. Their agents must be locked.
create function task_take(
    p_heads agent_task_queue[], p_lease interval, p_request_id uuid
) returns agent_task_queue
language plpgsql volatile
as $$
declare
    taken agent_task_queue;
begin
    -- MATERIALIZED, because a plain sub-select may be run more than once and lock more than its LIMIT.
    with next as materialized (
        select task.id
        from unnest(p_heads) as head
        join agent_task_queue as task on task.id = head.id
        where by_index('none', task.status = 'queued')
        order by head.priority desc, head.created_at, head.id
        limit 1
        for no key update of task skip locked
    )
    update agent_task_queue as task
    set status = 'dispatched',
        dispatched_at = now(),
        claim_token = gen_random_uuid(),
        claim_expires_at = now() + p_lease,
        claim_request_id = p_request_id,
        deliveries = deliveries + 1
    from next
    where task.id = next.id and by_index('none', task.status = 'queued')
    returning task.* into taken;
    return taken;
end
$$;

-- Hands out the best claimable tasks of runtimes that all belong to one daemon, which was found out before. The same
-- request again gets the same tasks, for as long as that claim holds them.
--
-- Agents are chosen without locks and then locked, in the order of their ids. Every statement here sees what was
-- committed before it began, so the tasks, chosen again after the lock, are chosen by all that the lock waited for: a
-- lock inside the claiming statement would not do, because its snapshot predates the wait. What turns out to be in vain
-- lets go of its locks, so that the next agents are again locked in order.
create function task_claim(
    p_runtime_ids uuid[], p_only_agent_id uuid, p_max integer, p_lease interval, p_request_id uuid
) returns setof agent_task_queue
language plpgsql volatile
as $$
declare
    passed_over uuid[] := '{}';
    agent_ids uuid[];
    heads agent_task_queue[];
    taken agent_task_queue;
    taken_so_far integer := 0;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'a claim has to see what it has waited for: only under READ COMMITTED';
    end if;
    if p_request_id is not null then
        -- A repetition that overtakes the first try waits for it here.
        perform pg_advisory_xact_lock(hashtext('callboard claim'), hashtext(p_request_id::text));
        return query
            select * from agent_task_queue
            where claim_request_id = p_request_id and runtime_id = any (p_runtime_ids)
                and by_index('claim_request', status in ('dispatched', 'running'))
                and (status = 'running' or claim_expires_at >= now())
            order by priority desc, created_at, id;
        if found then
            return;
        end if;
    end if;
    loop
        agent_ids := array(select task_agents_to_claim(p_runtime_ids, p_only_agent_id, passed_over, p_max));
        exit when cardinality(agent_ids) = 0;
        begin
            perform from agent where id = any (agent_ids) order by id for no key update;
            heads := array(select head from task_heads(p_runtime_ids, agent_ids) as head);
            for place in 1..p_max loop
                taken := task_take(heads, p_lease, p_request_id);
                exit when taken.id is null;
                taken_so_far := taken_so_far + 1;
                return next taken;
                exit when taken_so_far = p_max;
                -- What is next has changed for this agent alone.
                heads := array(
                    select head from unnest(heads) as head where head.agent_id <> taken.agent_id
                    union all
                    select head from task_heads(p_runtime_ids, array[taken.agent_id]) as head);
            end loop;
            exit when taken_so_far > 0;
            -- Somebody else was faster with all of them.
            raise exception using errcode = 'CB001', message = 'nothing taken';
        exception when sqlstate 'CB001' then
            passed_over := passed_over || agent_ids;
        end;
    end loop;
end
$$;

-- Where queued tasks stand in the lines of their runtimes, from 1, those that are held back counted. The first is counted
-- from the head of its line, every other from the one before: nobody counts the same tasks twice.
create function task_positions(p_task_ids uuid[]) returns table (id uuid, "position" bigint)
language sql stable
as $$
    with wanted as (
        select task.id, task.runtime_id, task.priority, task.created_at,
            lag(task.priority) over line as last_priority,
            lag(task.created_at) over line as last_created_at,
            lag(task.id) over line as last_id
        from agent_task_queue as task
        where task.id = any (p_task_ids) and by_index('none', task.status = 'queued')
        window line as (partition by task.runtime_id order by task.priority desc, task.created_at, task.id)
    ),
    -- Each part is one stretch of the index.
    stretch as (
        select wanted.*, case when wanted.last_priority = wanted.priority then (
                select count(*) from agent_task_queue as task
                where task.runtime_id = wanted.runtime_id and by_index('line_of_runtime', task.status = 'queued')
                    and task.priority = wanted.priority
                    and (task.created_at, task.id) > (wanted.last_created_at, wanted.last_id)
                    and (task.created_at, task.id) <= (wanted.created_at, wanted.id)
            ) else (
                select count(*) from agent_task_queue as task
                where task.runtime_id = wanted.runtime_id and by_index('line_of_runtime', task.status = 'queued')
                    and task.priority = wanted.last_priority
                    and (task.created_at, task.id) > (wanted.last_created_at, wanted.last_id)
            ) + (
                select count(*) from agent_task_queue as task
                where task.runtime_id = wanted.runtime_id and by_index('line_of_runtime', task.status = 'queued')
                    and task.priority > wanted.priority
                    and task.priority < coalesce(wanted.last_priority::bigint, 1::bigint << 32)
            ) + (
                select count(*) from agent_task_queue as task
                where task.runtime_id = wanted.runtime_id and by_index('line_of_runtime', task.status = 'queued')
                    and task.priority = wanted.priority
                    and (task.created_at, task.id) <= (wanted.created_at, wanted.id)
            ) end as length
        from wanted
    )
    select stretch.id,
        sum(stretch.length) over (
            partition by stretch.runtime_id
            order by stretch.priority desc, stretch.created_at, stretch.id)::bigint
    from stretch
$$;
