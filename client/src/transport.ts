// The two ways to a server. Neither tries again by itself: graphql-ws and graphql-sse would send the variables that a
// subscription began with, and it is the cursor among them that has to be another.

import type { ExecutionResult } from 'graphql';
import { createClient as createStreams } from 'graphql-sse';
import { createClient as createSocket } from 'graphql-ws';

import type { Options } from './connect.js';

/** A subscription, as the libraries take it. */
export interface Request {
  query: string;
  variables?: Record<string, unknown>;
}

export type Result = ExecutionResult<Record<string, unknown>, unknown>;

/** What both libraries offer. */
export interface Transport {
  subscribe(request: Request, sink: Sink): () => void;
  dispose(): unknown;
}

interface Sink {
  next(result: Result): void;
  error(error: unknown): void;
  complete(): void;
}

/** One socket for everything, opened when it is first needed. */
export function socket(options: Options, token: () => Promise<string>): Transport {
  const silence = options.silence ?? 30_000;
  let overdue: ReturnType<typeof setTimeout> | undefined;
  const heard = () => clearTimeout(overdue);
  const client = createSocket({
    url: new URL('/graphql/ws', options.url.replace(/^http/, 'ws')).href,
    webSocketImpl: impatient((options.webSocket ?? WebSocket) as typeof WebSocket, silence),
    connectionParams: async () => ({ Authorization: `Bearer ${await token()}` }),
    retryAttempts: 0,
    // What is asked first ends before what is asked next begins.
    lazyCloseTimeout: 1000,
    // Half of the silence that is borne is waited for a reason to ask, the other half for the answer.
    keepAlive: silence / 2,
    connectionAckWaitTimeout: silence,
    on: {
      ping: (received) => {
        if (!received) overdue = setTimeout(() => client.terminate(), silence / 2);
      },
      pong: heard,
      closed: heard,
    },
  });
  return client as Transport;
}

/** Sockets that are closed when they have not opened for so long; graphql-ws would wait for ever. */
function impatient(Socket: typeof WebSocket, silence: number): typeof WebSocket {
  return class extends Socket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      const overdue = setTimeout(() => this.close(), silence);
      const heard = () => clearTimeout(overdue);
      this.addEventListener('open', heard);
      this.addEventListener('close', heard);
    }
  };
}

/** A request for each subscription. */
export function streams(options: Options, token: () => Promise<string>): Transport {
  const client = createStreams({
    url: new URL('/graphql/stream', options.url).href,
    headers: async () => ({ authorization: `Bearer ${await token()}` }),
    retryAttempts: 0,
    fetchFn: (url: string, init: RequestInit) => fetchUnlessSilent(url, init, options.silence ?? 45_000),
  });
  return client as Transport;
}

/** Fetches; gives up when nothing comes for so long, neither an event nor one of the server's comments. */
async function fetchUnlessSilent(url: string, init: RequestInit, silence: number): Promise<Response> {
  const watchdog = new AbortController();
  const give = () => watchdog.abort(new Error(`nothing was heard for ${silence} ms`));
  let overdue = setTimeout(give, silence);
  init.signal?.addEventListener('abort', () => clearTimeout(overdue));
  const signal = init.signal ? AbortSignal.any([init.signal, watchdog.signal]) : watchdog.signal;
  try {
    const response = await fetch(url, { ...init, signal });
    const heard = new TransformStream<Uint8Array, Uint8Array>({
      transform(bytes, out) {
        clearTimeout(overdue);
        overdue = setTimeout(give, silence);
        out.enqueue(bytes);
      },
      flush: () => clearTimeout(overdue),
    });
    return new Response(response.body?.pipeThrough(heard) ?? null, response);
  } catch (error) {
    clearTimeout(overdue);
    throw error;
  }
}

/** How many results wait to be taken at most. */
const WAITING = 1000;

/**
 * The results of one subscription on one connection; throws what ends it. What has come is taken before the end is. Where
 * too much waits to be taken, that is an end too: whoever resumes gets the rest when they have taken it.
 */
export async function* results(transport: Transport, request: Request, signal: AbortSignal): AsyncGenerator<Result> {
  const arrived: Result[] = [];
  let end: { error: unknown } | undefined;
  let wake = () => {};
  const finish = (error: unknown) => {
    end ??= { error };
    wake();
  };
  const unsubscribe = transport.subscribe(request, {
    next: (result) => {
      if (end) return;
      arrived.push(result);
      wake();
      if (arrived.length < WAITING) return;
      finish(new Error(`${WAITING} results wait to be taken`));
      unsubscribe();
    },
    error: finish,
    complete: () => finish(new Error('the server has ended the subscription')),
  });
  const stop = () => wake();
  signal.addEventListener('abort', stop);
  try {
    while (!signal.aborted) {
      const result = arrived.shift();
      if (result) yield result;
      else if (end) throw end.error;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    signal.removeEventListener('abort', stop);
    unsubscribe();
  }
}
