SELECT * FROM agent
WHERE workspace_id = :workspace AND archived_at IS NULL
ORDER BY created_at ASC;

SELECT atq.* FROM agent_task_queue atq
JOIN agent a ON a.id = atq.agent_id
WHERE a.workspace_id = :workspace
  AND atq.status IN ('queued', 'dispatched', 'running')
UNION ALL
SELECT t.* FROM (
    SELECT DISTINCT ON (atq.agent_id) atq.*
    FROM agent_task_queue atq
    JOIN agent a ON a.id = atq.agent_id
    WHERE a.workspace_id = :workspace
      AND atq.status IN ('completed', 'failed')
    ORDER BY atq.agent_id, atq.completed_at DESC NULLS LAST
) t;
