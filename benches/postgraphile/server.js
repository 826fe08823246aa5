// PostGraphile as its users run it in production: with a process for each of so many processors, or in one process that
// tells subscribers what happens. The database is where the environment says (PGHOST, PGPORT, PGUSER, PGDATABASE). Once it
// serves, it says where; it ends when its standard input does.
//
//     node server.js PROCESSES
//     node server.js live

import cluster from "node:cluster";
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { taskEvents } from "./live.js";

const wanted = process.argv[2] ?? "1";
const live = wanted === "live";
const processes = live ? 1 : Number(wanted);

const preset = {
  extends: [PostGraphileAmberPreset],
  plugins: live ? [taskEvents] : [],
  // The pool is of the size that it has by itself: ten connections in each process.
  pgServices: [makePgService({ connectionString: process.env.DATABASE_URL, schemas: ["public"], pubsub: live })],
  // Answers are written as text at once, without objects in between.
  grafserv: { graphiql: false, watch: false, outputDataAsString: true, websockets: live },
  grafast: { explain: false },
};

async function serve() {
  const server = createServer();
  await postgraphile(preset).createServ(grafserv).addTo(server);
  // Connections stay open for as long as the run takes.
  server.keepAliveTimeout = 0;
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const { address, port } = server.address();
  return `${address}:${port}`;
}

function untilInputEnds(end) {
  process.stdin.on("end", end).resume();
}

if (cluster.isWorker) {
  process.send(await serve());
} else if (processes > 1) {
  // Those who ask for any port in a cluster are given the same one.
  let serving = 0;
  for (let i = 0; i < processes; i++) {
    cluster.fork().once("message", (address) => {
      serving += 1;
      if (serving === processes) console.log(address);
    });
  }
  untilInputEnds(() => process.exit(0));
} else {
  console.log(await serve());
  untilInputEnds(() => process.exit(0));
}
