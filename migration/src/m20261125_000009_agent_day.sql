-- What agents were given and finished, by UTC day, so that nobody counts a month of history again and again.
--
-- Time is closed now and then: up to a moment that is past, everything is counted, while nobody writes. From then on,
-- whatever still changes a task of that time (a transaction that began earlier, history that is imported or deleted)
-- corrects the count in the same transaction. What is not closed is counted from the tasks. (Only a transaction above READ
-- COMMITTED that began before a closing cannot know of it: what it puts there, dated to before, is not counted.)

create table agent_day (
    agent_id uuid not null,
    day date not null,
    -- Tasks put on the board on that day.
    run_count integer not null,
    -- Tasks that ended on that day, and those of them that failed.
    task_count integer not null,
    failed_count integer not null,
    constraint agent_day_pkey primary key (agent_id, day)
    -- No foreign key: it would lock agents for whoever counts, who must wait for nobody that waits for him.
);

-- Up to which moment, exclusive, time is closed.
create table agent_day_closed (
    one_row boolean not null default true constraint agent_day_closed_pkey primary key,
    until timestamptz not null default '-infinity',
    constraint agent_day_closed_one_row check (one_row)
);
insert into agent_day_closed default values;

-- The moment at which a UTC day begins, and the UTC day of a moment.
create function utc_midnight(p_day date) returns timestamptz
language sql immutable parallel safe
as $$ select p_day::timestamp at time zone 'utc' $$;

create function utc_day(p_moment timestamptz) returns date
language sql immutable parallel safe
as $$ select (p_moment at time zone 'utc')::date $$;

-- Of the last 30 days: since when, the first whole day, and since when time is not closed.
create function agent_days_30(
    out since timestamptz, out first_midnight timestamptz, out first_day date, out open_since timestamptz
)
language sql stable
as $$
    select since, utc_midnight(first_day), first_day, greatest(utc_midnight(first_day), until)
    from agent_day_closed
    cross join lateral (select now() - interval '30 days' as since) as window_start
    cross join lateral (select utc_day(since) + 1 as first_day) as first
$$;

-- What agents did from one moment to before another, by UTC day.
create function agent_days_counted(p_agent_ids uuid[], p_from timestamptz, p_to timestamptz)
    returns table (agent_id uuid, day date, run_count bigint, task_count bigint, failed_count bigint)
language sql stable
as $$
    select counted.agent_id, counted.day, sum(runs)::bigint, sum(tasks)::bigint, sum(failures)::bigint
    from (
        select task.agent_id, utc_day(task.created_at) as day, count(*) as runs, 0 as tasks, 0 as failures
        from agent_task_queue as task
        where task.agent_id = any (p_agent_ids) and task.created_at >= p_from and task.created_at < p_to
        group by 1, 2
        union all
        select task.agent_id, utc_day(task.completed_at), 0, count(*), count(*) filter (where task.status = 'failed')
        from agent_task_queue as task
        where task.agent_id = any (p_agent_ids) and task.completed_at is not null
            and task.completed_at >= p_from and task.completed_at < p_to
        group by 1, 2
    ) as counted
    group by counted.agent_id, counted.day
$$;

-- What agents did in the last 30 days, by UTC day; days without anything are left out.
create function agent_activity_30d(p_agent_ids uuid[])
    returns table (agent_id uuid, day date, run_count bigint, task_count bigint, failed_count bigint)
language sql stable
as $$
    select recent.agent_id, recent.day,
        sum(recent.run_count)::bigint, sum(recent.task_count)::bigint, sum(recent.failed_count)::bigint
    from agent_days_30() as days
    cross join lateral (
        select agent_day.agent_id, agent_day.day, agent_day.run_count, agent_day.task_count, agent_day.failed_count
        from agent_day
        where agent_day.agent_id = any (p_agent_ids) and agent_day.day >= days.first_day
        union all
        select * from agent_days_counted(p_agent_ids, days.since, days.first_midnight)
        union all
        select * from agent_days_counted(p_agent_ids, days.open_since, 'infinity')
    ) as recent
    group by recent.agent_id, recent.day
$$;

