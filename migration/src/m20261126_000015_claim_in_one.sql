-- A claim of one round trip: what a daemon needs to know of the agent comes with the task.

-- For each line in which one asks, the first task in it, unless something holds it back, or an empty row where there is none:
-- all that most claims have to know, for all of them in one statement.
create function task_heads_at_the_front(p_lines task_claim_line[]) returns setof task_in_line
language plpgsql volatile
set enable_seqscan = off set enable_sort = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query
        select line.nth::integer, (front.task).agent_id, (front.task).priority, (front.task).created_at, (front.task).id
        from unnest(p_lines) with ordinality as line (runtime_id, only_agent_id, places, request_ids, agent_ids, nth)
        left join lateral (
            select mark.* from task_low_water_mark as mark, task_line_disturbed as disturbed
            where mark.runtime_id = line.runtime_id and mark.as_of = disturbed.last_value
            offset 0
        ) as mark on true
        left join lateral (
            select found.task
            from (
                (select task from agent_task_queue as task
                 where mark.runtime_id is null and task.runtime_id = line.runtime_id
                     and by_index('line_of_runtime', task.status = 'queued')
                 order by task.priority desc, task.created_at, task.id
                 limit 1)
                union all
                (select first.task
                 from unnest(mark.priorities, mark.none_before) with ordinality as known (priority, none_before, place)
                 cross join lateral (
                     select task from agent_task_queue as task
                     where task.runtime_id = line.runtime_id
                         and by_index('line_of_runtime', task.status = 'queued')
                         and task.priority = known.priority and task.created_at >= known.none_before
                     order by task.created_at, task.id
                     limit 1
                 ) as first
                 order by known.place
                 limit 1)
            ) as found
            offset 0
        ) as front on true
        where cardinality(line.places) = 1 and line.only_agent_id is null
            and ((front.task).id is null or not exists (select from task_held_back_by(front.task)));
end
$$;

-- The agents whose tasks those may be given who ask for one each on a runtime: as many as there are who ask, or all that have
-- any.
create function task_agents_in_line(p_runtime_id uuid, p_only_agent_id uuid, p_max integer) returns uuid[]
language plpgsql stable
as $$
declare
    head agent_task_queue;
    agent_ids uuid[] := '{}';
    is_known boolean := p_only_agent_id is null;
begin
    if is_known then
        -- Nearly always they are found at the front; or else that is told by an empty row, which is the last.
        for head in select * from task_claimable_at_the_front(p_runtime_id, '{}', p_max) loop
            is_known := head.id is not null;
            agent_ids := agent_ids || head.agent_id;
        end loop;
    end if;
    if not is_known then
        agent_ids := array(
            select task_agents_to_claim(array[p_runtime_id], p_only_agent_id, '{}', p_max));
    end if;
    return agent_ids;
end
$$;

-- Of the heads of lines, those that may be given out at once. As before, but that the askers are counted once.
create or replace function task_heads_at_once(
    p_heads task_in_line[], p_askers task_asker[], p_lines task_claim_line[]
) returns task_in_line[]
language plpgsql stable
as $$
declare
    next record;
    head task_in_line;
    behind task_in_line;
    -- The first that may become better by what is given out in this line.
    bound task_in_line;
    line integer := 0;
    chosen task_in_line[] := '{}';
    agent_ids uuid[] := '{}';
    wanted integer;
begin
    for next in
        select sorted as head, asking.count
        from unnest(p_heads) as sorted
        join (select asker.line, count(*) from unnest(p_askers) as asker group by asker.line) as asking using (line)
        order by sorted.line, sorted.priority desc, sorted.created_at, sorted.id
    loop
        head := next.head;
        if head.line <> line then
            line := head.line;
            wanted := next.count;
            bound := null;
        end if;
        continue when wanted = 0;
        if head.agent_id = any (agent_ids) or (bound.id is not null
            and (-bound.priority::bigint, bound.created_at, bound.id)
                < (-head.priority::bigint, head.created_at, head.id))
        then
            wanted := 0;
            continue;
        end if;
        chosen := chosen || head;
        agent_ids := agent_ids || head.agent_id;
        wanted := wanted - 1;
        if wanted > 0 then
            behind := task_behind(head, p_lines[line].runtime_id);
            if behind.id is not null and (bound.id is null
                or (-behind.priority::bigint, behind.created_at, behind.id)
                    < (-bound.priority::bigint, bound.created_at, bound.id))
            then
                bound := behind;
            end if;
        end if;
    end loop;
    return chosen;
