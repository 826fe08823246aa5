-- What daemons and hosts ask for at the same moment, done in one transaction: a commit, which is the dear part, is shared.
--
-- Each function takes an array of objects, one for each who asks, and answers by their places in it, from 0. None of them
-- fails because of what one of them asks. They have to run as statements of their own, so that the answer is known only
-- after the commit; and agents are locked before their tasks, in the order of their ids, in a statement before the one
-- that decides, as everywhere.
--
-- Each row is looked up by its id, whatever the planner believes about a table that was small: where a table would be
-- joined, it is looked into by `offset 0`, for each who asks. And statements are planned once, not for the length of each
-- array, which takes longer than they do. (No kind of join is switched off here: triggers are planned under these settings
-- too, and join what a statement changed, which elsewhere may be ten thousand rows.)

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
        cross join lateral (select * from agent_task_queue where id = asked.task_id offset 0) as task
        cross join lateral (select * from agent_runtime where id = task.runtime_id offset 0) as runtime
        where task.workspace_id = asked.workspace_id and runtime.daemon_id = asked.daemon_id);
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
        (now.task).id = any (p_changed) and (now.task).claim_token is not distinct from spoken.claim_token, now.task
    from unnest(p_spoken_of) as spoken
    cross join lateral (select task from agent_task_queue as task where task.id = spoken.task_id offset 0) as now
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
        where task.id = any (array(select spoken.task_id from unnest(spoken_of) as spoken))
            and by_index('none', task.status = 'dispatched')
            and exists (
                select from unnest(spoken_of) as spoken
                where spoken.task_id = task.id and task.claim_token is not distinct from spoken.claim_token
                    and (spoken.claim_token is null or task.claim_expires_at >= now()) offset 0)
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
            (result, session_id, work_dir) = (
                select p_asked -> spoken.place -> 'result',
                    coalesce(p_asked -> spoken.place ->> 'session_id', task.session_id),
                    coalesce(p_asked -> spoken.place ->> 'work_dir', task.work_dir)
                from unnest(spoken_of) as spoken
                where spoken.task_id = task.id and task.claim_token is not distinct from spoken.claim_token
                limit 1)
        where task.id = any (array(select spoken.task_id from unnest(spoken_of) as spoken))
            and by_index('none', task.status = 'running')
            and exists (
                select from unnest(spoken_of) as spoken
                where spoken.task_id = task.id and task.claim_token is not distinct from spoken.claim_token offset 0)
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
        cross join lateral (
            select * from agent
            where id = asked.agent_id and agent_is_seen(agent, asked.workspace_id, asked.member_id)
            offset 0
        ) as agent
        where agent.archived_at is null
        order by asked.issue_id, asked.agent_id, asked.place
        on conflict (issue_id, agent_id) where status in ('queued', 'dispatched') do nothing
        returning task.id
    )
    select coalesce(array_agg(put.id), '{}') into put_ids from put;
    return query
        select asked.place, agent.archived_at is not null, asked.id = any (put_ids), found.task
        from jsonb_to_recordset(p_asked) as asked (
            place integer, workspace_id uuid, member_id uuid, id uuid, agent_id uuid, issue_id uuid)
        cross join lateral (
            select * from agent
            where id = asked.agent_id and agent_is_seen(agent, asked.workspace_id, asked.member_id)
            offset 0
        ) as agent
        left join lateral (
            select task from agent_task_queue as task
            where task.id = case
                when asked.id = any (put_ids) then asked.id
                when agent.archived_at is null then (
                    select pending.id from agent_task_queue as pending
                    where pending.issue_id = asked.issue_id and pending.agent_id = asked.agent_id
                        and pending.status in ('queued', 'dispatched'))
            end
            offset 0
        ) as found on true;
end
$$;

-- The three that follow are as they were, but in plpgsql, which keeps their plans: those of functions in SQL are made at
-- each call, and took a tenth of a claim each.

-- The runtime's mark, if it is good.
create or replace function task_low_water_mark_of(p_runtime_id uuid) returns task_low_water_mark
language plpgsql stable
as $$
declare
    good task_low_water_mark;
begin
    select mark.* into good
    from task_low_water_mark as mark, task_line_disturbed as disturbed
    where mark.runtime_id = p_runtime_id and mark.as_of = disturbed.last_value;
    return good;
end
$$;

