// Where a subscription has come to: what of a result says so, and what of the variables resumes there.

import type { Request, Result } from './transport.js';

/** A cursor, whose order is that of its text, or the number of a line of a transcript. */
export type Position = string | number;

/** The subscriptions that can be resumed, and their arguments. */
const RESUMABLE = /\b(workspaceUpdates|taskUpdates|taskEvents|taskMessages)\s*\(([^)]*)\)/;

/** How a subscription is resumed. */
export interface Place {
  /** The variable that says from where. */
  variable: string;
  /** The field of a result that says where it is. */
  field: 'cursor' | 'seq';
  /** Whether it begins with how everything is, and can do so again; another begins with what happens from now on. */
  hasSnapshot: boolean;
}

/** How a request can be resumed; none where it has everything in each result. */
export function placeOf({ query }: Request): Place | undefined {
  const [, root, args] = RESUMABLE.exec(query) ?? [];
  if (!root) return undefined;
  const field = root === 'taskMessages' ? 'seq' : 'cursor';
  const variable = /\bafter(?:Seq)?\s*:\s*\$(\w+)/.exec(args ?? '')?.[1];
  if (!variable || !new RegExp(`\\b${field}\\b`).test(query)) {
    const argument = field === 'seq' ? 'afterSeq' : 'after';
    throw new TypeError(`${root} can be resumed only with a variable for \`${argument}\` and the field \`${field}\``);
  }
  return { variable, field, hasSnapshot: root === 'workspaceUpdates' };
}

/** What is at the root of a result, whatever its alias. */
export function rootOf(result: Result): Record<string, unknown> | undefined {
  return Object.values(result.data ?? {})[0] as Record<string, unknown> | undefined;
}
