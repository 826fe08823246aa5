// graphql-sse, the reference of GraphQL over SSE.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import { createClient } from 'graphql-sse';

import { BANNER, ENQUEUE, EVENTS, STREAM, world } from '../world.js';

const here = await world();

function client(token) {
  return createClient({
    url: STREAM,
    headers: { authorization: `Bearer ${token}` },
    retryAttempts: 0,
  });
}

test('a query and a mutation have one result', async () => {
  const sut = client(here.host);
  for (const [request, expected] of [
    [{ query: '{ viewer { kind } }' }, { viewer: { kind: 'SERVICE' } }],
    [
      {
        query: ENQUEUE.replace('id status', 'status'),
        variables: { agent: here.agentId, issue: randomUUID() },
      },
      { enqueueTask: { task: { status: 'QUEUED' } } },
    ],
  ]) {
    const results = [];
    for await (const result of sut.iterate(request)) results.push(result);
    assert.deepEqual(results, [{ data: expected }]);
  }
  sut.dispose();
});

test('a subscription has its results one by one, until it is ended', async () => {
  const sut = client(here.host);
  const issue = randomUUID();
  const results = sut.iterate({ query: BANNER, variables: { issue } });
  assert.deepEqual((await results.next()).value.data.issueTasks.activeTasks, []);
  await here.enqueue(issue);
  assert.deepEqual((await results.next()).value.data.issueTasks.activeTasks, [{ status: 'QUEUED' }]);
  await results.return();
  sut.dispose();
});

test('what cannot be executed is told as a result', async () => {
  const sut = client(here.host);
  for (const [query, code] of [['{', 'BAD_USER_INPUT'], [EVENTS, 'BAD_USER_INPUT']]) {
    const results = [];
    for await (const result of sut.iterate({ query })) results.push(result);
    assert.equal(results.length, 1);
    assert.equal(results[0].errors[0].extensions.code, code);
  }
  sut.dispose();
});

test('a client without a token that holds is told so by the status', async () => {
  const sut = client('cb_service_none');
  await assert.rejects(sut.iterate({ query: '{ viewer { kind } }' }).next(), (error) => {
    assert.equal(error.response.status, 401);
    return true;
  });
  sut.dispose();
});
