// Two agents of two users on one host, both with pools at the default place. Runs in a mount namespace of its own, see
// strangers.test.ts, and prints what each user's service and collector made of it.

import { chownSync, mkdirSync } from "node:fs";
import { MicroView } from "../../src/client/index.ts";
import { Collector } from "../../src/collector/index.ts";
import { note } from "./collecting.ts";
import { CLI } from "./host.ts";
import { asNobody, nobodyUid } from "./permissions.ts";
import { surroundings } from "./surroundings.ts";
import { until } from "./wait.ts";

const folder = process.argv[2]!;
const users = [
  { name: "root", wrapper: [] as readonly string[], count: 3 },
  { name: "nobody", wrapper: asNobody!, count: 5 },
];

const found: Record<string, unknown> = {};
const children: Bun.Subprocess[] = [];
for (const { name, wrapper, count } of users) {
  const home = `${folder}/${name}`;
  mkdirSync(home);
  if (name === "nobody") chownSync(home, nobodyUid, nobodyUid);
  const socket = `${home}/agent.sock`;
  const words = [process.execPath, CLI, "agent", "--socket", socket, "--json-logs"];
  const child = Bun.spawn(
    [
      ...wrapper,
      ...words,
      "--port",
      "0",
      "--data-port",
      "0",
      "--rdma",
      "off",
      "--pool-mode",
      "0666",
    ],
    { stdin: "ignore", stdout: "ignore", stderr: "pipe", env: surroundings() },
  );
  children.push(child);
  const mv = new MicroView({ app: "shop", service: "auth", socket });
  mv.counter("requests_total").inc(count);
  await mv.ready;
  const latest = new Map<string, number>();
  const collector = new Collector({
    targets: [{ socketPath: socket }],
    intervalMs: 10,
    onSnapshot: (snapshot) => note(latest, snapshot),
  });
  collector.start();
  found[name] = await until("the counter is read", () =>
    latest.get("local shop auth requests_total{}"),
  );
  await collector.stop();
  await mv.close();
}
for (const child of children) child.kill("SIGTERM");
await Promise.all(children.map((child) => child.exited));
console.log(JSON.stringify(found));
