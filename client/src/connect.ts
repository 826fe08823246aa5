// A connection: where the server is, who asks, and how often to try.

import type { TaskEventFilter } from './generated.js';
import { TaskUpdatesDocument, WorkspaceUpdatesDocument } from './generated.js';
import { type Transport, socket, streams } from './transport.js';
import { type Handlers, type TaskUpdate, Watch, type WorkspaceUpdate } from './watch.js';

export interface Options {
  /** Where Callboard is: `https://callboard.example`. */
  url: string;
  /** The token, or what gets one. It is asked before every connection, so that a token which no longer holds is renewed. */
  token: string | (() => string | Promise<string>);
  /** By socket, which is one for all, or by event streams, each a request of its own. */
  transport: 'ws' | 'sse';
  /** What opens sockets, where the platform has no `WebSocket`: that of `ws`. */
  webSocket?: unknown;
  /** How long to wait at most before the first try and before any, in milliseconds: 250 and 30 000. */
  backoff?: { first: number; longest: number };
  /** After how much silence a connection is given up, in milliseconds: a socket's 30 000, a stream's 45 000. */
  silence?: number;
}

/** Prepares a connection. It is made when something is watched. */
export function connect(options: Options): Connection {
  return new Connection(options);
}

export class Connection {
  /** @internal */
  readonly transport: Transport;
  /** @internal */
  readonly backoff: { first: number; longest: number };
  /** Whether another token can be had. @internal */
  readonly renewable: boolean;
  #closing = new AbortController();

  constructor(options: Options) {
    const { token } = options;
    this.renewable = typeof token === 'function';
    this.backoff = options.backoff ?? { first: 250, longest: 30_000 };
    const open = options.transport === 'ws' ? socket : streams;
    this.transport = open(options, async () => (typeof token === 'function' ? token() : token));
  }

  /** Watches a workspace: a snapshot, then every change after it. With `after`, what was missed since. */
  watchWorkspace(workspaceId: string, options: { after?: string } & Handlers<WorkspaceUpdate> = {}): Watch<WorkspaceUpdate> {
    const variables = { workspaceId, after: options.after };
    return new Watch(this, { query: WorkspaceUpdatesDocument.toString(), variables }, options);
  }

  /** Watches tasks of a workspace: every event of theirs, from now on or from `after`. */
  watchTasks(
    workspaceId: string,
    options: { after?: string; filter?: TaskEventFilter } & Handlers<TaskUpdate> = {},
  ): Watch<TaskUpdate> {
    const variables = { workspaceId, filter: options.filter, after: options.after };
    return new Watch(this, { query: TaskUpdatesDocument.toString(), variables }, options);
  }

  /** Aborted when the connection is closed. @internal */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Ends everything that is watched. */
  close(): void {
    this.#closing.abort();
    // A socket that is only about to open may fail to, and then there is nothing to close.
    void Promise.resolve(this.transport.dispose()).catch(() => {});
  }
}
