// graphql-ws, the reference of graphql-transport-ws.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

import { command, serve } from '../callboard.js';
import { BANNER, ENQUEUE, EVENTS, SOCKET, inbox, world } from '../world.js';

const here = await world();

/** A client with a token, or with whatever token it is given when it connects. */
function client(token, options = {}) {
  return createClient({
    url: SOCKET,
    webSocketImpl: WebSocket,
    connectionParams: async () => ({
      Authorization: `Bearer ${typeof token === 'function' ? await token() : token}`,
    }),
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
    ...options,
  });
}

/** Subscribes; results and the end come into an inbox. */
function subscribe(client, query, variables) {
  const results = inbox();
  const unsubscribe = client.subscribe({ query, variables }, {
    next: (result) => results.put(result),
    error: (error) => results.put({ error }),
    complete: () => results.put('complete'),
  });
  return { ...results, unsubscribe };
}

test('a query, a mutation and a subscription share a socket', async () => {
  const sut = client(here.host);
  const query = subscribe(sut, '{ viewer { kind } }');
  assert.deepEqual(await query.take(), { data: { viewer: { kind: 'SERVICE' } } });
  assert.equal(await query.take(), 'complete');
  const issue = randomUUID();
  const banner = subscribe(sut, BANNER, { issue });
  assert.deepEqual((await banner.take()).data.issueTasks.activeTasks, []);
  const mutation = subscribe(sut, ENQUEUE, { agent: here.agentId, issue });
  assert.equal((await mutation.take()).data.enqueueTask.task.status, 'QUEUED');
  assert.deepEqual((await banner.take()).data.issueTasks.activeTasks, [{ status: 'QUEUED' }]);
  banner.unsubscribe();
  assert.equal(await banner.take(), 'complete');
  await sut.dispose();
});

test('what cannot be executed ends with its errors', async () => {
  const sut = client(here.host);
  const { error } = await subscribe(sut, '{ viewer { colour } }').take();
  assert.equal(error[0].extensions.code, 'BAD_USER_INPUT');
  const missing = await subscribe(sut, EVENTS, { id: randomUUID() }).take();
  assert.equal(missing.error[0].extensions.code, 'NOT_FOUND');
  await sut.dispose();
});

test('pings of the client are answered', async () => {
  const pongs = inbox();
  const sut = client(here.host, {
    lazy: false,
    keepAlive: 20,
    on: { pong: (received, payload) => received && pongs.put(payload ?? 'pong') },
  });
  assert.equal(await pongs.take(), 'pong');
  assert.equal(await pongs.take(), 'pong');
  await sut.dispose();
});

test('a client whose token is refused tries again, and goes on with one that holds', async () => {
  const closes = [];
  const tokens = ['cb_service_none', here.host];
  const sut = client(() => tokens.shift(), { on: { closed: (event) => closes.push(event.code) } });
  const banner = subscribe(sut, BANNER, { issue: randomUUID() });
  assert.deepEqual((await banner.take()).data.issueTasks.activeTasks, []);
  assert.deepEqual(closes, [4403]);
  await sut.dispose();
});

test('a client whose token is revoked comes back with another', async () => {
  const name = randomUUID();
  const closes = inbox();
  const tokens = [await here.token('--name', name), here.host];
  const sut = client(() => tokens.shift(), { on: { closed: (event) => closes.put(event.code) } });
  const banner = subscribe(sut, BANNER, { issue: randomUUID() });
  await banner.take();
  const listed = JSON.parse(await command('token', 'list', '--json'));
  await command('token', 'revoke', listed.find((token) => token.name === name).id);
  assert.equal(await closes.take(), 4403);
  assert.deepEqual((await banner.take()).data.issueTasks.activeTasks, []);
  await sut.dispose();
});

test('a client goes on where it was when the server stops and another takes its place', async () => {
  const first = await serve('--listen', '127.0.0.1:0');
  const closes = [];
  const seen = [];
  const sut = client(here.host, {
    url: `ws://${first.address}/graphql/ws`,
    retryAttempts: 200,
    on: { closed: (event) => closes.push(event.code) },
  });
  const events = inbox();
  let after;
  const follow = () => sut.subscribe({
    query: EVENTS,
    get variables() {
      return { id: here.workspaceId, after };
    },
  }, {
    next: ({ data, errors }) => {
      assert.equal(errors, undefined);
      after = data.taskEvents.cursor;
      seen.push(data.taskEvents.task.id);
      events.put(data.taskEvents);
    },
    error: assert.fail,
    complete: () => {},
  });
  follow();
  const ready = subscribe(sut, BANNER, { issue: randomUUID() });
  await ready.take();
  const one = await here.enqueue();
  await events.take();
  const stopped = first.stop();
  const two = await here.enqueue();
  await stopped;
  const second = await serve('--listen', first.address);
  const three = await here.enqueue();
  while (!seen.includes(three)) await events.take();
  assert.equal(closes[0], 1012);
  assert.deepEqual(seen, [one, two, three]);
  await sut.dispose();
  await second.stop();
});
