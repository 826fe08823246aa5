// Why a subscription ended, and what is to be done about it.

import type { GraphQLFormattedError } from 'graphql';

/** What is to be done: try again, with a fresh token, from a new beginning, or not at all. */
export type Remedy = 'retry' | 'renew' | 'restart' | 'none';

/** It is of no use to try again. `code` is the server's word, or its number: of a closed socket, of an HTTP response. */
export class CallboardError extends Error {
  override name = 'CallboardError';

  constructor(message: string, readonly code: string | number | undefined, cause: unknown) {
    super(message, { cause });
  }
}

/** Sockets closed with these are closed again: the client is at fault, or this is not its server. */
const FATAL_CLOSES = [1002, 1007, 1009, 4400, 4401, 4406, 4409, 4429];

const REMEDIES: Record<string, Remedy> = {
  CURSOR_EXPIRED: 'restart',
  UNAUTHENTICATED: 'renew',
  UNAVAILABLE: 'retry',
  RATE_LIMITED: 'retry',
  INTERNAL: 'retry',
};

/** Understands what the libraries throw: errors of GraphQL, the closing of a socket, a response, or anything else. */
export function diagnose(thrown: unknown): { remedy: Remedy; error: CallboardError } {
  const told = (remedy: Remedy, message: string, code?: string | number) => ({
    remedy,
    error: new CallboardError(message, code, thrown),
  });
  if (Array.isArray(thrown)) {
    const [first] = thrown as GraphQLFormattedError[];
    const code = String(first?.extensions?.['code']);
    return told(REMEDIES[code] ?? 'none', first?.message ?? 'refused', code);
  }
  const { code, reason, response, message } = Object(thrown) as Partial<CloseEvent & { response: Response; message: string }>;
  if (response) {
    const { status } = response;
    const passes = status >= 500 || status === 408 || status === 429;
    const remedy = status === 401 ? 'renew' : passes ? 'retry' : 'none';
    return told(remedy, `the server answers with ${status}`, status);
  }
  if (typeof code === 'number') {
    const remedy = code === 4403 ? 'renew' : FATAL_CLOSES.includes(code) ? 'none' : 'retry';
    return told(remedy, `the socket was closed with ${code}: ${reason || 'no reason given'}`, code);
  }
  return told('retry', message || 'the server cannot be reached');
}
