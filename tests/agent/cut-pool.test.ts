// A member of an application may truncate its pool. That must not take down anybody who has it mapped.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { Agent, DEFAULT_LIMITS } from "../../src/agent/index.ts";
import { Pool } from "../../src/agent/pool.ts";
import { MicroView } from "../../src/client/index.ts";
import { createLog } from "../../src/guard/index.ts";
import { until } from "../support/wait.ts";

let dir: string;
let runDir: string;

beforeAll(() => {
  dir = mkdtempSync("/dev/shm/microview-cut-");
  runDir = mkdtempSync("/tmp/microview-cut-");
});

afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
  rmSync(runDir, { recursive: true, force: true });
});

test("reading a mapped pool that was cut short gives zeroes and not a crash", () => {
  const path = `${dir}/plain`;
  const pool = Pool.create(path, "plain", { mode: 0o600 });
  truncateSync(path, 4096);
  expect(pool.slots[pool.slotIndexOf(7, 3)]).toBe(0);
  pool.slots[pool.slotIndexOf(9, 3)] = 1;
  expect(pool.slots[pool.slotIndexOf(9, 3)]).toBe(1);
  pool.close();
});

test("an agent sets a pool aside that was cut short, and its writers move to a new one", async () => {
  const messages: string[] = [];
  const agent = await Agent.start({
    socketPath: `${runDir}/agent.sock`,
    poolDir: `${dir}/pools`,
    host: "127.0.0.1",
    port: 0,
    dataPort: 0,
    poolMode: 0o600,
    strategy: "page",
    limits: DEFAULT_LIMITS,
    scanIntervalMs: 20,
    insecure: false,
    version: "test",
    log: createLog("error", false, (line) => messages.push(line)),
  });
  const mv = new MicroView({ app: "shop", service: "auth", socket: `${runDir}/agent.sock` });
  try {
    const counter = mv.counter("c_total");
    counter.inc(5);
    await mv.ready;
    const { poolId } = agent.pools.get("shop").pool.header;
    truncateSync(`${dir}/pools/shop/pool`, 8192);
    await until("the agent has noticed", () =>
      messages.some((line) => line.includes("cut it to 8192")),
    );
    counter.inc(2);
    await until("the writer is in the new pool", () => {
      const now = [...agent.pools].find(({ name }) => name === "shop");
      return now !== undefined && now.pool.header.poolId !== poolId && now.writers().length === 1;
    });
    expect(readdirSync(`${dir}/pools/shop`).some((name) => name.startsWith("pool.damaged-"))).toBe(
      true,
    );
  } finally {
    await mv.close();
    await agent.stop();
  }
});
