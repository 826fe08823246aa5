// A client for Callboard's live side that resumes where it was.

export { connect, type Connection, type Options } from './connect.js';
export { CallboardError } from './failure.js';
export type * from './generated.js';
export type { State } from './resume.js';
export type { CursorExpired, Handlers, TaskUpdate, Watch, WorkspaceUpdate } from './watch.js';
