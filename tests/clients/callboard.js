// The server as people run it: the binary, its own Postgres, its command line.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const BINARY = process.env.CALLBOARD_BINARY
  ?? fileURLToPath(new URL('../../target/debug/callboard', import.meta.url));

/** Starts a server; says where it is and where its database is. */
export async function serve(...options) {
  const child = spawn(BINARY, ['serve', ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
  const log = [];
  const lines = createInterface({ input: child.stderr });
  const ended = once(child, 'exit');
  let databaseUrl = process.env.DATABASE_URL;
  const address = await new Promise((resolve, reject) => {
    lines.on('line', (line) => {
      log.push(line);
      databaseUrl = /its own Postgres is at (\S+)/.exec(line)?.[1] ?? databaseUrl;
      const address = /Callboard is at http:\/\/([^\s,]+)/.exec(line)?.[1];
      if (address) resolve(address);
    });
    ended.then(() => reject(new Error(`it ended before it began:\n${log.join('\n')}`)));
  });
  return {
    address,
    databaseUrl,
    /** Sends its process a signal. */
    signal(name) {
      child.kill(name);
    },
    /** Ends it, as an operator does or as the kernel. */
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      await ended;
    },
  };
}

/** Runs a command; says what it printed for machines. */
export async function command(...words) {
  const { stdout } = await promisify(execFile)(BINARY, words);
  return stdout.trim();
}
