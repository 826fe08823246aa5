-- Failures that arrive together share a transaction too, as when the provider of a model is down: and so the rule of who is
-- tried again stands here, where all that ends tasks can apply it to many at once.

-- Whether a failed task is tried again by itself: for a reason that lies outside the work (the place where it ran was lost,
-- or time ran out), while tries are left, and only where a person waits for it at an issue or in a chat.
create function task_earns_retry(failed agent_task_queue) returns boolean
language sql immutable
as $$
    select coalesce(failed.failure_reason in ('runtime_offline', 'runtime_recovery', 'timeout'), false)
        and (failed.issue_id is not null or failed.chat_session_id is not null)
        and failed.autopilot_run_id is null
        and failed.attempt < failed.max_attempts
$$;

-- Puts the next tries of tasks on the board, under these ids. They go on with the sessions of these, unless that would poison
-- them too. Where the issue and agent already have another task that waits there is none.
create function task_try_again(p_ids uuid[], p_parent_ids uuid[]) returns setof agent_task_queue
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
    -- In the order of what has to be unique, so that those who wait for one another do so in one direction.
    return query
        insert into agent_task_queue (
            id, workspace_id, agent_id, runtime_id, issue_id, chat_session_id, autopilot_run_id, status, priority,
            trigger_comment_id, trigger_summary, context, session_id, work_dir, attempt, max_attempts,
            parent_task_id, is_leader_task)
        select next.id, parent.workspace_id, parent.agent_id, parent.runtime_id, parent.issue_id,
            parent.chat_session_id, parent.autopilot_run_id, 'queued', parent.priority, parent.trigger_comment_id,
            parent.trigger_summary, parent.context,
            case when not task_spoils_session(parent) then parent.session_id end,
            parent.work_dir, parent.attempt + 1, parent.max_attempts, parent.id, parent.is_leader_task
        from unnest(p_ids, p_parent_ids) as next (id, parent_id)
        cross join lateral (select * from agent_task_queue where id = next.parent_id offset 0) as parent
        order by parent.issue_id, parent.agent_id, next.id
        on conflict (issue_id, agent_id) where status in ('queued', 'dispatched') do nothing
        returning *;
end
$$;

-- The same for tasks that have just failed in this transaction: for those of them that earn it.
create function task_try_again_if_earned(p_ids uuid[], p_failed_ids uuid[]) returns setof agent_task_queue
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    ids uuid[];
    parent_ids uuid[];
begin
    select array_agg(next.id), array_agg(next.failed_id) into ids, parent_ids
    from unnest(p_ids, p_failed_ids) as next (id, failed_id)
    cross join lateral (select * from agent_task_queue where id = next.failed_id offset 0) as failed
    where task_earns_retry(failed);
    if cardinality(ids) > 0 then
        return query select * from task_try_again(ids, parent_ids);
    end if;
end
$$;

-- Ends dispatched and running tasks badly, and tries again those that earn it:
-- `{place, workspace_id, daemon_id, task_id, claim_token, error, failure_reason, session_id, work_dir, retry_id}`, of which
-- the session and the directory are kept where they are absent. The answer has the tasks as they are then, whether the claim
-- that was shown has just ended it, and if so its next try, if it has one. Who asks for what is not theirs is not in it.
create function task_fail_together(p_asked jsonb, p_lock_timeout text)
    returns table (place integer, changed boolean, task agent_task_queue, retry agent_task_queue)
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    spoken_of task_spoken_of[];
    failed uuid[];
    retry_ids uuid[];
    retries agent_task_queue[];
begin
    perform task_begin_together(p_lock_timeout);
    spoken_of := task_lock_spoken_of(p_asked);
    with now_failed as (
        update agent_task_queue as task
        set status = 'failed',
            completed_at = now(),
            (error, failure_reason, session_id, work_dir) = (
                select p_asked -> spoken.place ->> 'error',
                    coalesce(p_asked -> spoken.place ->> 'failure_reason', 'agent_error'),
                    coalesce(p_asked -> spoken.place ->> 'session_id', task.session_id),
                    coalesce(p_asked -> spoken.place ->> 'work_dir', task.work_dir)
                from unnest(spoken_of) as spoken
                where spoken.task_id = task.id and task.claim_token is not distinct from spoken.claim_token
                limit 1)
        where task.id = any (array(select spoken.task_id from unnest(spoken_of) as spoken))
            and by_index('none', task.status in ('dispatched', 'running'))
            and exists (
                select from unnest(spoken_of) as spoken
                where spoken.task_id = task.id and task.claim_token is not distinct from spoken.claim_token offset 0)
        returning task.id
    )
    select coalesce(array_agg(id), '{}') into failed from now_failed;
    retry_ids := array(
        select (
            select (p_asked -> spoken.place ->> 'retry_id')::uuid
            from unnest(spoken_of) as spoken
            where spoken.task_id = ended.id
            limit 1)
        from unnest(failed) as ended (id));
    retries := array(select retry from task_try_again_if_earned(retry_ids, failed) as retry);
    return query
        select now.place, now.changed, now.task,
            (select retry from unnest(retries) as retry where now.changed and retry.parent_task_id = (now.task).id)
        from task_spoken_of_now(spoken_of, failed) as now;
end
$$;
