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
