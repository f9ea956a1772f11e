// Garbage goes although the agent maps gigabytes of sparse files, which the runtime takes for its heap.

import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { OP, RESPONSE_BYTES, STATUS } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";
import { patience } from "../support/speed.ts";
import { request, WireClient } from "../support/wire-client.ts";

setDefaultTimeout(patience(60_000));

/** A pool of it has gigabytes, as the runtime sees it. */
const MOST_PAGES = 1_000_000;
const MIB = 1 << 20;

test("an agent with large pools collects the garbage of its own thread at its scans", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ limits: { pages: MOST_PAGES }, scanIntervalMs: 60_000 });
  expect(process.memoryUsage().arrayBuffers).toBeGreaterThan(2048 * MIB);
  Bun.gc(true);
  const before = process.memoryUsage().heapTotal;
  let most = 0;
  for (let i = 0; i < 150; i++) {
    waste();
    agent.scan();
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, process.memoryUsage().heapTotal - before);
  }
  // It wastes 1000 MiB, and other threads collect them: a little later where the machine has much to do.
  expect(most / MIB).toBeLessThan(350);
});

test("the thread of the data port collects its garbage whatever the size of the pools", async () => {
  await using host = new TestHost();
  const agent = await host.agentProcess("--max-pages", String(MOST_PAGES));
  using client = new WireClient(agent.dataPort);
  expect(await client.hello()).toBe(STATUS.ok);
  const { id } = await client.pool("microview");
  const batch = Buffer.concat(
    Array.from({ length: 500 }, (_, tag) => request(OP.read, id, [[0, 8]], tag)),
  );
  const ask = async (batches: number) => {
    for (let i = 0; i < batches; i++) {
      client.send(batch);
      await client.take(500 * (RESPONSE_BYTES + 8));
    }
  };
  await ask(20);
  const before = anonymousBytes(agent.pid);
  // A million reads, whose garbage is 200 MiB.
  await ask(2000);
  expect((anonymousBytes(agent.pid) - before) / MIB).toBeLessThan(100);
});

/** Makes about 7 MiB of garbage. */
function waste(): void {
  let last: unknown;
  for (let i = 0; i < 40_000; i++) last = { pair: [i, { i }], text: `x${i}`, last: undefined };
  expect(last).toBeDefined();
}

/** Private memory of a process. */
function anonymousBytes(pid: number): number {
  const [, kib] = /RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))!;
  return Number(kib) * 1024;
}
