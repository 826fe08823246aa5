-- What daemons and hosts ask for at the same moment, done in one transaction: a commit, which is the dear part, is shared.
--
-- Each function takes an array of objects, one for each who asks, and answers by their places in it, from 0. None of them
-- fails because of what one of them asks. They have to run as statements of their own, so that the answer is known only
-- after the commit; and agents are locked before their tasks, in the order of their ids, in a statement before the one
-- that decides, as everywhere.
--
-- Each row is looked up by its id, whatever the planner believes about a table that was small; and statements are planned
-- once, not for the length of each array, which takes longer than they do. (No kind of join is switched off here: triggers
-- are planned under these settings too, and join what a statement changed, which elsewhere may be ten thousand rows.)

-- A task that a daemon speaks of, and the claim by which it does so.
create type task_spoken_of as (place integer, task_id uuid, agent_id uuid, claim_token uuid);

-- Refuses to decide by a snapshot that is older than what was waited for; and bounds the waiting, because one lock that
-- somebody else keeps must not hold up all.
create function task_begin_together(p_lock_timeout text) returns void
language plpgsql volatile
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'what is done together has to see what it has waited for: only under READ COMMITTED';
    end if;
    perform set_config('lock_timeout', p_lock_timeout, true);
end
$$;

-- Those of the tasks that are of the runtimes of the daemon that asks; with each its agent, locked.
create function task_lock_spoken_of(p_asked jsonb) returns task_spoken_of[]
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    spoken_of task_spoken_of[];
    agent_ids uuid[];
begin
    spoken_of := array(
        select (asked.place, task.id, task.agent_id, asked.claim_token)::task_spoken_of
        from jsonb_to_recordset(p_asked) as asked (
            place integer, workspace_id uuid, daemon_id text, task_id uuid, claim_token uuid)
        join agent_task_queue as task on task.id = asked.task_id and task.workspace_id = asked.workspace_id
        join agent_runtime as runtime on runtime.id = task.runtime_id and runtime.daemon_id = asked.daemon_id);
    agent_ids := array(select distinct spoken.agent_id from unnest(spoken_of) as spoken);
    perform from agent where id = any (agent_ids) order by id for no key update;
    return spoken_of;
end
$$;

-- The tasks that were spoken of, as they are now, and whether it was the claim that was shown that changed them.
create function task_spoken_of_now(p_spoken_of task_spoken_of[], p_changed uuid[])
    returns table (place integer, changed boolean, task agent_task_queue)
language sql stable
as $$
    select spoken.place,
        task.id = any (p_changed) and task.claim_token is not distinct from spoken.claim_token, task
    from unnest(p_spoken_of) as spoken
    join agent_task_queue as task on task.id = spoken.task_id
$$;

-- Starts claimed tasks: `{place, workspace_id, daemon_id, task_id, claim_token}`. The answer has the tasks as they are
-- then, and whether the claim that was shown has just started it; who asks for what is not theirs is not in it.
create function task_start_together(p_asked jsonb, p_lock_timeout text)
    returns table (place integer, changed boolean, task agent_task_queue)
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    spoken_of task_spoken_of[];
    started uuid[];
begin
    perform task_begin_together(p_lock_timeout);
    spoken_of := task_lock_spoken_of(p_asked);
    -- With a token it must be the row's, under a lease that holds. Without one the row must have none.
    with now_running as (
        update agent_task_queue as task
        set status = 'running', started_at = coalesce(task.started_at, now()), claim_expires_at = null
        from unnest(spoken_of) as spoken
        where task.id = spoken.task_id and by_index('none', task.status = 'dispatched')
            and task.claim_token is not distinct from spoken.claim_token
            and (spoken.claim_token is null or task.claim_expires_at >= now())
        returning task.id
    )
    select coalesce(array_agg(id), '{}') into started from now_running;
    return query select * from task_spoken_of_now(spoken_of, started);
end
$$;

-- Ends running tasks well: as above, with `result`, `session_id` and `work_dir`, each kept where it is absent.
create function task_complete_together(p_asked jsonb, p_lock_timeout text)
    returns table (place integer, changed boolean, task agent_task_queue)
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    spoken_of task_spoken_of[];
    completed uuid[];
