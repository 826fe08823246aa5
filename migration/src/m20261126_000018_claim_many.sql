-- Whoever claims several tasks, or for several runtimes, or once more, claims together with all others.

drop function task_claim(uuid[], uuid, integer, interval, uuid);
drop function task_take(agent_task_queue[], interval, uuid);
drop function task_heads(uuid[], uuid[]);
drop function task_claim_together(jsonb, interval, text);
drop function task_heads_at_the_front(task_claim_line[]);
drop function task_heads_at_once(task_in_line[], task_asker[], task_claim_line[]);
drop function task_heads_of_line(integer, uuid, uuid[]);
drop function task_behind(task_in_line, uuid);
drop function task_agents_in_line(uuid, uuid, integer);
drop function task_handings(task_asker[], task_in_line[]);
drop type task_claim_asked;
drop type task_claim_line;
drop type task_in_line;
drop type task_asker;

-- What a daemon asks for: so many tasks of its runtimes, in the order of their ids, or of one agent there, but not of agents
-- whose tasks it was told before that it cannot have.
create type task_claim_asked as (
    place integer, runtime_ids uuid[], agent_id uuid, passed_over uuid[], most integer, request_id uuid);

-- Those who ask for tasks of the same runtimes and agents, each as often as they want tasks, and the agents whose tasks they
-- may be given: as many as are wanted, or all that have any.
create type task_claim_line as (
    runtime_ids uuid[], only_agent_id uuid, passed_over uuid[], places integer[], request_ids uuid[], agent_ids uuid[]);

-- A task in such a line; of the line, and of the task what its place follows from.
create type task_in_line as (
    line integer, runtime_id uuid, agent_id uuid, priority integer, created_at timestamptz, id uuid);

-- Somebody in a line, once for each task that they want and have not been given.
create type task_asker as (line integer, place integer, request_id uuid);

-- For each line in which one task of one runtime is wanted, the first task in it, unless something holds it back, or an empty
-- row where there is none: all that most claims have to know, for all of them in one statement.
create function task_heads_at_the_front(p_lines task_claim_line[]) returns setof task_in_line
language plpgsql volatile
set enable_seqscan = off set enable_sort = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query
        select line.nth::integer, line.runtime_id, (front.task).agent_id, (front.task).priority, (front.task).created_at,
            (front.task).id
        from (
            select nth, runtime_ids[1] as runtime_id
            from unnest(p_lines) with ordinality as line (
                runtime_ids, only_agent_id, passed_over, places, request_ids, agent_ids, nth)
            where cardinality(places) = 1 and cardinality(runtime_ids) = 1 and only_agent_id is null
                and cardinality(passed_over) = 0
        ) as line
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
        where (front.task).id is null or not exists (select from task_held_back_by(front.task));
end
$$;

-- The next claimable task of each of the agents on each of the runtimes, in a line.
create function task_heads_of_line(p_line integer, p_runtime_ids uuid[], p_agent_ids uuid[]) returns setof task_in_line
language plpgsql stable
as $$
declare
    runtime_id uuid;
    agent_id uuid;
    head agent_task_queue;
begin
    foreach runtime_id in array p_runtime_ids loop
        foreach agent_id in array p_agent_ids loop
            head := task_next_claimable(runtime_id, agent_id);
            if head.id is not null then
                return next (p_line, runtime_id, head.agent_id, head.priority, head.created_at, head.id)::task_in_line;
            end if;
        end loop;
    end loop;
end
$$;

-- What is next of the same agent on the same runtime, claimable or not: nothing that is better can become so by what is
-- claimed before it.
create function task_behind(head task_in_line) returns task_in_line
language plpgsql stable
set enable_sort = off set enable_bitmapscan = off set jit = off
as $$
declare
    behind task_in_line;
