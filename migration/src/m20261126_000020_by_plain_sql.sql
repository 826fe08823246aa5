-- What plain SQL may write here.

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
