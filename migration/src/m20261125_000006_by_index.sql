-- Which index a statement takes, where the planner cannot know.
--
-- What is queued or at work is a small part of the table, and changes faster than statistics do. With those of a quiet
-- time, every index on such a part seems to have one entry, all look alike, and a claim may read a hundred thousand
-- entries of one where another would have led to the task. So these indexes have a condition with their name in it, which
-- the planner takes for none but itself: who states it in a query, gets the index of that name or none of them.
--
-- A condition by_index('none', …) leads nowhere: so says a statement that has the primary key, and must not be led
-- astray by an index that seems to have but one entry.
--
-- (The functions that read the lines in their order say besides that they want no other: where few rows are expected,
-- gathering and sorting them looks cheaper. What discourages that must not look like work that is worth compiling.)
create function by_index(name text, condition boolean) returns boolean
language plpgsql immutable parallel safe
as $$ begin return condition; end $$;

-- The lines in which an agent's tasks wait on a runtime. Tasks of one chat session wait for one another, as do those
-- without any link; of an issue there is never more than one.
drop index if exists
    agent_task_queue_line_of_chat, agent_task_queue_line_without_link, agent_task_queue_line_of_others;
create index agent_task_queue_line_of_chat
    on agent_task_queue (runtime_id, agent_id, chat_session_id, priority desc, created_at, id)
    where by_index('line', status = 'queued') and chat_session_id is not null;
create index agent_task_queue_line_without_link
    on agent_task_queue (runtime_id, agent_id, priority desc, created_at, id)
    where by_index('line', status = 'queued')
        and chat_session_id is null and issue_id is null and autopilot_run_id is null;
create index agent_task_queue_line_of_others
    on agent_task_queue (runtime_id, agent_id, priority desc, created_at, id)
    where by_index('line', status = 'queued')
        and chat_session_id is null and (issue_id is not null or autopilot_run_id is not null);

-- All of them, by agent.
drop index agent_task_queue_claim_order;
create index agent_task_queue_line_of_agent
    on agent_task_queue (runtime_id, agent_id, priority desc, created_at, id)
    where by_index('line_of_agent', status = 'queued');

-- The order of the whole runtime.
drop index if exists agent_task_queue_line_of_runtime;
create index agent_task_queue_line_of_runtime
    on agent_task_queue (runtime_id, priority desc, created_at, id)
    where by_index('line_of_runtime', status = 'queued');

-- What occupies an agent. (The index that was there remains for others' SQL, and for the sweeper.)
create index agent_task_queue_at_work
    on agent_task_queue (agent_id)
    where by_index('at_work', status in ('dispatched', 'running'));

-- What a runtime holds, oldest lease first.
drop index agent_task_queue_held_by_runtime;
create index agent_task_queue_held_by_runtime
    on agent_task_queue (runtime_id, claim_expires_at)
    where by_index('held_by_runtime', status in ('dispatched', 'running'));

drop index agent_task_queue_claim_request;
create index agent_task_queue_claim_request
    on agent_task_queue (claim_request_id)
    where claim_request_id is not null and by_index('claim_request', status in ('dispatched', 'running'));

-- What is active, counted by agent and status from the index alone.
drop index agent_task_queue_active_in_workspace;
create index agent_task_queue_active_in_workspace
    on agent_task_queue (workspace_id, agent_id, status)
    where by_index('active', status in ('queued', 'dispatched', 'running'));

-- What a cancel looks for.
drop index agent_task_queue_active_by_comment, agent_task_queue_active_by_chat;
create index agent_task_queue_active_by_comment
    on agent_task_queue (trigger_comment_id)
    where by_index('active_by_comment', status in ('queued', 'dispatched', 'running'));
create index agent_task_queue_active_by_chat
    on agent_task_queue (chat_session_id)
    where by_index('active_by_chat', status in ('queued', 'dispatched', 'running'));

-- The next try of a task; without it, every task that is deleted would be looked for in all others.
create index agent_task_queue_by_parent on agent_task_queue (parent_task_id) where parent_task_id is not null;