end
$$;

-- Hands one task each to daemons, and says who is to work on it. As before, but that the agent is in the answer, as it is
-- then; and that what is true of most claims takes fewer steps.
drop function task_claim_together(jsonb, interval, text);
create function task_claim_together(p_asked jsonb, p_lease interval, p_lock_timeout text)
    returns table (place integer, answer text, task agent_task_queue, agent agent)
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    one record;
    claims task_claim_asked[] := '{}';
    repeated task_claimed[];
    lines task_claim_line[];
    agent_ids uuid[];
    askers task_asker[];
    heads task_in_line[];
    handings task_handing[];
    taken task_claimed[];
begin
    perform task_begin_together(p_lock_timeout);
    for one in
        select asked.*, runtime.id is not null as is_theirs, runtime_has_expired_claims(runtime.id) as has_expired
        from jsonb_to_recordset(p_asked) as asked (
            place integer, workspace_id uuid, daemon_id text, runtime_id uuid, agent_id uuid, request_id uuid)
        left join lateral (
            select id from agent_runtime
            where id = asked.runtime_id and workspace_id = asked.workspace_id and daemon_id = asked.daemon_id
            offset 0
        ) as runtime on true
    loop
        if one.is_theirs and not one.has_expired then
            claims := claims || (one.place, one.runtime_id, one.agent_id, one.request_id)::task_claim_asked;
        else
            place := one.place;
            answer := case when one.is_theirs then 'ask' else 'unknown' end;
            return next;
        end if;
    end loop;

    -- A repetition that overtakes the first try waits for it here. All wait in one order.
    perform pg_advisory_xact_lock(hashtext('callboard claim'), request.key)
    from (
        select distinct hashtext(asked.request_id::text) as key
        from unnest(claims) as asked
        where asked.request_id is not null
        order by key
    ) as request;
    repeated := array(
        select (asked.place, held.task)::task_claimed
        from unnest(claims) as asked
        cross join lateral (
            select task from agent_task_queue as task
            where task.claim_request_id = asked.request_id and task.runtime_id = asked.runtime_id
                and by_index('claim_request', task.status in ('dispatched', 'running'))
                -- Without a token it was claimed anew, by plain SQL that knows of no requests.
                and task.claim_token is not null
                and (task.status = 'running' or task.claim_expires_at >= now())
            offset 0
        ) as held
        where asked.request_id is not null);
    if cardinality(repeated) > 0 then
        return query select * from task_with_agent(repeated);
    end if;
    if cardinality(claims) > 1 then
        -- A request that is here twice is made once: whoever repeats it finds the claim when they ask again.
        return query
            select asked.place, 'ask', null::agent_task_queue, null::agent
            from (
                select asked.place, row_number() over (
                    partition by asked.request_id, asked.runtime_id order by asked.place) as nth
                from unnest(claims) as asked
                where asked.request_id is not null
            ) as asked
            where asked.nth > 1 and asked.place not in (select again.place from unnest(repeated) as again);
    end if;

    lines := array(
        select (asking.runtime_id, asking.agent_id, asking.places, asking.request_ids, '{}')::task_claim_line
        from (
            select asked.runtime_id, asked.agent_id,
                array_agg(asked.place order by asked.place) as places,
                array_agg(asked.request_id order by asked.place) as request_ids
            from (
                select distinct on (asked.runtime_id, coalesce(asked.request_id::text, asked.place::text)) asked.*
                from unnest(claims) as asked
                order by asked.runtime_id, coalesce(asked.request_id::text, asked.place::text), asked.place
            ) as asked
            where asked.place not in (select again.place from unnest(repeated) as again)
            group by asked.runtime_id, asked.agent_id
        ) as asking);

    -- Chosen without locks, and again under them: every statement here sees what was committed before it began.
    heads := array(select head from task_heads_at_the_front(lines) as head);
    lines := array(
        select (line.runtime_id, line.only_agent_id, line.places, line.request_ids, case
                when head.line is null then
                    task_agents_in_line(line.runtime_id, line.only_agent_id, cardinality(line.places))
                else array_remove(array[head.agent_id], null)
            end)::task_claim_line
        from unnest(lines) with ordinality as line (
            runtime_id, only_agent_id, places, request_ids, agent_ids, nth)
        left join unnest(heads) as head on head.line = line.nth
        order by line.nth);
    agent_ids := array(select distinct chosen.id from unnest(lines) as l, unnest(l.agent_ids) as chosen (id));
    if cardinality(agent_ids) = 0 then
        return;
    end if;
    perform from agent where id = any (agent_ids) order by id for no key update;
    askers := array(
        select (nth, asked.place, asked.request_id)::task_asker
        from generate_subscripts(lines, 1) as nth
        cross join unnest(lines[nth].places, lines[nth].request_ids) as asked (place, request_id));
    heads := array(
        select head from task_heads_at_the_front(lines) as head
        where head.agent_id = any (lines[head.line].agent_ids));
    heads := heads || array(
        select head
        from generate_subscripts(lines, 1) as nth
        cross join task_heads_of_line(nth, lines[nth].runtime_id, lines[nth].agent_ids) as head
        where nth <> all (array(select known.line from unnest(heads) as known)));
    loop
        handings := task_handings(askers, task_heads_at_once(heads, askers, lines));
        -- Heads may be left over in lines where all have been given something, while nothing is left in others.
        exit when cardinality(handings) = 0;
        -- MATERIALIZED, because a plain sub-select may be run more than once.
        with free as materialized (
            select task.id
            from agent_task_queue as task
            where task.id = any (array(select handing.id from unnest(handings) as handing))
                and by_index('none', task.status = 'queued')
            for no key update skip locked
        ),
        now_taken as (
            update agent_task_queue as task
            set status = 'dispatched',
                dispatched_at = now(),
                claim_token = gen_random_uuid(),
                claim_expires_at = now() + p_lease,
                claim_request_id = handing.request_id,
                deliveries = deliveries + 1
            from unnest(handings) as handing
            where task.id = any (array(select free.id from free)) and by_index('none', task.status = 'queued')
                and handing.id = task.id
            returning (handing.place, task)::task_claimed as given
        )
        select coalesce(array_agg(now_taken.given), '{}') into taken from now_taken;
        return query select * from task_with_agent(taken);
        if cardinality(taken) = cardinality(askers) then
            return;
        end if;

        -- What is next has changed for the agents whose tasks were taken, and what was not to be had is passed over.
        agent_ids := array(select (given.task).agent_id from unnest(taken) as given);
        askers := array(
            select asker
            from unnest(askers) as asker
            where asker.place not in (select given.place from unnest(taken) as given));
        heads := array(
            select head
            from unnest(heads) as head
            where head.agent_id <> all (agent_ids)
                and head.id <> all (array(select handing.id from unnest(handings) as handing))
            union all
            select head
            from (select distinct asker.line from unnest(askers) as asker) as line (nth)
            cross join task_heads_of_line(line.nth, lines[line.nth].runtime_id, array(
                select known.id from unnest(lines[line.nth].agent_ids) as known (id)
                where known.id = any (agent_ids))) as head);
    end loop;
    -- Somebody else was faster, and agents that were not chosen may have something; or else there is nothing.
    return query
        select asker.place, 'ask', null::agent_task_queue, null::agent
        from unnest(askers) as asker
        where cardinality(lines[asker.line].agent_ids) >= cardinality(lines[asker.line].places);
end
$$;

-- Claimed tasks as they are answered: each with its agent, as it is by now.
create function task_with_agent(p_claimed task_claimed[])
    returns table (place integer, answer text, task agent_task_queue, agent agent)
language plpgsql volatile
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    return query
        select claimed.place, 'take', claimed.task, worker.agent
        from unnest(p_claimed) as claimed
        cross join lateral (
            select agent from agent
            where agent.id = (claimed.task).agent_id and agent.workspace_id = (claimed.task).workspace_id
            offset 0
        ) as worker;
end
$$;
