-- An agent's status follows its tasks with fewer looks at its row, of which there are many versions while somebody holds a
-- snapshot: each task changes the status twice.

-- Room for some thirty versions on each page, of two or three rows. An update that finds room on the page of its row writes no
-- entries of indexes; without that, whoever looks for an agent beside a held snapshot passes over an entry for every version.
-- Rows move to such pages as they are updated. Whoever reads all agents reads more pages for it.
alter table agent set (fillfactor = 10);

-- As before, but that an agent is read when it is locked, is at work without a further look if it has just been given something,
-- and is looked for again only if its status changes.
create or replace function agent_task_queue_after_update() returns trigger
language plpgsql
as $$
declare
    agent_ids uuid[];
    statuses text[];
    at_work uuid[];
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

    -- agent.status follows, once for each agent and only where it changes. The agents are locked first, in one order, and
    -- the tasks counted by a later statement: two transactions that end an agent's last two tasks would otherwise each see
    -- the other's still running.
    select array_agg(locked.id), array_agg(locked.status) into agent_ids, statuses
    from (
        select id, status from agent
        where id = any (array(
            select distinct after.agent_id from before join after using (id)
            where (before.status in ('dispatched', 'running')) <> (after.status in ('dispatched', 'running'))))
        order by id
        for no key update
    ) as locked;
    if agent_ids is not null then
        at_work := array(select distinct after.agent_id from after where after.status in ('dispatched', 'running'));
        update agent
        set status = derived.status, updated_at = now()
        from (
            -- Not by EXISTS, for which everything that is at work anywhere may be looked at.
            select known.id, known.status as before, case when known.id = any (at_work) then 'working' else coalesce((
                select 'working' from agent_task_queue as task
                where task.agent_id = known.id and by_index('at_work', task.status in ('dispatched', 'running'))
                limit 1
            ), 'idle') end as status
            from unnest(agent_ids, statuses) as known (id, status)
            offset 0
        ) as derived
        where agent.id = derived.id and derived.before is distinct from derived.status;
    end if;
    return null;
end
$$;
