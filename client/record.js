// What a watch tells, kept; and what the log in the database says that it should have.

import pg from 'pg';

/** Keeps what handlers are called with. */
export function record() {
  const waiting = [];
  const kept = { updates: [], states: [], errors: [] };
  const keep = (list) => (value) => {
    // A state comes again with another reason.
    if (list.at(-1) !== value) list.push(value);
    waiting.splice(0).forEach((wake) => wake());
  };
  return {
    ...kept,
    handlers: { update: keep(kept.updates), state: keep(kept.states), error: keep(kept.errors) },
    /** The cursors of the events that were told. */
    get cursors() {
      return kept.updates.filter(({ __typename }) => __typename === 'TaskEvent').map(({ cursor }) => cursor);
    },
    /** Waits until something is so that comes with an update, a state or an error; the time-out of the test is the limit. */
    async until(condition) {
      while (!condition()) await new Promise((resolve) => waiting.push(resolve));
    },
    /** Waits until this is the state. */
    async is(state) {
      await this.until(() => kept.states.at(-1) === state);
    },
    /** Waits until this has been told of a task. */
    async hasEvent(taskId) {
      await this.until(() => kept.updates.some(({ task }) => task?.id === taskId));
    },
  };
}

/** Asks the database itself. */
export async function sql(statement, values) {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  try {
    return (await client.query(statement, values)).rows;
  } finally {
    await client.end();
  }
}

/** The cursors of the events of a workspace's tasks, by the log. */
export async function logged(workspaceId, after = '') {
  const rows = await sql(
    `select 'c' || lpad(to_hex(position), 16, '0') as cursor from task_event
     where workspace_id = $1 and task_id is not null order by position`,
    [workspaceId],
  );
  return rows.map(({ cursor }) => cursor).filter((cursor) => cursor > after);
}

/** Forgets all that has happened, as the server does after a week. */
export async function prune() {
  await sql(`update task_event set at = at - interval '20 days'`);
  await sql(`select task_event_maintain(interval '7 days')`);
}
