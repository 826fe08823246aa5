// What happens to servers and tokens, by both transports: every event is told once, in order, as the log has it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';

import { connect } from 'callboard-client';
import { callboardForwarder } from 'callboard-client/urql';
import { WebSocket } from 'ws';

import { command, serve } from '../../tests/clients/callboard.js';
import { world } from '../../tests/clients/world.js';
import { logged, prune, record, sql } from '../record.js';

const limit = { timeout: 20_000 };
let here;
let server;
const connections = [];

before(async () => {
  here = await world();
  server = await serve('--listen', '127.0.0.1:0');
});
after(async () => {
  // Those of tests that failed would go on for ever.
  connections.forEach((connection) => connection.close());
  await server.stop('SIGKILL');
});

/** Ends the server, lets something happen, and starts it again where it was. */
async function outage(signal, meanwhile) {
  await server.stop(signal);
  await meanwhile();
  server = await serve('--listen', server.address);
}

/** Prepares a connection that tries again soon. */
function prepare(options) {
  const connection = connect({
    url: `http://${server.address}`,
    webSocket: WebSocket,
    backoff: { first: 20, longest: 200 },
    ...options,
  });
  connections.push(connection);
  return connection;
}

for (const transport of ['ws', 'sse']) {
  const open = (more) => prepare({ token: () => here.host, transport, ...more });

  for (const signal of ['SIGKILL', 'SIGTERM']) {
    test(`${transport}: a workspace is watched across a ${signal}`, limit, async () => {
      const connection = open();
      const seen = record();
      const watch = connection.watchWorkspace(here.workspaceId, seen.handlers);
      await seen.is('live');
      const { __typename, cursor } = seen.updates[0];
      assert.equal(__typename, 'WorkspaceSnapshot');
      await seen.hasEvent(await here.enqueue());
      let missed;
      await outage(signal, async () => {
        await seen.is('offline');
        for (let i = 0; i < 50; i++) missed = await here.enqueue();
      });
      await seen.hasEvent(missed);
      await seen.is('live');
      await seen.hasEvent(await here.enqueue());
      assert.deepEqual(seen.cursors, await logged(here.workspaceId, cursor));
      assert.equal(watch.cursor, seen.cursors.at(-1));
      assert.deepEqual(seen.states, ['live', 'stale', 'offline', 'catching-up', 'live']);
      connection.close();
      await seen.is('offline');
    });
  }

  test(`${transport}: tasks are watched from now on, though the server is killed before anything happens`, limit, async () => {
    const connection = open();
    const seen = record();
    const issueId = randomUUID();
    const watch = connection.watchTasks(here.workspaceId, { filter: { issueId }, ...seen.handlers });
    await seen.is('live');
    const begin = watch.cursor;
    let missed;
    await outage('SIGKILL', async () => {
      await here.enqueue();
      missed = await here.enqueue(issueId);
    });
    await seen.hasEvent(missed);
    const all = await logged(here.workspaceId, begin);
    assert.equal(all.length, 2);
    assert.deepEqual(seen.cursors, all.slice(1));
    connection.close();
  });

  test(`${transport}: who missed only what does not concern them is live again at once`, limit, async () => {
    const [connection, elsewhere] = [open(), await world()];
    const [all, tasks] = [record(), record()];
    const watches = [
      connection.watchWorkspace(here.workspaceId, all.handlers),
      connection.watchTasks(here.workspaceId, tasks.handlers),
    ];
    await Promise.all([all.is('live'), tasks.is('live')]);
    await outage('SIGKILL', async () => {
      await Promise.all([all.is('offline'), tasks.is('offline')]);
      await elsewhere.enqueue();
    });
    const began = Date.now();
    await Promise.all([all.is('live'), tasks.is('live')]);
    // The next of the checkpoints that come now and then would be later.
    assert.ok(Date.now() - began < 9000);
    const [last] = (await logged(elsewhere.workspaceId)).slice(-1);
    watches.forEach((watch) => assert.ok(watch.cursor >= last));
    connection.close();
  });

  test(`${transport}: a token that is revoked is replaced`, limit, async () => {
    const name = randomUUID();
    const tokens = [await here.token('--name', name)];
    const given = [];
    const connection = open({
      token: async () => {
        given.push(tokens[0]);
        return tokens[0];
      },
    });
    const seen = record();
    connection.watchWorkspace(here.workspaceId, seen.handlers);
    await seen.is('live');
    await revoke(name);
    // The token is asked for, and is still the old one: the server refuses it, and it is asked for again.
    await seen.is('offline');
    const missed = await here.enqueue();
    tokens[0] = here.host;
    await seen.hasEvent(missed);
    await seen.is('live');
    assert.deepEqual(seen.cursors, await logged(here.workspaceId, seen.updates[0].cursor));
    assert.deepEqual(seen.states, ['live', 'stale', 'offline', 'catching-up', 'live']);
    assert.equal(given.at(-1), here.host);
    connection.close();
  });

  test(`${transport}: a token that is revoked and cannot be replaced is the end`, limit, async () => {
    const name = randomUUID();
    const connection = open({ token: await here.token('--name', name) });
    const seen = record();
    const watch = connection.watchWorkspace(here.workspaceId, seen.handlers);
    await seen.is('live');
    await revoke(name);
    await seen.until(() => seen.errors.length > 0);
    assert.equal(seen.errors[0].code, transport === 'ws' ? 4403 : 401);
    assert.equal(seen.states.at(-1), 'offline');
    assert.equal(watch.error, seen.errors[0]);
    connection.close();
  });

  test(`${transport}: a cursor that has expired begins anew, and says so`, limit, async () => {
    const connection = open();
    const [all, tasks] = [record(), record()];
    connection.watchWorkspace(here.workspaceId, all.handlers);
    connection.watchTasks(here.workspaceId, tasks.handlers);
    await Promise.all([all.is('live'), tasks.is('live')]);
    let missed;
    await outage('SIGKILL', async () => {
      missed = await here.enqueue();
      await prune();
    });
    const expired = ({ __typename }) => __typename === 'CursorExpired';
    for (const seen of [all, tasks]) {
      await seen.until(() => seen.updates.some(expired));
      await seen.is('live');
    }
    const last = await here.enqueue();
    await Promise.all([all.hasEvent(last), tasks.hasEvent(last)]);
    const afterwards = all.updates.slice(all.updates.findIndex(expired) + 1);
    assert.equal(afterwards[0].__typename, 'WorkspaceSnapshot');
    assert.ok(afterwards[0].activeTasks.some(({ id }) => id === missed));
    for (const seen of [all, tasks]) {
      assert.deepEqual(seen.cursors, await logged(here.workspaceId, afterwards[0].cursor));
      assert.equal(seen.updates.filter(expired).length, 1);
    }
    connection.close();
  });

  test(`${transport}: a server that has fallen silent is left, and found again`, limit, async () => {
    const connection = open({ silence: 1000 });
    const seen = record();
    const watch = connection.watchTasks(here.workspaceId, seen.handlers);
    await seen.is('live');
    const begin = watch.cursor;
    const missed = await here.enqueue();
    await seen.hasEvent(missed);
    server.signal('SIGSTOP');
    let late;
    try {
      await seen.is('offline');
      late = await here.enqueue();
    } finally {
      server.signal('SIGCONT');
    }
    await seen.hasEvent(late);
    assert.deepEqual(seen.cursors, await logged(here.workspaceId, begin));
    assert.deepEqual(seen.states.slice(0, 4), ['catching-up', 'live', 'stale', 'offline']);
    connection.close();
  });

  test(`${transport}: updates are iterated over, until the loop is left`, limit, async () => {
    const connection = open();
    const watch = connection.watchWorkspace(here.workspaceId);
    const told = [];
    for await (const update of watch) {
      told.push(update);
      if (told.length === 1) await here.enqueue();
      if (update.__typename === 'TaskEvent') break;
    }
    assert.equal(watch.state, 'offline');
    const resumed = connection.watchTasks(here.workspaceId, { after: told[0].cursor });
    const [again] = await Promise.all([resumed[Symbol.asyncIterator]().next()]);
    assert.deepEqual(again.value, told.at(-1));
    resumed.close();
    connection.close();
  });

  test(`${transport}: a server that has no room is asked until it has`, limit, async () => {
    const small = await serve('--listen', '127.0.0.1:0', '--connections-per-token', '1');
    try {
      const url = `http://${small.address}`;
      const [first, second] = [open({ url }), open({ url })];
      const [inside, outside] = [record(), record()];
      first.watchWorkspace(here.workspaceId, inside.handlers);
      await inside.is('live');
      const watch = second.watchWorkspace(here.workspaceId, outside.handlers);
      await outside.until(() => watch.error);
      assert.equal(watch.error.code, transport === 'ws' ? 1013 : 429);
      first.close();
      await outside.is('live');
      second.close();
    } finally {
      await small.stop('SIGKILL');
    }
  });

  test(`${transport}: what will never be had is the end`, limit, async () => {
    const connection = open();
    const seen = record();
    connection.watchWorkspace(randomUUID(), seen.handlers);
    await seen.until(() => seen.errors.length > 0);
    assert.equal(seen.errors[0].code, 'NOT_FOUND');
    connection.close();
  });
}

