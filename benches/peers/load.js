// What the scripts of all peers have in common: what they are told, and how they keep tasks coming.

import { once } from "node:events";
import { parseArgs } from "node:util";

/** What this process is told, each thing by a flag. */
export function told() {
  const names = ["mode", "workers", "outstanding", "producers", "batch"];
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" }]));
  const { mode, ...numbers } = parseArgs({ options }).values;
  const load = Object.entries(numbers).map(([name, value]) => [name, Number(value)]);
  return { batched: mode === "batched", ...Object.fromEntries(load) };
}

/** Tasks that keep coming, and never more than so many that are not finished. */
export class Supply {
  #room;
  #waiting = [];

  constructor(outstanding) {
    this.#room = outstanding;
  }

  /** Makes room for others. */
  finished(count) {
    this.#room += count;
    for (const goOn of this.#waiting.splice(0)) goOn();
  }

  /** Lets so many producers call `enqueue` without pause, each for a batch of tasks at a time. */
  async keepUp({ producers, batch }, enqueue) {
    const produce = async () => {
      for (;;) {
        while (this.#room < batch) await new Promise((goOn) => this.#waiting.push(goOn));
        this.#room -= batch;
        await enqueue(batch);
      }
    };
    await Promise.all(Array.from({ length: producers }, produce));
  }
}

/** Says that the work begins, and ends this process when standard input ends: however the run ended that started it. */
export async function begin() {
  console.log("ready");
  process.stdin.resume();
  await once(process.stdin, "end");
  process.exit();
}
