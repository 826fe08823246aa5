-- From where the search for what may be claimed has to look.
--
-- A task that is claimed leaves its entry in the indexes of the queue until vacuum may take it away, which it may not
-- while anybody holds an older snapshot: a backup, a report, a forgotten session. Every claim would step over all that
-- was claimed since. So each runtime has a low-water mark: for every priority in use, a moment before which nothing is
-- queued. What lies before it is not looked at.
--
-- A mark must never pass over a task. It is good for as long as nothing was put in line behind it, and this is told by
-- a sequence, because a sequence is not subject to snapshots: whoever puts a task in line where a mark may not expect
-- one, advances it, and every mark that was taken before is void. In question are tasks of a priority that the mark does
-- not know, tasks that are older than a moment when they are inserted (a long transaction, a time given by hand),
-- requeued ones, and whatever a transaction inserts that may not see the newest mark.
--
-- Whoever takes a mark goes in steps: reads the sequence; draws a position of the event log; waits until the log is
-- complete up to there, which means that everyone who advanced the sequence before has ended; and only then looks for
-- the oldest queued tasks. The writers for their part open the event log before they advance the sequence. Who
-- advances it later makes the mark void.

create sequence task_line_disturbed as bigint;
select nextval('task_line_disturbed');

create table task_low_water_mark (
    runtime_id uuid not null,
    -- The state of the sequence for which the mark is good; 0 where it is good for none.
    as_of bigint not null,
    priorities integer[] not null,
    -- For each of the priorities: nothing is queued that was put on the board before.
    none_before timestamptz[] not null,
    constraint task_low_water_mark_pkey primary key (runtime_id),
    constraint task_low_water_mark_runtime_fkey foreign key (runtime_id) references agent_runtime on delete cascade
) with (fillfactor = 50);

-- A task was put on the board.
create or replace function agent_task_queue_after_insert() returns trigger
language plpgsql
as $$
begin
    if not exists (select from inserted) then
        return null;
    end if;
    perform task_event_open();
    insert into task_event (workspace_id, kind, task_id, agent_id, runtime_id, issue_id, to_status, attempt, reason)
    select workspace_id, status, id, agent_id, runtime_id, issue_id, status, attempt, failure_reason
    from inserted
    order by id;
    -- A runtime without a mark gets its first one in two steps, so nothing need be said where there is none.
    if current_setting('transaction_isolation') <> 'read committed' or exists (
        select from inserted
        join task_low_water_mark as mark on mark.runtime_id = inserted.runtime_id
        where inserted.status = 'queued'
            and not coalesce(
                inserted.created_at >= clock_timestamp() - interval '500 ms'
                    and inserted.created_at >= mark.none_before[array_position(mark.priorities, inserted.priority)],
                false)
    ) then
        perform nextval('task_line_disturbed');
    end if;
    return null;
end
$$;

-- A task came back into line, or stands in another place of it.
create function agent_task_queue_back_in_line() returns trigger
language plpgsql
as $$
begin
    perform task_event_open();
    perform nextval('task_line_disturbed');
    return null;
end
$$;

create trigger agent_task_queue_back_in_line
    after update on agent_task_queue
    for each row when (
        new.status = 'queued'
        and (old.status, old.runtime_id, old.priority, old.created_at)
            is distinct from (new.status, new.runtime_id, new.priority, new.created_at)
    )
    execute function agent_task_queue_back_in_line();

-- The priorities that are known or in use among the runtime's queued tasks, highest first, and a moment for each before
-- which nothing is queued: no later than `p_no_later`, and no earlier than `p_none_before` where that is given: then there
-- are no others than those known. Of more than 32 priorities not all are found; no mark is made of them.
create function task_oldest_in_line(
    p_runtime_id uuid, p_known integer[], p_none_before timestamptz[], p_no_later timestamptz,
    out priorities integer[], out none_before timestamptz[]
)
language sql volatile
set enable_sort = off set enable_bitmapscan = off set jit = off
as $$
    with recursive in_use (priority, place) as (
        (select task.priority, 1 from agent_task_queue as task
         where p_none_before is null and task.runtime_id = p_runtime_id
             and by_index('line_of_runtime', task.status = 'queued')
         order by task.priority desc limit 1)
        union all
        select (select task.priority from agent_task_queue as task
                where task.runtime_id = p_runtime_id
                    and by_index('line_of_runtime', task.status = 'queued')
                    and task.priority < in_use.priority
                order by task.priority desc limit 1), place + 1
        from in_use where in_use.priority is not null and place <= 32
    ),
    line as (
        select priority, coalesce(max(moment), '-infinity') as none_before
        from (
            select * from unnest(p_known, p_none_before)
            union all
            select priority, null from in_use where priority is not null
        ) as line (priority, moment)
        group by priority
    )
    select coalesce(array_agg(line.priority order by line.priority desc), '{}'),
        coalesce(
            array_agg(
                least(oldest.created_at, p_no_later)
                order by line.priority desc),
            '{}')
    from line
    left join lateral (
        select task.created_at from agent_task_queue as task
        where task.runtime_id = p_runtime_id and task.priority = line.priority
            and by_index('line_of_runtime', task.status = 'queued')
            and task.created_at >= line.none_before
        order by task.created_at, task.id
        limit 1
    ) as oldest on true
