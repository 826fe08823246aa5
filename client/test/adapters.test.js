// Apollo Client and urql, whose subscriptions outlast a server that is killed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { ApolloClient, InMemoryCache, gql } from '@apollo/client';
import { Client, subscriptionExchange } from '@urql/core';
import { connect } from 'callboard-client';
import { callboardLink } from 'callboard-client/apollo';
import { callboardForwarder } from 'callboard-client/urql';
import { pipe, subscribe } from 'wonka';
import { WebSocket } from 'ws';

import { serve } from '../../tests/clients/callboard.js';
import { EVENTS, world } from '../../tests/clients/world.js';
import { logged, prune, record } from '../record.js';

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

/** Each client's way to subscribe: says the results, and how to end. */
const clients = {
  apollo(connection, query, variables, onState, told) {
    const apollo = new ApolloClient({ link: callboardLink(connection, onState), cache: new InMemoryCache() });
    const subscription = apollo.subscribe({ query: gql(query), variables }).subscribe(told);
    return () => subscription.unsubscribe();
  },
  urql(connection, query, variables, onState, told) {
    const exchange = subscriptionExchange({ forwardSubscription: callboardForwarder(connection, onState) });
    const urql = new Client({ url: 'unused:', exchanges: [exchange], preferGetMethod: false });
    return pipe(urql.subscription(query, variables), subscribe(told)).unsubscribe;
  },
};

for (const [name, watch] of Object.entries(clients)) {
  for (const transport of ['ws', 'sse']) {
    const open = () => {
      const connection = connect({
        url: `http://${server.address}`,
        token: () => here.host,
        transport,
        webSocket: WebSocket,
        backoff: { first: 20, longest: 200 },
      });
      connections.push(connection);
      return connection;
    };

    test(`${name}, ${transport}: a subscription has each event once, across a server that is killed`, limit, async () => {
      const [connection, seen] = [open(), record()];
      const [begin] = (await logged(here.workspaceId)).slice(-1);
      const told = ({ data, error }) => {
        if (error) seen.handlers.error(error);
        else seen.handlers.update(data.taskEvents);
      };
      const stop = watch(connection, EVENTS, { id: here.workspaceId }, seen.handlers.state, told);
      await seen.until(() => seen.states.includes('live'));
      await seen.hasEvent(await here.enqueue());
      await server.stop('SIGKILL');
      const missed = await here.enqueue();
      server = await serve('--listen', server.address);
      await seen.hasEvent(missed);
      await seen.hasEvent(await here.enqueue());
      assert.deepEqual(seen.updates.map(({ cursor }) => cursor), await logged(here.workspaceId, begin));
      assert.deepEqual(seen.errors, []);
      stop();
      await seen.until(() => seen.states.at(-1) === 'offline');
      connection.close();
    });

    test(`${name}, ${transport}: a gap that nothing fills is an error`, limit, async () => {
      const [connection, seen] = [open(), record()];
      await here.enqueue();
      const [after] = await logged(here.workspaceId);
      await here.enqueue();
      await prune();
      watch(connection, EVENTS, { id: here.workspaceId, after }, () => {}, ({ error }) => seen.handlers.error(error));
      await seen.until(() => seen.errors.length > 0);
      assert.match(seen.errors[0].message, /cursor has expired/);
      connection.close();
    });

    test(`${name}, ${transport}: a subscription that cannot be resumed is refused`, limit, async () => {
      const [connection, seen] = [open(), record()];
      const query = 'subscription($id: UUID!) { taskEvents(workspaceId: $id) { kind } }';
      watch(connection, query, { id: here.workspaceId }, () => {}, ({ error }) => seen.handlers.error(error));
      await seen.until(() => seen.errors.length > 0);
      assert.match(seen.errors[0].message, /only with a variable for `after`/);
      connection.close();
    });
  }
}
