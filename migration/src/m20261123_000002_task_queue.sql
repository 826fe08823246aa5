-- Agents, the runtimes that they run on, and the queue of their tasks.
--
-- Statuses are text with a CHECK, not native enums: callers of these tables assign a CASE of text.
-- Constraints are named, because error mapping and tests quote them.

-- One provider on one daemon in one workspace: where an agent's tasks run.
create table agent_runtime (
    id uuid not null default callboard_uuid_v7(),
    workspace_id uuid not null,
    daemon_id text not null,
    name text not null,
    runtime_mode text not null default 'local',
    provider text not null,
    status text not null default 'offline',
    device_info text not null default '',
    metadata jsonb not null default '{}',
    -- Unindexed on purpose, in pages with room: a heartbeat is then a heap-only update that leaves nothing
    -- for vacuum (an index here left 287 780 dead tuples where none left 392).
    last_seen_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint agent_runtime_pkey primary key (id),
    constraint agent_runtime_workspace_fkey foreign key (workspace_id) references workspace on delete cascade,
    constraint agent_runtime_daemon_provider_unique unique (workspace_id, daemon_id, provider),
    constraint agent_runtime_mode_known check (runtime_mode in ('local', 'cloud')),
    constraint agent_runtime_status_known check (status in ('online', 'offline'))
) with (fillfactor = 50);

-- The configured persona that tasks are addressed to.
create table agent (
    id uuid not null default callboard_uuid_v7(),
    workspace_id uuid not null,
    name text not null,
    description text not null default '',
    avatar_url text,
    runtime_mode text not null default 'local',
    runtime_config jsonb not null default '{}',
    runtime_id uuid not null,
    visibility text not null default 'private',
    -- Kept true by the triggers on agent_task_queue: working while a task is dispatched or running.
    status text not null default 'idle',
    max_concurrent_tasks integer not null default 6,
    -- A member of the workspace, or nobody.
    owner_id uuid,
    instructions text not null default '',
    -- A secret: leaves the database only in a claim.
    custom_env jsonb not null default '{}',
    custom_args jsonb not null default '[]',
    -- A secret: leaves the database only in a claim.
    mcp_config jsonb,
    model text,
    archived_at timestamptz,
    archived_by uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint agent_pkey primary key (id),
    -- What the queue's foreign key points to: a task's workspace is its agent's.
    constraint agent_in_workspace_unique unique (workspace_id, id),
    constraint agent_workspace_fkey foreign key (workspace_id) references workspace on delete cascade,
    constraint agent_runtime_fkey foreign key (runtime_id) references agent_runtime,
    constraint agent_mode_known check (runtime_mode in ('local', 'cloud')),
    constraint agent_visibility_known check (visibility in ('workspace', 'private')),
    constraint agent_status_known check (status in ('idle', 'working', 'blocked', 'error', 'offline')),
    constraint agent_capacity_positive check (max_concurrent_tasks >= 1)
) with (fillfactor = 70);

create index agent_by_runtime on agent (runtime_id);

-- The queue and the history of tasks.
create table agent_task_queue (
    id uuid not null default callboard_uuid_v7(),
    -- The agent's; a trigger fills it where an insert leaves it out.
    workspace_id uuid not null,
    agent_id uuid not null,
    -- The agent's at the time of the enqueue. No foreign key: history outlives runtimes.
    runtime_id uuid not null,
    -- The host application's ids. It alone knows what they name.
    issue_id uuid,
    chat_session_id uuid,
    autopilot_run_id uuid,
    trigger_comment_id uuid,
    trigger_summary text,
    status text not null default 'queued',
    priority integer not null default 0,
    created_at timestamptz not null default now(),
    dispatched_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    -- The fence: random, new with every claim, kept to the end of the task.
    claim_token uuid,
    -- Until when a dispatched task must be started.
    claim_expires_at timestamptz,
    -- What the claimer called its request: the same one again gets the same claim.
    claim_request_id uuid,
    -- How often the task was handed out.
    deliveries integer not null default 0,
    attempt integer not null default 1,
    max_attempts integer not null default 2,
    parent_task_id uuid,
    context jsonb,
    result jsonb,
    error text,
    failure_reason text,
    session_id text,
    work_dir text,
    force_fresh_session boolean not null default false,
    is_leader_task boolean not null default false,
    progress_summary text,
    progress_step integer,
    progress_total integer,
    progress_at timestamptz,
    constraint agent_task_queue_pkey primary key (id),
    constraint agent_task_queue_agent_fkey foreign key (workspace_id, agent_id)
        references agent (workspace_id, id) on update cascade on delete cascade,
    constraint agent_task_queue_parent_fkey foreign key (parent_task_id)
        references agent_task_queue on delete set null,
    constraint agent_task_queue_status_known
        check (status in ('queued', 'dispatched', 'running', 'completed', 'failed', 'cancelled')),
    constraint agent_task_queue_completed_at_iff_terminal
        check ((completed_at is not null) = (status in ('completed', 'failed', 'cancelled'))),
    constraint agent_task_queue_attempt_positive check (attempt >= 1 and max_attempts >= 1)
) with (
    fillfactor = 80,
    -- The active rows are few and change often; their indexes must not fill with the dead.
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02
);

