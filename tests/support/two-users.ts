// Two agents of two users on one host, both with pools at the default place. Runs in a mount namespace of its own, see
// strangers.test.ts, and prints what each user's service and collector made of it.

import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { MicroView } from "../../src/client/index.ts";
import { Collector } from "../../src/collector/index.ts";
import { SHM_DIR } from "../../src/layout/index.ts";
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

// Neither the one's nor the other's: nobody may give them another name here, and no agent needs to.
for (const [name, owner] of [
  ["five", 0],
  ["shape", 12_345],
] as const) {
  writeFileSync(`${SHM_DIR}/microview.${name}`, "five!", { mode: 0o644 });
  chownSync(`${SHM_DIR}/microview.${name}`, owner, owner);
}

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
  // A name that a stranger has taken is served, too.
  const other = new MicroView({ app: "shape", service: "auth", socket });
  other.counter("requests_total").inc();
  await other.ready;
  found[`${name}'s other application`] = other.attached;
  await other.close();
}
for (const child of children) child.kill("SIGTERM");
await Promise.all(children.map((child) => child.exited));
console.log(JSON.stringify(found));
