// A process with some collectors in it, each with its own session, device and queue pair. Reads lines: `read` has all of
// them read at the same time, and prints their values; `run` has them read without end.

import { AgentClient } from "../../../../src/collector/agent-client.ts";
import { Lines } from "../../../support/lines.ts";
import { Reader } from "./reader.ts";

export interface ReadersTask {
  socketPath: string;
  count: number;
  app: string;
  service: string;
  metric: string;
}

const { socketPath, count, app, service, metric }: ReadersTask = JSON.parse(process.argv[2]!);
const agent = new AgentClient({ socketPath }, {});
const readers: Reader[] = [];
for (let i = 0; i < count; i++) readers.push(await Reader.open(agent, app, readers[0]?.pool));
const values = () => Promise.all(readers.map((reader) => reader.value(service, metric)));
const lines = new Lines(Bun.stdin.stream());
for (console.log("ready"); ; ) {
  const what = await lines.next();
  console.log(JSON.stringify(await values()));
  if (what === "run") for (;;) await values();
}
