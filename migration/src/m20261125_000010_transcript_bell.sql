-- Lines of a transcript ring the bell. They are no events: there are too many of them, and few are ever watched.
--
-- As for events, only sessions that are not Callboard's own are rung for here: those ring after the commit.
create function task_message_after_insert() returns trigger
language plpgsql
as $$
begin
    perform pg_notify('callboard', '');
    return null;
end
$$;

create trigger task_message_after_insert
    after insert on task_message
    for each statement when (current_setting('callboard.rings_after_commit', true) is distinct from 'yes')
    execute function task_message_after_insert();
