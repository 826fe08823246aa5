-- Which of an agent's tasks may not be at work side by side. What else holds tasks back, and how the next one is found,
-- stands in m20261125_000008_claim_from_the_mark.sql.

-- Why a waiting task may not run beside an active one of the same agent, or null where it may: the same issue, the
-- same chat session, or both without an issue, chat session and autopilot run. Autopilot runs are not serialised.
create function task_serialised_behind(waiting agent_task_queue, active agent_task_queue) returns text
language sql immutable parallel safe
as $$
    select case
        when waiting.issue_id = active.issue_id then 'same_issue_active'
        when waiting.chat_session_id = active.chat_session_id then 'same_chat_active'
        when waiting.issue_id is null and waiting.chat_session_id is null and waiting.autopilot_run_id is null
            and active.issue_id is null and active.chat_session_id is null and active.autopilot_run_id is null
            then 'quick_create_active'
    end
$$;