for (const transport of ['ws', 'sse']) {
  test(`${transport}: a transcript goes on behind the line that was told last`, limit, async () => {
    const asked = [];
    class Overheard extends WebSocket {
      send(message) {
        asked.push(message);
        super.send(message);
      }
    }
    const connection = prepare({ token: here.host, transport, webSocket: Overheard });
    const taskId = await here.enqueue();
    await say(taskId, 1, 2);
    const seen = record();
    const query = `subscription($id: UUID!, $afterSeq: Int! = 0) {
      taskMessages(taskId: $id, afterSeq: $afterSeq) { seq } }`;
    callboardForwarder(connection)({ query, variables: { id: taskId } }).subscribe({
      next: ({ data }) => seen.handlers.update(data.taskMessages.seq),
      error: seen.handlers.error,
      complete() {},
    });
    await seen.until(() => seen.updates.length === 2);
    await outage('SIGKILL', () => say(taskId, 3, 4));
    await seen.until(() => seen.updates.length >= 4);
    await say(taskId, 5, 5);
    await seen.until(() => seen.updates.at(-1) === 5);
    assert.deepEqual(seen.updates, [1, 2, 3, 4, 5]);
    // What is told again would not be shown again; it is not even asked for.
    if (transport === 'ws') assert.match(asked.findLast((message) => message.includes('afterSeq')), /"afterSeq":2\b/);
    assert.deepEqual(seen.errors, []);
    connection.close();
  });
}