-- One queued or dispatched task for each issue and agent; a running one allows one successor.
create unique index agent_task_queue_one_pending_per_issue_and_agent
    on agent_task_queue (issue_id, agent_id) where status in ('queued', 'dispatched');
-- The claim: the head of each agent's line on a runtime.
create index agent_task_queue_claim_order
    on agent_task_queue (runtime_id, agent_id, priority desc, created_at, id) where status = 'queued';
-- What occupies an agent: capacity and serialisation look here.
create index agent_task_queue_occupying
    on agent_task_queue (agent_id) where status in ('dispatched', 'running');
-- What a runtime holds, oldest lease first.
create index agent_task_queue_held_by_runtime
    on agent_task_queue (runtime_id, claim_expires_at) where status in ('dispatched', 'running');
create index agent_task_queue_active_in_workspace
    on agent_task_queue (workspace_id, agent_id) where status in ('queued', 'dispatched', 'running');
create index agent_task_queue_active_by_comment
    on agent_task_queue (trigger_comment_id) where status in ('queued', 'dispatched', 'running');
create index agent_task_queue_active_by_chat
    on agent_task_queue (chat_session_id) where status in ('queued', 'dispatched', 'running');
create index agent_task_queue_claim_request
    on agent_task_queue (claim_request_id) where claim_request_id is not null and status in ('dispatched', 'running');
-- Each agent's latest outcome by a look at one row (162 buffers instead of 6 631 by DISTINCT ON).
create index agent_task_queue_outcomes
    on agent_task_queue (agent_id, completed_at desc nulls last) where status in ('completed', 'failed');
-- Pages, newest first.
create index agent_task_queue_by_workspace on agent_task_queue (workspace_id, created_at desc, id desc);
create index agent_task_queue_by_agent on agent_task_queue (agent_id, created_at desc, id desc);
create index agent_task_queue_by_issue on agent_task_queue (issue_id, created_at desc, id desc) where issue_id is not null;

-- An insert that names only the agent gets its workspace.
create function agent_task_queue_fill_workspace() returns trigger
language plpgsql
as $$
begin
    select workspace_id into new.workspace_id from agent where id = new.agent_id;
    return new;
end
$$;

create trigger agent_task_queue_fill_workspace
    before insert on agent_task_queue
    for each row when (new.workspace_id is null)
    execute function agent_task_queue_fill_workspace();

-- A line of a task's transcript. The key makes a resent batch harmless.
create table task_message (
    task_id uuid not null,
    seq integer not null,
    type text not null,
    tool text,
    content text,
    input jsonb,
    output text,
    at timestamptz not null default now(),
    constraint task_message_pkey primary key (task_id, seq),
    constraint task_message_task_fkey foreign key (task_id) references agent_task_queue on delete cascade,
    constraint task_message_seq_positive check (seq >= 1)
);

-- What a task used, by model.
create table task_usage (
    task_id uuid not null,
    provider text not null,
    model text not null,
    input_tokens integer not null,
    output_tokens integer not null,
    cache_read_tokens integer not null,
    cache_write_tokens integer not null,
    constraint task_usage_pkey primary key (task_id, provider, model),
    constraint task_usage_task_fkey foreign key (task_id) references agent_task_queue on delete cascade,
    constraint task_usage_not_negative
        check (least(input_tokens, output_tokens, cache_read_tokens, cache_write_tokens) >= 0)
);
