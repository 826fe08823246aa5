// What is watched, as an application sees it: to be iterated over, or told to handlers.

import type { Connection } from './connect.js';
import type { TaskUpdatesSubscription, WorkspaceUpdatesSubscription } from './generated.js';
import { rootOf } from './place.js';
import { EXPIRED, type State, resume } from './resume.js';
import type { Request } from './transport.js';

/**
 * The server no longer knows what happened after the cursor, and the watch has begun anew. Of a workspace, a snapshot
 * follows; whoever watches tasks and keeps something of them reads it again.
 */
export interface CursorExpired {
  __typename: 'CursorExpired';
}

/** Checkpoints move the cursor, and are not told. */
type Told<Update> = Exclude<Update, { __typename: 'Checkpoint' }> | CursorExpired;

export type WorkspaceUpdate = Told<WorkspaceUpdatesSubscription['workspaceUpdates']>;
export type TaskUpdate = Told<TaskUpdatesSubscription['taskUpdates']>;

/** What to call. With `update` the watch begins at once; without, when it is iterated over. */
export interface Handlers<Update> {
  /** For each update, in order; the next one waits for the promise of this one. */
  update?: (update: Update) => unknown;
  /** When the state is another, or its reason is: `error` says why it is not a better one. */
  state?: (state: State, error?: Error) => void;
  /** When it is of no use to go on; without it, that is an unhandled rejection. */
  error?: (error: Error) => void;
}

export class Watch<Update> implements AsyncIterable<Update> {
  /** How far what was shown can be trusted. */
  state: State = 'offline';
  /** Why the state is not a better one. */
  error: Error | undefined;
  /** Up to where updates have been given; kept, it is good as `after`. */
  cursor: string | undefined;
  #closing = new AbortController();
  #updates: AsyncGenerator<Update>;

  constructor(connection: Connection, request: Request, handlers: Handlers<Update>) {
    const signal = AbortSignal.any([this.#closing.signal, connection.closing]);
    const steps = resume(connection, request, {
      state: (state, error) => {
        if (state === this.state && error?.message === this.error?.message) return;
        [this.state, this.error] = [state, error];
        handlers.state?.(state, error);
      },
      position: (position) => (this.cursor = position as string | undefined),
    }, signal);
    this.#updates = updates(steps);
    if (handlers.update) void this.#tell(handlers);
  }

  /** The updates, once: whoever iterates again goes on where the first stopped. */
  [Symbol.asyncIterator](): AsyncGenerator<Update> {
    return this.#updates;
  }

  /** Ends it. */
  close(): void {
    this.#closing.abort();
  }

  async #tell(handlers: Handlers<Update>): Promise<void> {
    try {
      for await (const update of this) await handlers.update?.(update);
    } catch (error) {
      this.close();
      if (!handlers.error) throw error;
      handlers.error(error as Error);
    }
  }
}

async function* updates<Update>(steps: ReturnType<typeof resume>): AsyncGenerator<Update> {
  for await (const step of steps) {
    const update = step === EXPIRED ? { __typename: 'CursorExpired' } : rootOf(step);
    if (update?.['__typename'] !== 'Checkpoint') yield update as Update;
  }
}