begin
    perform task_begin_together(p_lock_timeout);
    spoken_of := task_lock_spoken_of(p_asked);
    with now_completed as (
        update agent_task_queue as task
        set status = 'completed',
            completed_at = now(),
            result = p_asked -> spoken.place -> 'result',
            session_id = coalesce(p_asked -> spoken.place ->> 'session_id', task.session_id),
            work_dir = coalesce(p_asked -> spoken.place ->> 'work_dir', task.work_dir)
        from unnest(spoken_of) as spoken
        where task.id = spoken.task_id and by_index('none', task.status = 'running')
            and task.claim_token is not distinct from spoken.claim_token
        returning task.id
    )
    select coalesce(array_agg(id), '{}') into completed from now_completed;
    return query select * from task_spoken_of_now(spoken_of, completed);
end
$$;

-- Whether an agent is seen from a workspace, or everywhere where it is null, by a member, or everyone where they are null.
create function agent_is_seen(agent agent, p_workspace_id uuid, p_member_id uuid) returns boolean
language sql immutable
as $$
    select (p_workspace_id is null or agent.workspace_id = p_workspace_id)
        and (p_member_id is null or agent.visibility = 'workspace' or agent.owner_id = p_member_id)
$$;

-- Puts tasks on the board: their columns, `place`, and in which workspace and as which member it is asked for, absent
-- where these do not limit what is seen. The answer has, for each agent that may be seen, whether it is archived, and if
-- not, the task: the new one, or the one of the same issue and agent that waits already. Where there is none, the one in
-- the way has just ended, and it has to be asked again.
create function task_enqueue_together(p_asked jsonb, p_lock_timeout text)
    returns table (place integer, archived boolean, inserted boolean, task agent_task_queue)
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    agent_ids uuid[];
    put_ids uuid[];
begin
    perform task_begin_together(p_lock_timeout);
    -- Held until the tasks are on the board, so that whoever archives an agent meanwhile waits, and takes them off again.
    -- No other verb waits for this, nor this for any other.
    agent_ids := array(
        select distinct asked.agent_id from jsonb_to_recordset(p_asked) as asked (agent_id uuid));
    perform from agent where id = any (agent_ids) order by id for key share;
    -- In the order of what has to be unique, so that those who wait for one another do so in one direction.
    with put as (
        insert into agent_task_queue as task (
            id, workspace_id, agent_id, runtime_id, issue_id, chat_session_id, autopilot_run_id, status, priority,
            trigger_comment_id, trigger_summary, context, force_fresh_session, is_leader_task, max_attempts)
        select asked.id, agent.workspace_id, agent.id, agent.runtime_id, asked.issue_id, asked.chat_session_id,
            asked.autopilot_run_id, 'queued', asked.priority, asked.trigger_comment_id, asked.trigger_summary,
            asked.context, asked.force_fresh_session, asked.is_leader_task, asked.max_attempts
        from jsonb_to_recordset(p_asked) as asked (
            place integer, workspace_id uuid, member_id uuid, id uuid, agent_id uuid, issue_id uuid,
            chat_session_id uuid, autopilot_run_id uuid, priority integer, trigger_comment_id uuid,
            trigger_summary text, context jsonb, force_fresh_session boolean, is_leader_task boolean,
            max_attempts integer)
        join agent on agent.id = asked.agent_id
        where agent_is_seen(agent, asked.workspace_id, asked.member_id) and agent.archived_at is null
        order by asked.issue_id, asked.agent_id, asked.place
        on conflict (issue_id, agent_id) where status in ('queued', 'dispatched') do nothing
        returning task.id
    )
    select coalesce(array_agg(put.id), '{}') into put_ids from put;
    return query
        select asked.place, agent.archived_at is not null, asked.id = any (put_ids), task
        from jsonb_to_recordset(p_asked) as asked (
            place integer, workspace_id uuid, member_id uuid, id uuid, agent_id uuid, issue_id uuid)
        join agent on agent.id = asked.agent_id
        left join agent_task_queue as task
            on task.id = case
                when asked.id = any (put_ids) then asked.id
                when agent.archived_at is null then (
                    select pending.id from agent_task_queue as pending
                    where pending.issue_id = asked.issue_id and pending.agent_id = asked.agent_id
                        and pending.status in ('queued', 'dispatched'))
            end
        where agent_is_seen(agent, asked.workspace_id, asked.member_id);
