-- A task that was not brought about by a comment has no entry among those that were, and one that belongs to no chat
-- session none among those of chat sessions. Most tasks lack at least one of the two, and each of their changes put an entry
-- of nothing behind thousands like it.
drop index agent_task_queue_active_by_comment, agent_task_queue_active_by_chat;
create index agent_task_queue_active_by_comment
    on agent_task_queue (trigger_comment_id)
    where trigger_comment_id is not null
        and by_index('active_by_comment', status in ('queued', 'dispatched', 'running'));
create index agent_task_queue_active_by_chat
    on agent_task_queue (chat_session_id)
    where chat_session_id is not null
        and by_index('active_by_chat', status in ('queued', 'dispatched', 'running'));
