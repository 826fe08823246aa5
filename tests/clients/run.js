// Runs the tests in `test/`, here or wherever it is called from, against one server, on the database of DATABASE_URL or
// on one of its own for this run.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { serve } from './callboard.js';

const dataDir = await mkdtemp(join(tmpdir(), 'callboard-clients-'));
let server;
let status = 1;
try {
  server = await serve('--listen', '127.0.0.1:0', '--data-dir', dataDir);
  const tests = spawn(
    process.execPath,
    ['--test', '--test-reporter=spec', ...process.argv.slice(2), 'test/'],
    {
      stdio: 'inherit',
      // What the tests start or ask besides is to be on the same database.
      env: { ...process.env, CALLBOARD_ADDRESS: server.address, DATABASE_URL: server.databaseUrl },
    },
  );
  [status] = await once(tests, 'exit');
} finally {
  await server?.stop();
  await rm(dataDir, { recursive: true, force: true });
}
process.exitCode = status ?? 1;
