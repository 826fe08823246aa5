SELECT * FROM agent_task_queue
WHERE issue_id = :issue AND status IN ('queued', 'dispatched', 'running')
ORDER BY created_at DESC;
