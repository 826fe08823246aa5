// A workspace of a test's own, with a runtime and an agent in it, and somebody who puts tasks on the board.

import { randomUUID } from 'node:crypto';

import { command } from './callboard.js';

const ADDRESS = process.env.CALLBOARD_ADDRESS;

/** Where queries and mutations go. */
export const HTTP = `http://${ADDRESS}/graphql`;

/** Where sockets are opened. */
export const SOCKET = `ws://${ADDRESS}/graphql/ws`;

/** Where events are streamed. */
export const STREAM = `http://${ADDRESS}/graphql/stream`;

/** Makes a workspace; `token()` makes another token of its host application. */
export async function world() {
  const slug = `w${randomUUID()}`;
  await command('workspace', 'create', '--slug', slug, '--name', slug);
  const token = (...more) =>
    command('token', 'create', '--kind', 'service', '--workspace', slug, ...more);
  const host = await token();
  const daemon = await command(
    'token', 'create', '--kind', 'daemon', '--workspace', slug, '--daemon-id', 'laptop',
  );
  const { viewer } = await ask(host, '{ viewer { workspaces { id } } }');
  const workspaceId = viewer.workspaces[0].id;
  const { registerRuntime: runtime } = await ask(
    daemon,
    `mutation($id: UUID!) {
      registerRuntime(input: {workspaceId: $id, daemonId: "laptop", provider: "claude", name: "laptop"}) { id }
    }`,
    { id: workspaceId },
  );
  const { createAgent: agent } = await ask(
    host,
    `mutation($id: UUID!, $runtime: UUID!) {
      createAgent(input: {workspaceId: $id, runtimeId: $runtime, name: "Echo"}) { id }
    }`,
    { id: workspaceId, runtime: runtime.id },
  );
  return {
    workspaceId,
    agentId: agent.id,
    host,
    token,
    /** Puts a task on the board. */
    async enqueue(issueId = randomUUID()) {
      const { enqueueTask } = await ask(host, ENQUEUE, { agent: agent.id, issue: issueId });
      return enqueueTask.task.id;
    },
  };
}

/** The mutation that puts a task on the board. */
export const ENQUEUE = `mutation Enqueue($agent: UUID!, $issue: UUID!) {
  enqueueTask(input: {agentId: $agent, issueId: $issue}) { task { id status } }
}`;

/** The subscription to whatever happens to tasks. */
export const EVENTS = `subscription Events($id: UUID!, $after: Cursor) {
  taskEvents(workspaceId: $id, after: $after) { cursor kind task { id } }
}`;

/** The subscription to an issue's tasks, which has a first result at once. */
export const BANNER = `subscription Banner($issue: UUID!) {
  issueTasks(issueId: $issue) { activeTasks { status } }
}`;

/** Asks without any client in between. */
async function ask(token, query, variables) {
  const answer = await fetch(HTTP, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await answer.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

/** Waits for what a callback is given, so that results can be awaited one by one. */
export function inbox() {
  const [waiting, arrived] = [[], []];
  return {
    put(value) {
      const next = waiting.shift();
      if (next) next(value);
      else arrived.push(value);
    },
    take() {
      return arrived.length > 0
        ? Promise.resolve(arrived.shift())
        : new Promise((resolve) => waiting.push(resolve));
    },
  };
}
