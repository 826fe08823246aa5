-- What a server asks most often, in one round trip each.

-- A page of the event log: what happened after a position, as far as the log is complete; no more events than are asked
-- for, and no more of their tasks than so many bytes, as they are stored and not compressed, but for the first. A task is as
-- it is now, and stands with the first event that is about it.
--
-- The last row has no event, but what goes for all of them: up to where the log was complete before they were read; and
-- since then, up to where it was dropped, and which number was given away last. Thus what was dropped before it could be
-- read is known.
create function task_event_page(p_after bigint, p_events bigint, p_bytes bigint)
    returns table (
        event task_event, visibility text, owner_id uuid, daemon_id text, task agent_task_queue, found bigint,
        horizon bigint, pruned_through bigint, drawn bigint)
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'events have to be read after it is known which are complete: only under READ COMMITTED';
    end if;
    horizon := task_event_horizon();
    if horizon > p_after then
        -- All is looked up by its id, whatever the statistics say. What is stored compressed has to be written out to know
        -- how long it is.
        return query
            select page.event, agent.visibility, agent.owner_id, runtime.daemon_id, now.task, page.found,
                null::bigint, null::bigint, null::bigint
            from (
                select page.*, count(*) over () as found,
                    sum(bytes) filter (where nth = 1) over (
                        order by position rows between unbounded preceding and 1 preceding) as bytes_before
                from (
                    select page.*, task.bytes, row_number() over (partition by page.task_id order by position) as nth
                    from (
                        select event, event.position, event.task_id, event.agent_id, event.runtime_id
                        from task_event as event
                        where event.position > p_after and event.position <= task_event_page.horizon
                        order by event.position
                        limit p_events
                    ) as page
                    left join lateral (
                        select case when pg_column_compression(context) is null
                                    then coalesce(pg_column_size(context), 0)
                                    else octet_length(context::text) end
                            + case when pg_column_compression(result) is null
                                   then coalesce(pg_column_size(result), 0)
                                   else octet_length(result::text) end
                            + coalesce(octet_length(trigger_summary), 0) + coalesce(octet_length(error), 0)
                            + coalesce(octet_length(progress_summary), 0) as bytes
                        from agent_task_queue
                        where id = page.task_id
                        offset 0
                    ) as task on true
                ) as page
            ) as page
            left join lateral (select * from agent where id = page.agent_id offset 0) as agent on true
            left join lateral (select * from agent_runtime where id = page.runtime_id offset 0) as runtime on true
            left join lateral (
                select task from agent_task_queue as task where task.id = page.task_id and page.nth = 1 offset 0
            ) as now on true
            where coalesce(page.bytes_before, 0) < p_bytes
            order by page.position;
    end if;
    select pruned.through, numbers.last_value into pruned_through, drawn
    from task_event_pruned as pruned, task_event_position as numbers;
    return next;
end
$$;

-- A task in the line of those who ask for tasks of a runtime; of the line, and of the task what its place follows from.
create type task_in_line as (line integer, agent_id uuid, priority integer, created_at timestamptz, id uuid);

-- Somebody in a line who has been given nothing yet.
create type task_asker as (line integer, place integer, request_id uuid);

-- The next claimable task of each of the agents, in a line.
create function task_heads_of_line(p_line integer, p_runtime_id uuid, p_agent_ids uuid[]) returns setof task_in_line
language plpgsql stable
as $$
declare
    agent_id uuid;
    head agent_task_queue;
begin
    foreach agent_id in array p_agent_ids loop
        head := task_next_claimable(p_runtime_id, agent_id);
        if head.id is not null then
            return next (p_line, head.agent_id, head.priority, head.created_at, head.id)::task_in_line;
        end if;
    end loop;
end
$$;

-- The task that is queued behind this one for the same agent on the runtime, whether or not it may be claimed then.
create function task_behind(head task_in_line, p_runtime_id uuid) returns task_in_line
language plpgsql stable
set enable_sort = off set enable_bitmapscan = off set jit = off
as $$
declare
    behind task_in_line;
begin
    select head.line, task.agent_id, task.priority, task.created_at, task.id into behind
    from agent_task_queue as task
    where task.runtime_id = p_runtime_id and task.agent_id = head.agent_id
        and by_index('line_of_agent', task.status = 'queued')
        and task.priority = head.priority and (task.created_at, task.id) > (head.created_at, head.id)
    order by task.created_at, task.id
    limit 1;
    if behind.id is null then
        select head.line, task.agent_id, task.priority, task.created_at, task.id into behind
        from agent_task_queue as task
        where task.runtime_id = p_runtime_id and task.agent_id = head.agent_id
            and by_index('line_of_agent', task.status = 'queued')
            and task.priority < head.priority
        order by task.priority desc, task.created_at, task.id
        limit 1;
    end if;
    return behind;
