// Subscriptions of other clients' making, by their documents.

import type { Connection } from './connect.js';
import { CallboardError } from './failure.js';
import { placeOf } from './place.js';
import { EXPIRED, type State, resume } from './resume.js';
import type { Request, Result } from './transport.js';

/** What another client listens with. */
interface Sink {
  next(result: Result): void;
  error(error: unknown): void;
  complete(): void;
}

/** Is told of the states of all subscriptions that a client makes. */
export type OnState = (state: State, error?: Error) => void;

/** Follows a subscription; says how to end it. */
export function forward(connection: Connection, request: Request, sink: Sink, onState: OnState = () => {}): () => void {
  const ending = new AbortController();
  const signal = AbortSignal.any([ending.signal, connection.closing]);
  void (async () => {
    try {
      const hasSnapshot = placeOf(request)?.hasSnapshot;
      for await (const step of resume(connection, request, { state: onState, position: () => {} }, signal)) {
        if (step !== EXPIRED) sink.next(step);
        // A snapshot replaces everything before it anyway. Without one, nobody would know of the gap.
        else if (!hasSnapshot) throw new CallboardError('the cursor has expired: read again', 'CURSOR_EXPIRED', undefined);
      }
      sink.complete();
    } catch (error) {
      sink.error(error);
    }
  })();
  return () => ending.abort();
}
