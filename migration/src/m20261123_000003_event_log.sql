-- The event log: what every live view reads. It is written here, in the transaction that changes a task, an
-- agent or a runtime's status, so that no write path can forget it, plain SQL included.

-- CACHE 1, because the order of the log rests on numbers being drawn when they are asked for. The number 0 is
-- drawn here: last_value then always names a number that was given away.
create sequence task_event_position as bigint minvalue 0 start 0 cache 1;
select nextval('task_event_position');

create table task_event (
    position bigint not null default nextval('task_event_position'),
    at timestamptz not null default clock_timestamp(),
    workspace_id uuid not null,
    -- The kinds of the contract, and agent_changed and runtime_changed, from which presence follows.
    kind text not null,
    task_id uuid,
    agent_id uuid,
    runtime_id uuid,
    issue_id uuid,
    from_status text,
    to_status text,
    attempt integer,
    reason text,
    constraint task_event_pkey primary key (position, at)
) partition by range (at);

create index task_event_by_task on task_event (task_id, position) where task_id is not null;

-- Catches what no day's partition takes: events written while nothing made partitions ahead.
create table task_event_default partition of task_event default;

-- How far the log has been pruned: a cursor below this cannot be resumed.
create table task_event_pruned (
    one_row boolean not null default true constraint task_event_pruned_pkey primary key,
    through bigint not null default 0,
    constraint task_event_pruned_one_row check (one_row)
);
insert into task_event_pruned default values;

-- Makes the partitions of the days to come and drops those older than `keep`. Harmless at any time and from
-- several servers at once; gives up with lock_not_available rather than hold up the writers.
create function task_event_maintain(keep interval) returns void
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
            -- Events of that day that went to the default partition would forbid the new one.
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

select task_event_maintain(interval '7 days');

-- ---------------------------------------------------------------------------------------------------------
-- One order without gaps.
--
-- A sequence is not commit order: a reader that has seen 7 can miss 6, which commits later. So a writer takes
-- a shared advisory lock keyed by the sequence's last value *before* it draws its own numbers, and holds it to
-- the end of its transaction. A reader looks, in this order and in separate statements, at the last value, at
-- the smallest such key, and then at the rows up to the smaller of the two. Whoever drew a number up to there
-- either still holds a lower key, or has let go of it, which happens after its commit became visible.
-- The feed thus waits only for transactions that themselves write events. The bigint key space of advisory
-- locks belongs to this log alone; others use the space of two integers.
-- ---------------------------------------------------------------------------------------------------------

-- Called by the triggers before the first event of a transaction. One lock a transaction is enough: what it
-- draws later is above the first key too. The setting is undone with the lock by a rollback to a savepoint.
create function task_event_open() returns void
language plpgsql
as $$
begin
    if coalesce(current_setting('callboard.event_log_open', true), '') = '' then
        perform pg_advisory_xact_lock_shared((select last_value from task_event_position));
        perform set_config('callboard.event_log_open', 'yes', true);
        -- A commit with a pending NOTIFY takes a lock over the whole cluster, so Callboard's own sessions ring
        -- after the commit, many changes at a time. For everyone else the bell is rung here.
        if current_setting('callboard.rings_after_commit', true) is distinct from 'yes' then
            perform pg_notify('callboard', '');
        end if;
    end if;
end
$$;

-- Up to which position the log is complete. What is read must be read by a later statement.
create function task_event_horizon() returns bigint
language plpgsql volatile
as $$
declare
    drawn bigint;
    lowest_open bigint;
begin
    select last_value into drawn from task_event_position;
    select min((classid::bigint << 32) | objid::bigint) into lowest_open
    from pg_locks
    where locktype = 'advisory'
        and objsubid = 1
        and database = (select oid from pg_database where datname = current_database());
    return least(drawn, lowest_open);
end
$$;

-- A task was put on the board.
create function agent_task_queue_after_insert() returns trigger
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
    return null;
end
$$;

create trigger agent_task_queue_after_insert
    after insert on agent_task_queue
    referencing new table as inserted
    for each statement execute function agent_task_queue_after_insert();

