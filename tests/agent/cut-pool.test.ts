// A member of an application may truncate its pool. That must not take down anybody who has it mapped.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { Agent, DEFAULT_LIMITS } from "../../src/agent/index.ts";
import { Pool } from "../../src/agent/pool/pool.ts";
import { MicroView } from "../../src/client/index.ts";
import { createLog } from "../../src/guard/index.ts";
import { poolPath } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

/** What is left of a pool that is cut: its header, and none of its values. */
const CUT_BYTES = 8192;

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
    truncateSync(`${dir}/pools/shop/pool`, CUT_BYTES);
    await until("the agent has noticed", () =>
      messages.some((line) => line.includes(`cut it to ${CUT_BYTES}`)),
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

describe("an agent whose own pool is cut short", () => {
  test.each(["500ms", "1h"])(
    "answers, lets services attach and ends as usual, with scans each %s",
    async (interval) => {
      await using host = new TestHost();
      const agent = await host.agentProcess("--scan-interval", interval);
      truncateSync(poolPath("microview", host.poolDir), CUT_BYTES);
      const ask = async (path: string) => {
        const response = await fetch(`http://127.0.0.1:${agent.port}${path}`);
        return [response.status, await response.text()] as const;
      };
      const works = async (app: string) => {
        expect((await ask("/v1/nowhere"))[0]).toBe(404);
        const client = host.client({ app });
        client.counter("c_total").inc(3);
        expect(await client.ready).toEqual({ attached: true });
        const [status, text] = await ask("/metrics");
        expect(status).toBe(200);
        expect(text).toContain(`c_total{app="${app}",service="auth"} 3`);
      };
      await works("shop");
      if (interval !== "1h") {
        await until("it has another pool", () => agent.find("a pool is not used"));
        await works("bank");
      }
      expect(await agent.end("SIGTERM")).toBe(0);
      expect(agent.stray).toBe("");
    },
  );

  test("loses nothing of what it has counted itself, and counts nothing twice", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ scanIntervalMs: 3_600_000 });
    for (let i = 0; i < 20; i++) await fetch(`http://127.0.0.1:${agent.port}/v1/nowhere`);
    for (let i = 0; i < 5; i++) agent.scan();
    truncateSync(poolPath("microview", host.poolDir), CUT_BYTES);
    await fetch(`http://127.0.0.1:${agent.port}/v1/nowhere`);
    agent.scan();
    await fetch(`http://127.0.0.1:${agent.port}/v1/nowhere`);
    const own = host.view("microview");
    expect(own.value("agent", "microview_agent_requests_total", { status: "404" })).toBe(22);
    expect(own.value("agent", "microview_agent_scans_total")).toBe(6);
    expect(own.value("agent", "microview_agent_pools_set_aside_total")).toBe(1);
    expect(own.writers()).toHaveLength(1);
  });

  test("goes on with what it has counted of processes", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ scanIntervalMs: 3_600_000, processIntervalMs: 3_600_000 });
    const child = host.run("tests/client/fixtures/counting.ts", { socket: host.socketPath });
    const own = host.view("microview");
    const look = () => {
      agent.sampleProcesses();
      const mode = { app: "shop", mode: "user" };
      return own.value("auth", "microview_process_cpu_seconds_total", mode);
    };
    await until("it is seen", () => look() !== undefined);
    child.stdin.write("20000000\n");
    child.stdin.flush();
    const before = await until("it is counted", () => look()! > 0.05 && look());
    truncateSync(poolPath("microview", host.poolDir), CUT_BYTES);
    agent.scan();
    const after = look();
    expect(after).toBeGreaterThanOrEqual(before);
    expect(after).toBeLessThan(before + 5);
    expect(own.writers("auth")).toHaveLength(1);
  });
});

test("a pool that is cut short and removed is not put back as it is", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ scanIntervalMs: 3_600_000 });
  const { pool } = agent.pools.open("shop");
  const path = poolPath("shop", host.poolDir);
  truncateSync(path, CUT_BYTES);
  rmSync(path);
  // Somebody attaches before the next scan.
  agent.pools.open("shop");
  expect(existsSync(path)).toBeFalse();
  agent.scan();
  const next = agent.pools.open("shop");
  expect(next.pool.header.lineage).not.toBe(pool.header.lineage);
  expect(next.directory.damageCount).toBe(0);
});
