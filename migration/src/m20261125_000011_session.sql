-- Which session a task goes on with. The rule stands here for the claim, for what is told of an issue, and for what a
-- retry brings along.

-- Whether a task ended in a way that would poison whoever resumes its session.
create function task_spoils_session(ended agent_task_queue) returns boolean
language sql immutable parallel safe
as $$
    select by_index('none', ended.status = 'failed') and coalesce(
        ended.failure_reason in ('iteration_limit', 'agent_fallback_message', 'api_invalid_request')
            or ended.error ilike '%400%' and ended.error ilike '%invalid_request_error%',
        false)
$$;

-- The session of the agent's last finished task on an issue that does not spoil it.
create function task_last_session(p_workspace_id uuid, p_agent_id uuid, p_issue_id uuid)
    returns table (session_id text, work_dir text, runtime_id uuid)
language sql stable
as $$
    select task.session_id, task.work_dir, task.runtime_id
    from agent_task_queue as task
    where task.workspace_id = p_workspace_id and task.agent_id = p_agent_id and task.issue_id = p_issue_id
        and task.session_id is not null
        and by_index('none', task.status in ('completed', 'failed'))
        and not task_spoils_session(task)
    order by coalesce(task.completed_at, task.started_at, task.dispatched_at, task.created_at) desc, task.id desc
    limit 1
$$;

-- The session that a claimed task goes on with: the last one of its agent on its issue, or else the one that a retry
-- brought along, if it was made on the same runtime and the task does not ask for a fresh one. (A spoilt session is not
-- brought along to begin with, but retries are put on the board by plain SQL too.)
--
-- VOLATILE, so that it sees what the claim has waited for, and not only what its statement saw when it began.
create function task_session_to_resume(claimed agent_task_queue)
    returns table (session_id text, work_dir text, runtime_id uuid)
language sql volatile
as $$
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
    where not claimed.force_fresh_session and session.runtime_id = claimed.runtime_id
$$;