end
$$;

-- Of the heads of lines, those that may be given out at once, because nothing that becomes a head by that can be better:
-- of each line the best, and those after it that come before whatever is behind one of them; and none of an agent that
-- another line gives something. No more than are asked for.
create function task_heads_at_once(p_heads task_in_line[], p_askers task_asker[], p_lines task_claim_line[])
    returns task_in_line[]
language plpgsql stable
as $$
declare
    head task_in_line;
    behind task_in_line;
    -- The first that may become better by what is given out in this line.
    bound task_in_line;
    line integer := 0;
    chosen task_in_line[] := '{}';
    agent_ids uuid[] := '{}';
    wanted integer;
begin
    for head in
        select * from unnest(p_heads) as sorted
        order by sorted.line, sorted.priority desc, sorted.created_at, sorted.id
    loop
        if head.line <> line then
            line := head.line;
            wanted := (select count(*) from unnest(p_askers) as asker where asker.line = head.line);
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

-- Who is given which task.
create type task_handing as (place integer, request_id uuid, agent_id uuid, id uuid);

-- To those who ask in each line, in the order in which they ask, these tasks in theirs.
create function task_handings(p_askers task_asker[], p_tasks task_in_line[]) returns task_handing[]
language plpgsql immutable
as $$
begin
    return array(
        select (asker.place, asker.request_id, task.agent_id, task.id)::task_handing
        from (
            select *, row_number() over (partition by line order by place) as nth from unnest(p_askers) as asker
        ) as asker
        join (
            select *, row_number() over (partition by line order by priority desc, created_at, id) as nth
            from unnest(p_tasks) as task
        ) as task using (line, nth));
end
$$;

-- Hands one task each to daemons. As before, but that as many as possible are given theirs by one statement: it writes
-- events, and that costs more than the claim.
create or replace function task_claim_together(p_asked jsonb, p_lease interval, p_lock_timeout text)
    returns table (place integer, answer text, task agent_task_queue)
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
    taken agent_task_queue[];
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
                and (task.status = 'running' or task.claim_expires_at >= now())
            offset 0
        ) as held);
    return query select again.place, 'take', again.task from unnest(repeated) as again;
    -- A request that is here twice is made once: whoever repeats it finds the claim when they ask again.
    return query
        select asked.place, 'ask', null::agent_task_queue
        from (
            select asked.place, row_number() over (
                partition by asked.request_id, asked.runtime_id order by asked.place) as nth
            from unnest(claims) as asked
            where asked.request_id is not null
        ) as asked
        where asked.nth > 1 and asked.place not in (select again.place from unnest(repeated) as again);

    lines := array(
        select (asking.runtime_id, asking.agent_id, asking.places, asking.request_ids, array(
                select task_agents_to_claim(
                    array[asking.runtime_id], asking.agent_id, '{}', cardinality(asking.places)))
            )::task_claim_line
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
        select head
        from generate_subscripts(lines, 1) as nth
        cross join task_heads_of_line(nth, lines[nth].runtime_id, lines[nth].agent_ids) as head);
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
                claim_request_id = (
                    select handing.request_id from unnest(handings) as handing where handing.id = task.id),
                deliveries = deliveries + 1
            where task.id = any (array(select free.id from free)) and by_index('none', task.status = 'queued')
            returning task
        )
        select coalesce(array_agg(now_taken.task), '{}') into taken from now_taken;
        return query
            select handing.place, 'take', given
            from unnest(taken) as given
            join unnest(handings) as handing on handing.id = given.id;

        -- What is next has changed for the agents whose tasks were taken, and what was not to be had is passed over.
        agent_ids := array(select given.agent_id from unnest(taken) as given);
        askers := array(
            select asker
            from unnest(askers) as asker
            where not exists (
                select from unnest(handings) as handing
                where handing.place = asker.place and handing.agent_id = any (agent_ids)));
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
        select asker.place, 'ask', null::agent_task_queue
        from unnest(askers) as asker
        where cardinality(lines[asker.line].agent_ids) >= cardinality(lines[asker.line].places);
end
$$;

-- An agent's row is written twice for each task, when it begins and when it ends to work, and nothing that is indexed changes
-- by it. With room on its page for the new version no index needs to be written, and the old ones can be cleared away.
alter table agent set (fillfactor = 50);

-- As before, but looked up as it should be from the first claim on. The plans of functions are kept, and the first may be
-- made while there are no tasks at all.
alter function task_session_to_resume(agent_task_queue) set enable_seqscan = off;