-- Closes time up to a minute ago, at most so much of it; says whether some is left. Gives up with lock_not_available rather
-- than hold up the writers.
create function agent_day_close(p_most interval) returns boolean
language plpgsql volatile
set lock_timeout = '200ms'
as $$
declare
    -- Nobody asks for more than 30 days.
    oldest constant date := utc_day(now()) - 31;
    now_until constant timestamptz := now() - interval '1 min';
    closed_until timestamptz;
    close_until timestamptz;
begin
    -- Vacuum would be waited for, and every writer behind this. It is not worth that.
    if exists (
        select from pg_locks
        where relation = 'agent_task_queue'::regclass and mode = 'ShareUpdateExclusiveLock'
            and database = (select oid from pg_database where datname = current_database())
    ) then
        raise exception 'the queue is being vacuumed' using errcode = 'lock_not_available';
    end if;
    -- Waits for who writes, and keeps others from it; and so another server from closing the same time.
    lock table agent_task_queue in share row exclusive mode;
    select greatest(until, utc_midnight(oldest)) into closed_until from agent_day_closed;
    -- What is inserted later is not dated to before this, or the triggers below see it.
    close_until := greatest(closed_until, least(now_until, closed_until + p_most));
    insert into agent_day as counted (agent_id, day, run_count, task_count, failed_count)
    select * from agent_days_counted(array(select id from agent), closed_until, close_until)
    on conflict (agent_id, day) do update
    set run_count = counted.run_count + excluded.run_count,
        task_count = counted.task_count + excluded.task_count,
        failed_count = counted.failed_count + excluded.failed_count;
    delete from agent_day
    where day < oldest or not exists (select from agent where agent.id = agent_day.agent_id);
    update agent_day_closed set until = close_until;
    return close_until < now_until;
end
$$;

-- Corrects the counts of closed time after a change of a task: what it was is taken away, what it is added.
create function agent_day_correct() returns trigger
language plpgsql
as $$
declare
    before agent_task_queue;
    after agent_task_queue;
begin
    if tg_op <> 'INSERT' then
        before := old;
    end if;
    if tg_op <> 'DELETE' then
        after := new;
    end if;
    insert into agent_day as counted (agent_id, day, run_count, task_count, failed_count)
    select change.agent_id, utc_day(change.at), sum(runs), sum(tasks), sum(failures)
    from (values
        (before.agent_id, before.created_at, -1, 0, 0),
        (before.agent_id, before.completed_at, 0, -1, -(before.status = 'failed')::integer),
        (after.agent_id, after.created_at, 1, 0, 0),
        (after.agent_id, after.completed_at, 0, 1, (after.status = 'failed')::integer)
    ) as change (agent_id, at, runs, tasks, failures)
    where change.at < (select until from agent_day_closed)
        -- Not where the task goes with its agent, and not of a time that nobody asks for.
        and exists (select from agent where id = change.agent_id)
        and utc_day(change.at) >= utc_day(now()) - 31
    group by 1, 2
    having sum(runs) <> 0 or sum(tasks) <> 0 or sum(failures) <> 0
    order by 1, 2
    on conflict (agent_id, day) do update
    set run_count = counted.run_count + excluded.run_count,
        task_count = counted.task_count + excluded.task_count,
        failed_count = counted.failed_count + excluded.failed_count;
    return null;
end
$$;

-- Only what is dated to more than a minute ago can concern closed time. By the clock, because now() is the beginning of
-- the transaction.
create trigger agent_day_after_insert
    after insert on agent_task_queue
    for each row when (least(new.created_at, new.completed_at) < clock_timestamp() - interval '1 min')
    execute function agent_day_correct();

create trigger agent_day_after_update
    after update of agent_id, status, created_at, completed_at on agent_task_queue
    for each row when (
        (old.agent_id, old.created_at) is distinct from (new.agent_id, new.created_at)
        or (old.completed_at, old.status) is distinct from (new.completed_at, new.status)
            and least(old.completed_at, new.completed_at) < clock_timestamp() - interval '1 min'
    )
    execute function agent_day_correct();

create trigger agent_day_after_delete
    after delete on agent_task_queue
    for each row when (least(old.created_at, old.completed_at) < clock_timestamp() - interval '1 min')
    execute function agent_day_correct();

-- What is past already.
select agent_day_close('32 days');