-- A task changed: which event that is, if any.
create function task_event_kind(
    from_row agent_task_queue, to_row agent_task_queue
) returns text
language sql immutable parallel safe
as $$
    select case
        when from_row.status = 'dispatched' and to_row.status = 'queued' then 'requeued'
        when from_row.status <> to_row.status then to_row.status
        when from_row.issue_id is distinct from to_row.issue_id then 'linked'
        when from_row.session_id is distinct from to_row.session_id
            or from_row.work_dir is distinct from to_row.work_dir then 'session_pinned'
        when from_row.progress_at is distinct from to_row.progress_at then 'progress'
    end
$$;

create function agent_task_queue_after_update() returns trigger
language plpgsql
as $$
declare
    changed_agents uuid[];
begin
    if not exists (
        select from before join after using (id) where task_event_kind(before, after) is not null
    ) then
        return null;
    end if;

    perform task_event_open();
    insert into task_event (
        workspace_id, kind, task_id, agent_id, runtime_id, issue_id, from_status, to_status, attempt, reason)
    select after.workspace_id, task_event_kind(before, after), after.id, after.agent_id, after.runtime_id,
        after.issue_id, before.status, after.status, after.attempt, after.failure_reason
    from before join after using (id)
    where task_event_kind(before, after) is not null
    order by after.id;

    -- agent.status follows, once for each agent and only where it changes. The agents are locked first, in
    -- one order, and the tasks counted by a later statement: two transactions that end an agent's last two
    -- tasks would otherwise each see the other's still running.
    changed_agents := array(
        select distinct after.agent_id from before join after using (id)
        where (before.status in ('dispatched', 'running')) <> (after.status in ('dispatched', 'running')));
    if cardinality(changed_agents) > 0 then
        perform from agent where id = any (changed_agents) order by id for no key update;
        update agent
        set status = derived.status, updated_at = now()
        from (
            -- Not by EXISTS, for which everything that is at work anywhere may be looked at.
            select id, coalesce((
                select 'working' from agent_task_queue as task
                where task.agent_id = agent.id and by_index('at_work', task.status in ('dispatched', 'running'))
                limit 1
            ), 'idle') as status
            from agent where id = any (changed_agents)
        ) as derived
        where agent.id = derived.id and agent.status is distinct from derived.status;
    end if;
    return null;
end
$$;

create trigger agent_task_queue_after_update
    after update on agent_task_queue
    referencing old table as before new table as after
    for each statement execute function agent_task_queue_after_update();

-- An agent was made or changed. For each row with a condition, not for each statement: the condition costs
-- nothing where it does not hold. A status that follows from a task's event needs no event of its own.
create function agent_after_change() returns trigger
language plpgsql
as $$
begin
    perform task_event_open();
    insert into task_event (workspace_id, kind, agent_id, runtime_id)
    values (new.workspace_id, 'agent_changed', new.id, new.runtime_id);
    return null;
end
$$;

create trigger agent_after_insert
    after insert on agent
    for each row execute function agent_after_change();

create trigger agent_after_update
    after update on agent
    for each row when (
        pg_trigger_depth() = 0
        and (old.name, old.description, old.avatar_url, old.runtime_id, old.visibility, old.status,
             old.max_concurrent_tasks, old.owner_id, old.model, old.archived_at)
        is distinct from
            (new.name, new.description, new.avatar_url, new.runtime_id, new.visibility, new.status,
             new.max_concurrent_tasks, new.owner_id, new.model, new.archived_at)
    )
    execute function agent_after_change();

-- A runtime came, went on line or off line. A heartbeat fails the condition and costs nothing.
create function agent_runtime_after_change() returns trigger
language plpgsql
as $$
begin
    perform task_event_open();
    insert into task_event (workspace_id, kind, runtime_id)
    values (new.workspace_id, 'runtime_changed', new.id);
    return null;
end
$$;

create trigger agent_runtime_after_insert
    after insert on agent_runtime
    for each row execute function agent_runtime_after_change();

create trigger agent_runtime_after_update
    after update on agent_runtime
    for each row when (old.status is distinct from new.status)
    execute function agent_runtime_after_change();
