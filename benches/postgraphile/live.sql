-- What users of PostGraphile add to be told of changes: a trigger, which notifies everybody of each event as it is written.
-- Its argument says whether it tells of the task as well, or leaves that to be read for each subscriber.

create function tell_of_task_event() returns trigger
language plpgsql
as $$
begin
    perform pg_notify('taskEvents:' || new.workspace_id, json_build_object(
        'cursor', 'c' || lpad(to_hex(new.position), 16, '0'),
        'kind', upper(new.kind),
        'at', new.at,
        'fromStatus', upper(new.from_status),
        'toStatus', upper(new.to_status),
        'taskId', new.task_id,
        'told', case when tg_argv[0]::boolean then (
            select json_build_object(
                'rowId', task.id, 'agentId', task.agent_id, 'status', task.status, 'priority', task.priority,
                'createdAt', task.created_at, 'triggerSummary', task.trigger_summary
            )
            from agent_task_queue as task
            where task.id = new.task_id
        ) end
    )::text);
    return null;
end
$$;