$$;

-- Makes marks that are good for nothing, for runtimes without any: from then on, writers look at what comes after. To be
-- committed before marks are taken.
create function task_low_water_mark_prepare(p_runtime_ids uuid[]) returns void
language plpgsql volatile
as $$
begin
    -- One server at a time; the others have nothing to add.
    if not pg_try_advisory_xact_lock(hashtext('callboard'), hashtext('task_low_water_mark')) then
        return;
    end if;
    insert into task_low_water_mark (runtime_id, as_of, priorities, none_before)
    select id, 0, '{}', '{}' from agent_runtime
    where id = any (p_runtime_ids) and not exists (select from task_low_water_mark where runtime_id = id);
end
$$;

-- Takes the marks of these runtimes anew, as far as they were prepared. Nothing changes where a writer is under way for
-- so long that waiting for it is not worth while. Every statement here sees what was committed before it: not for
-- transactions above READ COMMITTED.
create function task_low_water_mark_take(p_runtime_ids uuid[]) returns void
language plpgsql volatile
as $$
declare
    patience constant interval := '1 s';
    most_priorities constant integer := 32;
    now_as_of bigint;
    through bigint;
    -- A mark is later than this for nobody. Who inserts once the position below is drawn, and says nothing of it, inserts
    -- what is younger, however long it takes until the search is done.
    no_later constant timestamptz := clock_timestamp() - interval '1 s';
    taken task_low_water_mark;
begin
    if not pg_try_advisory_xact_lock(hashtext('callboard'), hashtext('task_low_water_mark')) then
        return;
    end if;
    select last_value into now_as_of from task_line_disturbed;
    through := nextval('task_event_position');
    while task_event_horizon() < through loop
        if clock_timestamp() > now() + patience then
            return;
        end if;
        perform pg_sleep(0.02);
    end loop;

    for taken in
        select * from task_low_water_mark where runtime_id = any (p_runtime_ids) order by runtime_id
    loop
        select * into taken.priorities, taken.none_before
        from task_oldest_in_line(taken.runtime_id, taken.priorities,
            -- What was good for the same state of the sequence need not be looked for again.
            case when taken.as_of = now_as_of then taken.none_before end,
            no_later);
        if cardinality(taken.priorities) > most_priorities then
            -- What is no longer in use has to be forgotten: it begins anew, as it was prepared.
            update task_low_water_mark set as_of = 0, priorities = '{}', none_before = '{}'
            where runtime_id = taken.runtime_id;
        else
            update task_low_water_mark
            set as_of = now_as_of, priorities = taken.priorities, none_before = taken.none_before
            where runtime_id = taken.runtime_id;
        end if;
    end loop;
end
$$;

-- The runtime's mark, if it is good.
create function task_low_water_mark_of(p_runtime_id uuid) returns task_low_water_mark
language sql stable
as $$
    select mark
    from task_low_water_mark as mark, task_line_disturbed as disturbed
    where mark.runtime_id = p_runtime_id and mark.as_of = disturbed.last_value
$$;

-- A moment before which nothing is queued for the runtime, whatever the priority.
create function task_none_queued_before(p_runtime_id uuid) returns timestamptz
language sql stable
as $$
    select coalesce(
        (select min(moment) from unnest((task_low_water_mark_of(p_runtime_id)).none_before) as moment),
        '-infinity')
$$;

-- The first tasks that are queued for the runtime, in the order of claiming.
create function task_first_in_line(p_runtime_id uuid, p_limit integer) returns setof agent_task_queue
language plpgsql stable
set enable_sort = off set enable_bitmapscan = off set jit = off
as $$
declare
    mark constant task_low_water_mark := task_low_water_mark_of(p_runtime_id);
    found_so_far integer := 0;
    found_here integer;
begin
    if mark.runtime_id is null then
        return query
            select * from agent_task_queue as task
            where task.runtime_id = p_runtime_id
                and by_index('line_of_runtime', task.status = 'queued')
            order by task.priority desc, task.created_at, task.id
            limit p_limit;
        return;
    end if;
    for place in 1..cardinality(mark.priorities) loop
        return query
            select * from agent_task_queue as task
            where task.runtime_id = p_runtime_id
                and by_index('line_of_runtime', task.status = 'queued')
                and task.priority = mark.priorities[place] and task.created_at >= mark.none_before[place]
            order by task.created_at, task.id
            limit p_limit - found_so_far;
        get diagnostics found_here = row_count;
        found_so_far := found_so_far + found_here;
        exit when found_so_far >= p_limit;
    end loop;
end
$$;