-- Whether a runtime was given something that it did not start in time. As before, but that what follows from the status leads
-- to no index of its own: that of all that is at work anywhere was looked through.
create or replace function runtime_has_expired_claims(p_runtime_id uuid) returns boolean
language plpgsql stable
set enable_seqscan = off
as $$
begin
    return exists (
        select from agent_task_queue as task
        where task.runtime_id = p_runtime_id
            and by_index('held_by_runtime', task.status in ('dispatched', 'running'))
            and by_index('none', task.status = 'dispatched') and task.claim_expires_at < now());
end
$$;

-- Heartbeats: `{place, workspace_id, daemon_id, runtime_ids}`. The answer has the runtimes as they are then, and whether
-- they have just come on line. Who names one that is not theirs beats for none of them, and is not in the answer.
create type runtime_named as (place integer, runtime_id uuid);

create function runtime_beat_together(p_asked jsonb, p_lock_timeout text)
    returns table (place integer, came_on_line boolean, runtime agent_runtime)
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    named runtime_named[];
    runtime_ids uuid[];
    away uuid[];
begin
    perform task_begin_together(p_lock_timeout);
    named := array(
        select (asked.place, asked.id)::runtime_named
        from (
            select asked.place, theirs.id, bool_and(theirs.id is not null) over (partition by asked.place) as all_theirs
            from jsonb_to_recordset(p_asked) as asked (
                place integer, workspace_id uuid, daemon_id text, runtime_ids uuid[])
            cross join lateral (select distinct id from unnest(asked.runtime_ids) as id) as named
            left join lateral (
                select id from agent_runtime
                where id = named.id and workspace_id = asked.workspace_id and daemon_id = asked.daemon_id
                offset 0
            ) as theirs on true
        ) as asked
        where asked.all_theirs);
    -- In one order, so that two cannot wait for each other.
    runtime_ids := array(select distinct name.runtime_id from unnest(named) as name);
    perform from agent_runtime where id = any (runtime_ids) order by id for no key update;
    away := array(select id from agent_runtime where id = any (runtime_ids) and by_index('none', status <> 'online'));
    -- updated_at moves with the status alone, so that a heartbeat touches no index.
    update agent_runtime
    set last_seen_at = now(),
        status = 'online',
        updated_at = case when status = 'online' then updated_at else now() end
    where id = any (runtime_ids);
    return query
        select name.place, name.runtime_id = any (away), now.runtime
        from unnest(named) as name
        cross join lateral (
            select runtime from agent_runtime as runtime where runtime.id = name.runtime_id offset 0
        ) as now;
end
$$;

-- Notes how far tasks are: as for a completion, with `summary`, `step` and `total`. Of two who say so of one task the later
-- is heard. No agent is locked, because none changes by it.
create function task_progress_together(p_asked jsonb, p_lock_timeout text)
    returns table (place integer, changed boolean, task agent_task_queue)
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    spoken_of task_spoken_of[];
    task_ids uuid[];
    noted uuid[];
begin
    perform task_begin_together(p_lock_timeout);
    spoken_of := array(
        select (asked.place, task.id, task.agent_id, asked.claim_token)::task_spoken_of
        from jsonb_to_recordset(p_asked) as asked (
            place integer, workspace_id uuid, daemon_id text, task_id uuid, claim_token uuid)
        cross join lateral (select * from agent_task_queue where id = asked.task_id offset 0) as task
        cross join lateral (select * from agent_runtime where id = task.runtime_id offset 0) as runtime
        where task.workspace_id = asked.workspace_id and runtime.daemon_id = asked.daemon_id);
    task_ids := array(select spoken.task_id from unnest(spoken_of) as spoken);
    perform from agent_task_queue where id = any (task_ids) order by id for no key update;
    with now_noted as (
        update agent_task_queue as task
        set (progress_summary, progress_step, progress_total, progress_at) = (
            select p_asked -> spoken.place ->> 'summary', (p_asked -> spoken.place ->> 'step')::integer,
                (p_asked -> spoken.place ->> 'total')::integer, clock_timestamp()
            from unnest(spoken_of) as spoken
            where spoken.task_id = task.id and task.claim_token is not distinct from spoken.claim_token
            order by spoken.place desc
            limit 1)
        where task.id = any (task_ids) and by_index('none', task.status in ('dispatched', 'running'))
            and exists (
                select from unnest(spoken_of) as spoken
                where spoken.task_id = task.id and task.claim_token is not distinct from spoken.claim_token offset 0)
        returning task.id
    )
    select coalesce(array_agg(id), '{}') into noted from now_noted;
    return query select * from task_spoken_of_now(spoken_of, noted);
end
$$;
