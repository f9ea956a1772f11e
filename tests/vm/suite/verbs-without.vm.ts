// Hosts that lack something for RDMA: agent and collector say what it is, and read over TCP where they may choose.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, renameSync } from "node:fs";
import { collect } from "../../support/collecting.ts";
import type { AgentProcess } from "../../support/host.ts";
import { until } from "../../support/wait.ts";
import { MachineHost, MICROVIEW, pretendToBeElsewhere } from "./support/rig.ts";

const LIBRARY = "/usr/lib/x86_64-linux-gnu/libibverbs.so.1";
const NOBODY = 65_534;

/** What is missing, and the words in which it is said. */
const LACKS = {
  "rdma-core": "cannot load rdma-core (libibverbs.so.1): no such file",
  "the device that was named": "this host has no RDMA port mlx5_0; there is rxe0:1",
  "enough memory that may be locked": "raise the memory-lock limit (`ulimit -l`",
} as const;

const hosts: MachineHost[] = [];
const agents: AgentProcess[] = [];
let free: ReturnType<typeof collect>;
let strict: ReturnType<typeof collect>;
let once: { exitCode: number; stdout: string; stderr: string };

beforeAll(async () => {
  for (const _ of Object.keys(LACKS)) hosts.push(new MachineHost());
  const [bare, misled, poor] = hosts as [MachineHost, MachineHost, MachineHost];
  const elsewhere = await pretendToBeElsewhere(bare);
  renameSync(LIBRARY, `${LIBRARY}.away`);
  try {
    agents.push(await bare.start([], elsewhere));
  } finally {
    renameSync(`${LIBRARY}.away`, LIBRARY);
  }
  for (const path of [poor.folder, poor.poolDir]) chownSync(path, NOBODY, NOBODY);
  chmodSync("/dev/infiniband/uverbs0", 0o666);
  const limited = 'ulimit -l 64; exec "$0" "$@"';
  agents.push(
    ...(await Promise.all([
      misled.start(["--rdma", "mlx5_0"], elsewhere),
      poor.start([], [...elsewhere, "su", "-s", "/bin/sh", "nobody", "-c", limited, "--"]),
    ])),
  );
  const targets = agents.map(({ port }) => ({ host: "127.0.0.1", port }));
  free = collect(bare, { targets, transport: "auto", intervalMs: 100 });
  strict = collect(bare, { targets, transport: "verbs", intervalMs: 100 });
  const names = targets.map(({ host, port }) => `${host}:${port}`);
  const child = Bun.spawn([MICROVIEW, "collect", names[0]!, "--transport", "verbs", "--once"], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  once = { exitCode: await child.exited, stdout, stderr };
});

afterAll(async () => {
  for (const host of hosts.reverse()) await host[Symbol.asyncDispose]();
});

for (const [i, [what, words]] of Object.entries(LACKS).entries()) {
  describe(`an agent without ${what}`, () => {
    const source = () => `127.0.0.1:${agents[i]!.port}`;
    const said = (collected: typeof free) =>
      collected.events.filter((event) => event.source === source()).map(({ message }) => message);

    test("says so, and goes on", async () => {
      await until("it says so", () => JSON.stringify(agents[i]!.log).includes(words));
      expect(agents[i]!.log.filter(({ level }) => level === "error")).toEqual([]);
      const { endpoint, reason } = await hosts[i]!.rdma();
      if (endpoint === null) expect(reason).toBe(words);
    });

    test("is read over TCP by who may choose, which says why", async () => {
      await until("it is read", () => free.collector.statistics[i]!.snapshots > 0);
      const told = said(free).findLast((message) => message.startsWith("read by"));
      expect(told).toStartWith("read by tcp (not by RDMA: ");
      expect(told).toContain(words);
    });

    test("is not read by who insists on RDMA, which says why", async () => {
      await until("it says so", () => said(strict).some((message) => message.includes(words)));
      expect(strict.collector.statistics[i]!.snapshots).toBe(0);
    });
  });
}

test("the program ends, and says why, when it shall read by RDMA and nothing else", () => {
  const { exitCode, stdout, stderr } = once;
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  expect(stderr).toContain(`cannot read by RDMA: the agent has no RDMA: ${LACKS["rdma-core"]}`);
});