end
$$;

-- Those who ask for tasks of the same runtime, or of one agent of it, and the agents whose tasks they may be given: as
-- many as there are who ask, or all that have any.
create type task_claim_line as (
    runtime_id uuid, only_agent_id uuid, places integer[], request_ids uuid[], agent_ids uuid[]);

-- A task in the hands of one who asked.
create type task_claimed as (place integer, task agent_task_queue);

-- Hands one task each to daemons: `{place, runtime_id, agent_id, request_id}`, of runtimes that are theirs, which was
-- found out before. The best tasks of a runtime are divided among those who ask for it, and the same request again gets
-- the same task. Who gets nothing is not in the answer; who has to ask again, alone, gets a null.
create function task_claim_together(p_asked jsonb, p_lease interval, p_lock_timeout text)
    returns table (place integer, task agent_task_queue)
language plpgsql volatile
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    repeated task_claimed[];
    lines task_claim_line[];
    line task_claim_line;
    agent_ids uuid[];
    heads agent_task_queue[];
    taken agent_task_queue;
begin
    perform task_begin_together(p_lock_timeout);
    -- A repetition that overtakes the first try waits for it here. All wait in one order.
    perform pg_advisory_xact_lock(hashtext('callboard claim'), request.key)
    from (
        select distinct hashtext(asked.request_id::text) as key
        from jsonb_to_recordset(p_asked) as asked (request_id uuid)
        where asked.request_id is not null
        order by key
    ) as request;
    repeated := array(
        select (asked.place, held)::task_claimed
        from jsonb_to_recordset(p_asked) as asked (place integer, runtime_id uuid, request_id uuid)
        join agent_task_queue as held
            on held.claim_request_id = asked.request_id and held.runtime_id = asked.runtime_id
            and by_index('claim_request', held.status in ('dispatched', 'running'))
            and (held.status = 'running' or held.claim_expires_at >= now()));
    return query select again.place, again.task from unnest(repeated) as again;
    -- A request that is here twice is made once: whoever repeats it finds the claim when they ask again.
    return query
        select asked.place, null::agent_task_queue
        from (
            select asked.place, row_number() over (
                partition by asked.request_id, asked.runtime_id order by asked.place) as nth
            from jsonb_to_recordset(p_asked) as asked (place integer, runtime_id uuid, request_id uuid)
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
                from jsonb_to_recordset(p_asked) as asked (
                    place integer, runtime_id uuid, agent_id uuid, request_id uuid)
                order by asked.runtime_id, coalesce(asked.request_id::text, asked.place::text), asked.place
            ) as asked
            where asked.place not in (select again.place from unnest(repeated) as again)
            group by asked.runtime_id, asked.agent_id
        ) as asking);

    -- Chosen without locks, and again under them: every statement here sees what was committed before it began.
    agent_ids := array(select distinct chosen.id from unnest(lines) as l, unnest(l.agent_ids) as chosen (id));
    if cardinality(agent_ids) > 0 then
        perform from agent where id = any (agent_ids) order by id for no key update;
    end if;
    foreach line in array lines loop
        heads := array(select head from task_heads(array[line.runtime_id], line.agent_ids) as head);
        for nth in 1..cardinality(line.places) loop
            -- Who is given nothing locks nothing.
            taken := null;
            if cardinality(heads) > 0 then
                taken := task_take(heads, p_lease, line.request_ids[nth]);
            end if;
            if taken.id is null then
                -- Somebody else was faster, and agents that were not chosen may have something; or else there is nothing.
                if cardinality(line.agent_ids) >= cardinality(line.places) then
                    return query
                        select rest.place, null::agent_task_queue from unnest(line.places[nth:]) as rest (place);
                end if;
                exit;
            end if;
            place := line.places[nth];
            task := taken;
            return next;
            if nth < cardinality(line.places) then
                -- What is next has changed for this agent alone.
                heads := array(
                    select head from unnest(heads) as head where head.agent_id <> taken.agent_id
                    union all
                    select head from task_heads(array[line.runtime_id], array[taken.agent_id]) as head);
            end if;
        end loop;
    end loop;
end
$$;
