\set runtime :client_id
\set number :client_id + :daemons * random(1, 8)
-- CreateAgentTask
insert into agent_task_queue (
    agent_id, runtime_id, issue_id, status, priority, trigger_comment_id, trigger_summary, force_fresh_session,
    is_leader_task)
values (
    md5('agent ' || :number)::uuid, md5('runtime ' || :runtime)::uuid, gen_random_uuid(), 'queued', 0, null, null,
    false, false)
returning *;
-- ClaimAgentTaskForRuntime
update agent_task_queue
set status = 'dispatched',
    dispatched_at = now(),
    claim_token = gen_random_uuid(),
    claim_expires_at = now() + make_interval(secs => 60::double precision)
where id = (
    select atq.id from agent_task_queue atq
    where atq.agent_id = md5('agent ' || :number)::uuid
        and atq.runtime_id = md5('runtime ' || :runtime)::uuid
        and atq.status = 'queued'
        and not exists (
            select 1 from agent_task_queue active
            where active.agent_id = atq.agent_id
                and active.status in ('dispatched', 'running')
                and ((atq.issue_id is not null and active.issue_id = atq.issue_id)
                    or (atq.chat_session_id is not null and active.chat_session_id = atq.chat_session_id)
                    or (atq.issue_id is null and atq.chat_session_id is null and atq.autopilot_run_id is null
                        and active.issue_id is null and active.chat_session_id is null
                        and active.autopilot_run_id is null)))
    order by atq.priority desc, atq.created_at asc
    limit 1
    for update skip locked)
returning * \gset task_
-- StartAgentTaskWithClaimToken
with started as (
    update agent_task_queue
    set status = 'running', started_at = coalesce(started_at, now()), claim_expires_at = null
    where agent_task_queue.id = :task_id
        and agent_task_queue.status = 'dispatched'
        and agent_task_queue.claim_token = :task_claim_token
        and agent_task_queue.claim_expires_at >= now()
    returning *)
select * from started
union all
select atq.* from agent_task_queue atq
where atq.id = :task_id and atq.status = 'running' and atq.claim_token = :task_claim_token
    and not exists (select 1 from started)
limit 1;
-- CompleteAgentTask
update agent_task_queue
set status = 'completed', completed_at = now(), result = null, session_id = null, work_dir = null
where id = :task_id and status = 'running'
returning *;