-- A moment before which nothing is queued for the runtime, whatever the priority.
create or replace function task_none_queued_before(p_runtime_id uuid) returns timestamptz
language plpgsql stable
as $$
declare
    mark constant task_low_water_mark := task_low_water_mark_of(p_runtime_id);
begin
    return coalesce((select min(moment) from unnest(mark.none_before) as moment), '-infinity');
end
$$;

-- The session that a claimed task goes on with: the last one of its agent on its issue, or else the one that a retry
-- brought along, if it was made on the same runtime and the task does not ask for a fresh one. (A spoilt session is not
-- brought along to begin with, but retries are put on the board by plain SQL too.)
--
-- VOLATILE, so that it sees what the claim has waited for, and not only what its statement saw when it began.
create or replace function task_session_to_resume(claimed agent_task_queue)
    returns table (session_id text, work_dir text, runtime_id uuid)
language plpgsql volatile
as $$
#variable_conflict use_column
begin
    if claimed.force_fresh_session then
        return;
    end if;
    return query
        select session.session_id, session.work_dir, session.runtime_id
        from (
            select 1 as preference, last.*
            from task_last_session(claimed.workspace_id, claimed.agent_id, claimed.issue_id) as last
            union all
            select 2, claimed.session_id, claimed.work_dir, claimed.runtime_id
            where claimed.session_id is not null
                and not exists (
                    select from agent_task_queue as parent
                    where parent.id = claimed.parent_task_id and task_spoils_session(parent))
            order by preference
            limit 1
        ) as session
        where session.runtime_id = claimed.runtime_id;
end
$$;

-- Whether a runtime was given something that it did not start in time.
create function runtime_has_expired_claims(p_runtime_id uuid) returns boolean
language plpgsql stable
set enable_seqscan = off
as $$
begin
    return exists (
        select from agent_task_queue as task
        where task.runtime_id = p_runtime_id
            and by_index('held_by_runtime', task.status in ('dispatched', 'running'))
            and task.status = 'dispatched' and task.claim_expires_at < now());
end
$$;

-- Takes the best of these tasks that is still to be had. As before, but for how the tasks are looked up.
create or replace function task_take(
    p_heads agent_task_queue[], p_lease interval, p_request_id uuid
) returns agent_task_queue
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    taken agent_task_queue;
begin
    -- MATERIALIZED, because a plain sub-select may be run more than once and lock more than its LIMIT.
    with next as materialized (
        select task.id
        from agent_task_queue as task
        where task.id = any (array(select head.id from unnest(p_heads) as head))
            and by_index('none', task.status = 'queued')
        order by task.priority desc, task.created_at, task.id
        limit 1
        for no key update skip locked
    )
    update agent_task_queue as task
    set status = 'dispatched',
        dispatched_at = now(),
        claim_token = gen_random_uuid(),
        claim_expires_at = now() + p_lease,
        claim_request_id = p_request_id,
        deliveries = deliveries + 1
    where task.id = (select next.id from next) and by_index('none', task.status = 'queued')
    returning task.* into taken;
    return taken;
end
$$;

-- What a daemon asks for.
create type task_claim_asked as (place integer, runtime_id uuid, agent_id uuid, request_id uuid);

-- Those who ask for tasks of the same runtime, or of one agent of it, and the agents whose tasks they may be given: as
-- many as there are who ask, or all that have any.
create type task_claim_line as (
    runtime_id uuid, only_agent_id uuid, places integer[], request_ids uuid[], agent_ids uuid[]);

-- A task in the hands of one who asked.
create type task_claimed as (place integer, task agent_task_queue);

-- Hands one task each to daemons: `{place, workspace_id, daemon_id, runtime_id, agent_id, request_id}`. The best tasks of
-- a runtime are divided among those who ask for it, and the same request again gets the same task. The answer is `take`,
-- with the task; `unknown` where the runtime is not the daemon's; `ask` where it has to be asked again, alone: something
-- has to be taken back before, or somebody else was faster. Who gets nothing is not in the answer.
create function task_claim_together(p_asked jsonb, p_lease interval, p_lock_timeout text)
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
    line task_claim_line;
    agent_ids uuid[];
    heads agent_task_queue[];
    taken agent_task_queue;
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
                        select rest.place, 'ask', null::agent_task_queue from unnest(line.places[nth:]) as rest (place);
                end if;
                exit;
            end if;
            place := line.places[nth];
            answer := 'take';
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
