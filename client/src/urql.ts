// For urql: what its `subscriptionExchange` takes as `forwardSubscription`.

import type { SubscriptionForwarder } from '@urql/core';

import type { Connection } from './connect.js';
import { type OnState, forward } from './forward.js';

/** Forwards subscriptions. */
export function callboardForwarder(connection: Connection, onState?: OnState): SubscriptionForwarder {
  return ({ query = '', variables }) => ({
    subscribe: (sink) => ({
      unsubscribe: forward(connection, { query, variables: variables as never }, sink as never, onState),
    }),
  });
}
