// Lives of tasks with graphile-worker: added and executed by one process.
//
// Batched, it has what its documentation shows for throughput: a local queue, and completions that are sent together.

import { randomUUID } from "node:crypto";
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import { begin, Supply, told } from "./load.js";

const { batched, workers, outstanding, producers, batch } = told();
const supply = new Supply(outstanding);
// It would else write a line for each task.
const logger = new Logger(() => () => {});
const batching = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };

const host = await makeWorkerUtils({
  preset: { worker: { maxPoolSize: Math.max(producers, 2), logger } },
});
await host.migrate();
await run({
  preset: {
    worker: {
      concurrentJobs: workers,
      // What it recommends.
      maxPoolSize: Math.max(workers + 2, 10),
      logger,
      ...(batched ? batching : {}),
    },
  },
  taskList: { life: () => supply.finished(1) },
  parsedCronItems: [],
  noHandleSignals: true,
});

const task = () => ({ identifier: "life", payload: { issueId: randomUUID() } });
const enqueue = batched
  ? (count) => host.addJobs(Array.from({ length: count }, task))
  : () => host.addJob("life", task().payload);
await Promise.race([begin(), supply.keepUp({ producers, batch }, enqueue)]);