for (const transport of ['ws', 'sse']) {
  test(`${transport}: who is slower than the stream has no more than so much waiting, and lacks nothing`, limit, async () => {
    const connection = prepare({ token: here.host, transport });
    const seen = record();
    let proceed;
    const gate = new Promise((resolve) => (proceed = resolve));
    const begin = (await logged(here.workspaceId)).at(-1);
    await here.enqueue();
    await sql(
      `insert into agent_task_queue (agent_id, runtime_id, issue_id)
       select id, runtime_id, gen_random_uuid() from agent, generate_series(1, 2500) where id = $1`,
      [here.agentId],
    );
    connection.watchTasks(here.workspaceId, {
      after: begin,
      ...seen.handlers,
      async update(update) {
        seen.handlers.update(update);
        await gate;
      },
    });
    await seen.until(() => seen.updates.length > 0);
    // In the time in which another comes by everything.
    const quick = record();
    connection.watchTasks(here.workspaceId, { after: begin, ...quick.handlers });
    const all = await logged(here.workspaceId, begin);
    await quick.until(() => quick.cursors.length === all.length);
    proceed();
    await seen.until(() => seen.cursors.length === all.length);
    assert.deepEqual(seen.cursors, all);
    assert.ok(seen.states.includes('stale'));
    connection.close();
  });
}

/** Lets a daemon say lines of a transcript. */
async function say(taskId, from, to) {
  await sql(
    `insert into task_message (task_id, seq, type, content)
     select $1, seq, 'text', 'line ' || seq from generate_series($2::int, $3::int) as seq`,
    [taskId, from, to],
  );
}

test('ws: what is told again is not shown again', limit, async () => {
  const begin = (await logged(here.workspaceId)).at(-1);
  // Asks for everything since the beginning, wherever it was.
  class Forgetful extends WebSocket {
    send(message) {
      super.send(message.replace(/"after":"\w+"/, `"after":"${begin}"`));
    }
  }
  const connection = prepare({ token: here.host, transport: 'ws', webSocket: Forgetful });
  const seen = record();
  connection.watchTasks(here.workspaceId, { after: begin, ...seen.handlers });
  await seen.hasEvent(await here.enqueue());
  await outage('SIGKILL', () => here.enqueue());
  await seen.hasEvent(await here.enqueue());
  assert.deepEqual(seen.cursors, await logged(here.workspaceId, begin));
  connection.close();
});

test('ws: a server that says that the client is at fault is not asked again', limit, async () => {
  const rude = (instead) => class extends WebSocket {
    send() {
      super.send(instead);
    }
  };
  const cases = [
    ['garbage', 4400],
    [JSON.stringify({ type: 'subscribe', id: '1', payload: { query: '{ viewer { kind } }' } }), 4401],
  ];
  for (const [message, code] of cases) {
    const connection = prepare({ token: here.host, transport: 'ws', webSocket: rude(message) });
    await assert.rejects(connection.watchWorkspace(here.workspaceId)[Symbol.asyncIterator]().next(), (error) => {
      assert.equal(error.name, 'CallboardError');
      assert.equal(error.code, code);
      return true;
    });
    connection.close();
  }
});

async function revoke(name) {
  const listed = JSON.parse(await command('token', 'list', '--json'));
  await command('token', 'revoke', listed.find((token) => token.name === name).id);
}
