// Lives of tasks with pg-boss: sent and worked on by one process.
//
// Its workers poll, twice a second at most, and only those that fetch batches go on at once while these are full. Who wants
// one task at a time calls fetch() and complete() in a loop of their own, which waits for nothing: that came out half as fast
// again as work() with LISTEN and NOTIFY, where each task that is sent wakes every worker.

import { randomUUID } from "node:crypto";
import { PgBoss } from "pg-boss";
import { begin, Supply, told } from "./load.js";

const QUEUE = "life";

const { batched, workers, outstanding, producers, batch } = told();
const supply = new Supply(outstanding);

// More connections made it no faster.
const boss = new PgBoss({ max: 20 });
boss.on("error", (error) => {
  throw error;
});
await boss.start();
await boss.createQueue(QUEUE);

async function fetchAndComplete() {
  for (;;) {
    const [task] = await boss.fetch(QUEUE);
    if (task === undefined) {
      // So that loops which find nothing keep nobody from enqueueing.
      await new Promise(setImmediate);
      continue;
    }
    await boss.complete(QUEUE, task.id);
    supply.finished(1);
  }
}

let working = [];
if (batched) {
  const options = {
    batchSize: 200,
    localConcurrency: 4,
    pollingIntervalSeconds: 0.5,
    burstWhenBatchFull: true,
  };
  await boss.work(QUEUE, options, async (tasks) => supply.finished(tasks.length));
} else {
  working = Array.from({ length: workers }, fetchAndComplete);
}

const task = () => ({ data: { issueId: randomUUID() } });
const enqueue = batched
  ? (count) => boss.insert(QUEUE, Array.from({ length: count }, task))
  : () => boss.send(QUEUE, task().data);
await Promise.race([begin(), supply.keepUp({ producers, batch }, enqueue), ...working]);