begin
    select head.line, task.runtime_id, task.agent_id, task.priority, task.created_at, task.id into behind
    from agent_task_queue as task
    where task.runtime_id = head.runtime_id and task.agent_id = head.agent_id
        and by_index('line_of_agent', task.status = 'queued')
        and task.priority = head.priority and (task.created_at, task.id) > (head.created_at, head.id)
    order by task.created_at, task.id
    limit 1;
    if behind.id is null then
        select head.line, task.runtime_id, task.agent_id, task.priority, task.created_at, task.id into behind
        from agent_task_queue as task
        where task.runtime_id = head.runtime_id and task.agent_id = head.agent_id
            and by_index('line_of_agent', task.status = 'queued')
            and task.priority < head.priority
        order by task.priority desc, task.created_at, task.id
        limit 1;
    end if;
    return behind;
end
$$;

-- Of the heads of lines, those that may be given out at once: the best of each agent, as long as nothing that stands behind
-- one of them comes before the next. An agent with a head on several runtimes may be given one of them, and then has to be
-- looked at again.
create function task_heads_at_once(p_heads task_in_line[], p_askers task_asker[]) returns task_in_line[]
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
            behind := task_behind(head);
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

-- Hands tasks to daemons, and says who is to work on them: `{place, workspace_id, daemon_id, runtime_ids, agent_id,
-- passed_over, as_it_is, most, request_id}`, the ids of runtimes in their order and each once. The best tasks of a line are
-- divided among those who ask in it, first come, first served; and the same request again gets the same tasks. The answer is
-- `take`, with a task, once for each task. Who gets nothing is not in the answer, unless it is known why:
--
-- * `unknown`: a runtime is not the daemon's.
-- * `expired`: something has to be taken back first. Whoever asks for what there is `as_it_is` is not told so.
-- * `again`: somebody else was faster, and others than these agents may have something; or the same request is made by somebody
--   else at this moment.
create function task_claim_together(p_asked jsonb, p_lease interval, p_lock_timeout text)
    returns table (place integer, answer text, passed_over uuid[], task agent_task_queue, agent agent)
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
    -- The places of those who were given something.
    served integer[] := '{}';
