// Apollo Client, with its links for HTTP and for sockets.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, ServerError, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

import { BANNER, ENQUEUE, HTTP, SOCKET, inbox, world } from '../world.js';

const here = await world();

function client(token, http = {}) {
  const Authorization = `Bearer ${token}`;
  const socket = createClient({
    url: SOCKET,
    webSocketImpl: WebSocket,
    connectionParams: { Authorization },
  });
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    new HttpLink({ uri: HTTP, headers: { authorization: Authorization }, ...http }),
  );
  return { apollo: new ApolloClient({ link, cache: new InMemoryCache() }), socket };
}

test('queries by POST and by GET, mutations and subscriptions have their results', async () => {
  const { apollo, socket } = client(here.host);
  const query = gql`{ viewer { kind } }`;
  const { data } = await apollo.query({ query });
  assert.equal(data.viewer.kind, 'SERVICE');
  const byGet = client(here.host, { useGETForQueries: true });
  assert.equal((await byGet.apollo.query({ query })).data.viewer.kind, 'SERVICE');

  const issue = randomUUID();
  const results = inbox();
  const subscription = apollo
    .subscribe({ query: gql(BANNER), variables: { issue } })
    .subscribe((result) => results.put(result));
  assert.deepEqual((await results.take()).data.issueTasks.activeTasks, []);
  const mutated = await apollo.mutate({ mutation: gql(ENQUEUE), variables: { agent: here.agentId, issue } });
  assert.equal(mutated.data.enqueueTask.task.status, 'QUEUED');
  assert.equal((await results.take()).data.issueTasks.activeTasks[0].status, 'QUEUED');
  subscription.unsubscribe();
  await socket.dispose();
  await byGet.socket.dispose();
});

test('errors arrive as errors, with the codes of the contract', async () => {
  const { apollo } = client(here.host);
  const cases = [
    [gql`{ viewer { colour } }`, {}, 'BAD_USER_INPUT'],
    [gql`query($id: UUID!) { workspace(id: $id) { colour } }`, { id: randomUUID() }, 'BAD_USER_INPUT'],
  ];
  for (const [query, variables, code] of cases) {
    await assert.rejects(apollo.query({ query, variables }), (error) => {
      assert.ok(CombinedGraphQLErrors.is(error), error);
      assert.equal(error.errors[0].extensions.code, code);
      return true;
    });
  }
  const mutation = gql`mutation($id: UUID!) { cancelTask(taskId: $id) { id } }`;
  await assert.rejects(apollo.mutate({ mutation, variables: { id: randomUUID() } }), (error) => {
    assert.equal(error.errors[0].extensions.code, 'NOT_FOUND');
    return true;
  });
});

test('a token that does not hold is told by the status and the code', async () => {
  const { apollo } = client('cb_service_none');
  await assert.rejects(apollo.query({ query: gql`{ viewer { kind } }` }), (error) => {
    const codes = CombinedGraphQLErrors.is(error)
      ? error.errors.map(({ extensions }) => extensions.code)
      : [ServerError.is(error) && error.statusCode];
    assert.ok(codes.includes('UNAUTHENTICATED') || codes.includes(401), error);
    return true;
  });
});
