// A subscription that outlasts its connections: each event once, in order, from wherever it was.

import type { Connection } from './connect.js';
import { diagnose } from './failure.js';
import { TipDocument } from './generated.js';
import { type Place, type Position, placeOf, rootOf } from './place.js';
import { type Request, type Result, results } from './transport.js';

/**
 * How far what was shown can be trusted.
 *
 * - `live`: it is how everything is.
 * - `catching-up`: the server is there, and tells what was missed.
 * - `stale`: the connection was lost a moment ago, and is sought again.
 * - `offline`: the server cannot be reached, or this has ended.
 */
export type State = 'live' | 'catching-up' | 'stale' | 'offline';

/** In place of a result: what was shown has a gap behind it. The server no longer knows what happened after the cursor. */
export const EXPIRED = Symbol('expired');

export interface Observer {
  state(state: State, error?: Error): void;
  position(position: Position | undefined): void;
}

const TIP: Request = { query: TipDocument.toString() };

/** Follows a subscription until the signal, or until it is of no use to try again. */
export async function* resume(
  connection: Connection,
  request: Request,
  observer: Observer,
  signal: AbortSignal,
): AsyncGenerator<Result | typeof EXPIRED> {
  const { transport, backoff } = connection;
  const place = placeOf(request);
  let position = place && (request.variables?.[place.variable] as Position | undefined);
  const moveTo = (to: Position | undefined) => observer.position((position = to));
  // graphql-ws looks at the variables whenever it sends them, which after some closings it does of its own accord.
  const current: Request = {
    query: request.query,
    get variables() {
      return place ? { ...request.variables, [place.variable]: position } : (request.variables ?? {});
    },
  };

  let fatal: Error | undefined;
  try {
    for (let failures = 0; !signal.aborted; failures++) {
      const began = Date.now();
      let reached = false;
      try {
        let tip: Position | undefined;
        if (place?.field === 'cursor' && (position || !place.hasSnapshot)) {
          tip = await tipOf(connection, signal);
          reached = true;
          position ?? moveTo(tip);
          observer.state('catching-up');
          if (isAt(tip, position)) observer.state('live');
        }
        for await (const result of results(transport, current, signal)) {
          if (!result.data && result.errors) throw result.errors;
          reached = true;
          failures = 0;
          const at = place && positionIn(result, place);
          if (at !== undefined && position !== undefined && at <= position && !isSnapshot(result)) continue;
          if (at !== undefined) moveTo(at);
          yield result;
          if (isAt(tip, position)) observer.state('live');
        }
      } catch (thrown) {
        if (signal.aborted) break;
        const { remedy, error } = diagnose(thrown);
        if (remedy === 'restart' && position !== undefined) {
          moveTo(undefined);
          observer.state('catching-up');
          yield EXPIRED;
          continue;
        }
        const hopeless = remedy === 'none' || (remedy === 'renew' && !connection.renewable);
        if (hopeless) throw (fatal = error);
        observer.state(reached ? 'stale' : 'offline', error);
        // A connection that held for long was a good one, though there may have been nothing to tell.
        if (Date.now() - began > backoff.longest) failures = 0;
        await pause(Math.random() * Math.min(backoff.longest, backoff.first * 2 ** failures), signal);
      }
    }
  } finally {
    observer.state('offline', fatal);
  }
}

/** Up to where the server has read the log: whoever is there has missed nothing. */
async function tipOf({ transport }: Connection, signal: AbortSignal): Promise<Position | undefined> {
  for await (const result of results(transport, TIP, signal)) {
    if (!result.data) throw result.errors;
    return rootOf(result)?.['cursor'] as Position;
  }
  return undefined;
}

function isAt(tip: Position | undefined, position: Position | undefined): boolean {
  return tip === undefined || (position !== undefined && position >= tip);
}

function positionIn(result: Result, place: Place): Position | undefined {
  return rootOf(result)?.[place.field] as Position | undefined;
}

/** A snapshot replaces everything before it, and may be of the cursor that was reached. */
function isSnapshot(result: Result): boolean {
  return rootOf(result)?.['__typename'] === 'WorkspaceSnapshot' || Array.isArray(rootOf(result)?.['activeTasks']);
}

/** Waits, but not beyond the signal. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done);
  });
}
