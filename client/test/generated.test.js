// What is generated is what is committed.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { GENERATED, generate } from '../codegen.js';

test('src/generated.ts is what the schema and the documents make; `npm run generate` writes it', async () => {
  assert.equal(await readFile(GENERATED, 'utf8'), await generate());
});
