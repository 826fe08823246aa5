// urql, over HTTP, over a socket and over event streams.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import { pipe, subscribe } from 'wonka';
import { WebSocket } from 'ws';

import { BANNER, ENQUEUE, HTTP, SOCKET, STREAM, inbox, world } from '../world.js';

const here = await world();

function client(token, exchanges, options = {}) {
  return new Client({
    url: HTTP,
    exchanges,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    ...options,
  });
}

/** Subscribes to an issue, and watches a task come. */
async function watch(sut) {
  const issue = randomUUID();
  const results = inbox();
  const { unsubscribe } = pipe(
    sut.subscription(BANNER, { issue }),
    subscribe((result) => results.put(result)),
  );
  const first = await results.take();
  assert.equal(first.error, undefined);
  assert.deepEqual(first.data.issueTasks.activeTasks, []);
  await here.enqueue(issue);
  assert.equal((await results.take()).data.issueTasks.activeTasks[0].status, 'QUEUED');
  unsubscribe();
}

test('queries by POST and by GET and mutations have their results', async () => {
  for (const preferGetMethod of [false, 'force']) {
    const sut = client(here.host, [fetchExchange], { preferGetMethod });
    const query = await sut.query('{ viewer { kind } }', {}).toPromise();
    assert.equal(query.error, undefined);
    assert.equal(query.data.viewer.kind, 'SERVICE');
    const variables = { agent: here.agentId, issue: randomUUID() };
    const mutation = await sut.mutation(ENQUEUE, variables).toPromise();
    assert.equal(mutation.data.enqueueTask.task.status, 'QUEUED');
  }
});

test('a subscription over a socket has its results', async () => {
  const socket = createClient({
    url: SOCKET,
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: `Bearer ${here.host}` },
  });
  const exchange = subscriptionExchange({
    forwardSubscription: (request) => ({
      subscribe: (sink) => ({
        unsubscribe: socket.subscribe({ ...request, query: request.query ?? '' }, sink),
      }),
    }),
  });
  await watch(client(here.host, [fetchExchange, exchange]));
  await socket.dispose();
});

test('a subscription over an event stream has its results', async () => {
  await watch(client(here.host, [fetchExchange], { url: STREAM, fetchSubscriptions: true }));
});

test('errors arrive with the codes of the contract', async () => {
  const sut = client(here.host, [fetchExchange]);
  const invalid = await sut.query('{ viewer { colour } }', {}).toPromise();
  assert.equal(invalid.error.graphQLErrors[0].extensions.code, 'BAD_USER_INPUT');
  const stranger = client('cb_service_none', [fetchExchange]);
  const refused = await stranger.query('{ viewer { kind } }', {}).toPromise();
  assert.equal(refused.error.response?.status ?? refused.error.graphQLErrors[0].extensions.code, 401);
});