begin
    perform task_begin_together(p_lock_timeout);
    for one in
        select asked.*, runtimes.count = cardinality(asked.runtime_ids) as are_theirs, runtimes.any_has_expired
        from jsonb_to_recordset(p_asked) as asked (
            place integer, workspace_id uuid, daemon_id text, runtime_ids uuid[], agent_id uuid, passed_over uuid[],
            as_it_is boolean, most integer, request_id uuid)
        cross join lateral (
            select count(*), bool_or(runtime_has_expired_claims(id)) as any_has_expired from agent_runtime
            where id = any (asked.runtime_ids) and workspace_id = asked.workspace_id and daemon_id = asked.daemon_id
        ) as runtimes
    loop
        if one.are_theirs and (one.as_it_is or one.any_has_expired is not true) then
            claims := claims || (one.place, one.runtime_ids, one.agent_id, coalesce(one.passed_over, '{}'), one.most,
                one.request_id)::task_claim_asked;
        else
            place := one.place;
            answer := case when one.are_theirs then 'expired' else 'unknown' end;
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
            where task.claim_request_id = asked.request_id and task.runtime_id = any (asked.runtime_ids)
                and by_index('claim_request', task.status in ('dispatched', 'running'))
                -- Without a token it was claimed anew, by plain SQL that knows of no requests.
                and task.claim_token is not null
                and (task.status = 'running' or task.claim_expires_at >= now())
            offset 0
        ) as held
        where asked.request_id is not null);
    if cardinality(repeated) > 0 then
        return query select place, answer, null::uuid[], task, agent from task_with_agent(repeated);
    end if;
    if cardinality(claims) > 1 then
        -- A request that is here twice is made once: whoever repeats it finds the claim when they ask again.
        return query
            select asked.place, 'again', '{}'::uuid[], null::agent_task_queue, null::agent
            from (
                select asked.place, row_number() over (partition by asked.request_id order by asked.place) as nth
                from unnest(claims) as asked
                where asked.request_id is not null
            ) as asked
            where asked.nth > 1 and asked.place not in (select again.place from unnest(repeated) as again);
    end if;

    lines := array(
        select (asking.runtime_ids, asking.agent_id, asking.passed_over, asking.places, asking.request_ids,
            '{}')::task_claim_line
        from (
            select asked.runtime_ids, asked.agent_id, asked.passed_over,
                array_agg(asked.place order by asked.place) as places,
                array_agg(asked.request_id order by asked.place) as request_ids
            from (
                select distinct on (coalesce(asked.request_id::text, asked.place::text)) asked.*
                from unnest(claims) as asked
                order by coalesce(asked.request_id::text, asked.place::text), asked.place
            ) as asked
            cross join generate_series(1, asked.most)
            where asked.place not in (select again.place from unnest(repeated) as again)
            group by asked.runtime_ids, asked.agent_id, asked.passed_over
        ) as asking);

    -- Chosen without locks, and looked at again under them: every statement here sees what was committed before it began.
    heads := array(select head from task_heads_at_the_front(lines) as head);
    lines := array(
        select (line.runtime_ids, line.only_agent_id, line.passed_over, line.places, line.request_ids, case
                when head.line is null then array(
                    select task_agents_to_claim(
                        line.runtime_ids, line.only_agent_id, line.passed_over, cardinality(line.places)))
                else array_remove(array[head.agent_id], null)
            end)::task_claim_line
        from unnest(lines) with ordinality as line (
            runtime_ids, only_agent_id, passed_over, places, request_ids, agent_ids, nth)
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
    -- What was first is not looked for again: the way there may lead over what was claimed while somebody held a snapshot.
    heads := array(
        select head
        from unnest(heads) as head
        cross join lateral (
            select * from agent_task_queue
            where id = head.id and agent_id = head.agent_id and runtime_id = head.runtime_id
                and by_index('none', status = 'queued')
            offset 0
        ) as task
        where not exists (select from task_held_back_by(task)));
    heads := heads || array(
        select head
        from generate_subscripts(lines, 1) as nth
        cross join task_heads_of_line(nth, lines[nth].runtime_ids, lines[nth].agent_ids) as head
        where nth <> all (array(select known.line from unnest(heads) as known)));
    loop
        handings := task_handings(askers, task_heads_at_once(heads, askers));
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
        return query select place, answer, null::uuid[], task, agent from task_with_agent(taken);
        if cardinality(taken) = cardinality(askers) then
            return;
        end if;

        -- What is next has changed for the agents whose tasks were taken, and what was not to be had is passed over.
        agent_ids := array(select (given.task).agent_id from unnest(taken) as given);
        served := served || array(select given.place from unnest(taken) as given);
        askers := array(
            select (asker.line, asker.place, asker.request_id)::task_asker
            from (
                select *, row_number() over (partition by place) as nth from unnest(askers) as asker
            ) as asker
            left join (
                select given.place, count(*) from unnest(taken) as given group by given.place
            ) as given using (place)
            where asker.nth > coalesce(given.count, 0));
        heads := array(
            select head
            from unnest(heads) as head
            where head.agent_id <> all (agent_ids)
                and head.id <> all (array(select handing.id from unnest(handings) as handing))
            union all
            select head
            from (select distinct asker.line from unnest(askers) as asker) as line (nth)
            cross join task_heads_of_line(line.nth, lines[line.nth].runtime_ids, array(
                select known.id from unnest(lines[line.nth].agent_ids) as known (id)
                where known.id = any (agent_ids))) as head);
    end loop;
    -- Somebody else was faster, and agents that were not chosen may have something; or else there is nothing.
    return query
        select asker.place, 'again', lines[asker.line].agent_ids, null::agent_task_queue, null::agent
        from (select distinct line, place from unnest(askers) as asker) as asker
        where asker.place <> all (served)
            and cardinality(lines[asker.line].agent_ids) >= cardinality(lines[asker.line].places);
end
$$;
