-- Mends: what plain SQL may write, and that it is told of; what expires in line; how the days of the log are made.

-- No time that nobody can read: Postgres has room for later and earlier ones than those who read these tables, and for one that is
-- no time at all. NOT VALID, so that nothing is looked through and what is there may stay. Nulls are passed over.
alter table agent_task_queue add constraint agent_task_queue_times_readable check (
    least(created_at, dispatched_at, started_at, completed_at, claim_expires_at, progress_at)
        >= timestamptz '0001-01-01 00:00:00Z'
    and greatest(created_at, dispatched_at, started_at, completed_at, claim_expires_at, progress_at)
        < timestamptz '10000-01-01 00:00:00Z'
) not valid;
alter table agent_runtime add constraint agent_runtime_times_readable check (
    least(last_seen_at, created_at, updated_at) >= timestamptz '0001-01-01 00:00:00Z'
    and greatest(last_seen_at, created_at, updated_at) < timestamptz '10000-01-01 00:00:00Z'
) not valid;
alter table agent add constraint agent_times_readable check (
    least(archived_at, created_at, updated_at) >= timestamptz '0001-01-01 00:00:00Z'
    and greatest(archived_at, created_at, updated_at) < timestamptz '10000-01-01 00:00:00Z'
) not valid;

-- A request is answered with its own claim, and with none that was made after that one was taken back: plain SQL, which knows of
-- no requests, leaves the id where it is, and claims anew with another token. So what comes back into line loses it. As before,
-- but for that; our own statements have done it already, and who claims pays nothing.
create or replace function agent_task_queue_back_in_line() returns trigger
language plpgsql
as $$
begin
    perform task_event_open();
    perform nextval('task_line_disturbed');
    if new.claim_request_id is not null then
        update agent_task_queue set claim_request_id = null
        where id = new.id and claim_request_id = new.claim_request_id;
    end if;
    return null;
end
$$;

-- What is back in line already.
update agent_task_queue set claim_request_id = null where status = 'queued' and claim_request_id is not null;

-- What has waited for too long, oldest first, but not what waits behind other work on a runtime that is there, or behind work
-- of its own agent: it will have its turn.
create or replace function tasks_expired_in_queue(p_ttl interval, p_limit bigint) returns setof agent_task_queue
language sql stable
as $$
    select task.*
    from agent_task_queue as task
    where task.status = 'queued'
        and task.created_at < now() - p_ttl
        and not (
            exists (select from agent_runtime as runtime
                    where runtime.id = task.runtime_id and runtime.status = 'online')
            and (exists (select from agent_task_queue as active
                         where active.runtime_id = task.runtime_id
                             and by_index('held_by_runtime', active.status in ('dispatched', 'running')))
                 or exists (select from agent_task_queue as active
                            where active.agent_id = task.agent_id
                                and by_index('at_work', active.status in ('dispatched', 'running')))))
    order by task.created_at
    limit p_limit
$$;

-- Makes the partitions of the days to come and drops those older than `keep`. Harmless at any time and from
-- several servers at once; gives up with lock_not_available rather than hold up the writers.
create or replace function task_event_maintain(keep interval) returns void
language plpgsql
set lock_timeout = '2s'
as $$
declare
    day date;
    partition record;
    last_position bigint;
begin
    perform pg_advisory_xact_lock(hashtext('callboard'), hashtext('task_event_maintain'));
    for ahead in 0..7 loop
        day := (now() at time zone 'utc')::date + ahead;
        if to_regclass(format('task_event_%s', to_char(day, 'YYYYMMDD'))) is null then
            -- Whoever is writing an event of that day to the default partition is waited for before it is looked at.
            lock table task_event in access exclusive mode;
            -- Events of that day that went there would forbid the new one.
            create temporary table displaced on commit drop as
                select * from task_event_default
                where at >= day::timestamp at time zone 'utc' and at < (day + 1)::timestamp at time zone 'utc';
            delete from task_event_default using displaced where task_event_default.position = displaced.position;
            execute format(
                'create table %I partition of task_event for values from (%L) to (%L)',
                'task_event_' || to_char(day, 'YYYYMMDD'),
                day::timestamp at time zone 'utc', (day + 1)::timestamp at time zone 'utc');
            insert into task_event select * from displaced;
            drop table displaced;
        end if;
    end loop;

    for partition in
        select child.oid::regclass as name, to_date(right(child.relname, 8), 'YYYYMMDD') as day
        from pg_inherits join pg_class child on child.oid = inhrelid
        where inhparent = 'task_event'::regclass and child.relname ~ '^task_event_[0-9]{8}$'
    loop
        if (partition.day + 1)::timestamp at time zone 'utc' <= now() - keep then
            execute format('select max(position) from %s', partition.name) into last_position;
            update task_event_pruned set through = greatest(through, coalesce(last_position, 0));
            execute format('drop table %s', partition.name);
        end if;
    end loop;

    with dropped as (delete from task_event_default where at < now() - keep returning position)
    update task_event_pruned set through = greatest(through, last.position)
    from (select max(position) as position from dropped) as last
    where last.position is not null;
end
$$;

-- An agent was changed. What a trigger of somebody else's changes is told too; only a status that follows from a task's event
-- needs no event of its own.
drop trigger agent_after_update on agent;
create trigger agent_after_update
    after update on agent
    for each row when (
        (old.name, old.description, old.avatar_url, old.runtime_id, old.visibility,
         old.max_concurrent_tasks, old.owner_id, old.model, old.archived_at)
        is distinct from
            (new.name, new.description, new.avatar_url, new.runtime_id, new.visibility,
             new.max_concurrent_tasks, new.owner_id, new.model, new.archived_at)
        or pg_trigger_depth() = 0 and old.status is distinct from new.status
    )
    execute function agent_after_change();
