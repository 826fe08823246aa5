// For Apollo Client: the link that its subscriptions go through.

import { ApolloLink, Observable } from '@apollo/client';
import { print } from 'graphql';

import type { Connection } from './connect.js';
import { type OnState, forward } from './forward.js';

/** The link for subscriptions; `ApolloLink.split` sends queries and mutations elsewhere. */
export function callboardLink(connection: Connection, onState?: OnState): ApolloLink {
  return new ApolloLink(({ query, variables }) =>
    new Observable<ApolloLink.Result>((observer) =>
      forward(connection, { query: print(query), variables }, observer as never, onState)));
}
