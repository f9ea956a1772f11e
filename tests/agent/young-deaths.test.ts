// Writers that are killed as soon as they have attached, as in a crash loop: each is noticed at the next look.

import { expect, test } from "bun:test";
import { TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { ask, define, TestWriter } from "../support/pools.ts";

/** The agent scans only when the test asks it to. */
const NEVER_MS = 1e9;

for (const isBare of [false, true]) {
  const what = isBare ? "without metrics" : "with a gauge";
  test(`a writer ${what} that dies right after attaching is folded at the next look`, async () => {
    await using host = new TestHost();
    const agent = await host.agent({ scanIntervalMs: NEVER_MS });
    const view = host.view();
    for (let life = 1; life <= 3; life++) {
      const child = host.run("tests/client/fixtures/young.ts", { socket: host.socketPath, isBare });
      expect(await new Lines(child.stdout).next()).toBe("ready");
      expect(view.writers()).toHaveLength(1);
      if (!isBare) expect(view.value("auth", "depth")).toBe(3);
      child.kill("SIGKILL");
      await child.exited;
      agent.scan();
      expect(view.writers()).toEqual([]);
      if (!isBare) expect(view.value("auth", "depth")).toBeNaN();
      const counted = host.view("microview").value("agent", "microview_agent_writers", {
        app: "shop",
      });
      expect(counted).toBe(0);
    }
  });
}

test("a writer that got a place and never locked it is not counted as living, and is removed", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ scanIntervalMs: NEVER_MS });
  const application = agent.pools.open("shop");
  const { id } = application.attach({ service: "auth", pid: 1, threadId: 0 });
  const get = async (path: string) =>
    (await fetch(`http://localhost/v1/apps/shop${path}`, { unix: host.socketPath })).json();
  const shown = async () => ({
    app: await get(""),
    services: await get("/services"),
    writers: await get("/writers"),
  });
  const notAlive = {
    app: { writers: 0 },
    services: [{ service: "auth", writers: 0 }],
    writers: [{ writer: id, alive: false }],
  };
  expect(await shown()).toMatchObject(notAlive);
  agent.scan();
  expect(application.living).toBe(0);
  expect(await shown()).toMatchObject(notAlive);
  application.scan(Date.now() + 5_000);
  expect(application.writers()).toEqual([]);
});

test("who is alive is what the last look has found: lists of thousands ask the kernel nothing", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ scanIntervalMs: NEVER_MS });
  const application = agent.pools.open("shop");
  const writer = new TestWriter(application);
  expect(application.livingWriters()).toEqual([]);
  writer.register(ask(define.gauge("depth")));
  expect(application.livingWriters()).toHaveLength(1);
  writer.die();
  expect(application.isAlive(writer.record)).toBe(false);
  expect(application.livingWriters()).toHaveLength(1);
  agent.scan();
  expect(application.living).toBe(0);
  expect(application.writers()).toEqual([]);
});

test("a writer gets no series before it has locked its place: they would outlive it", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ scanIntervalMs: NEVER_MS });
  const application = agent.pools.open("shop");
  const { id } = application.attach({ service: "auth", pid: 1, threadId: 0 });
  expect(() => application.register(id, [])).toThrow("does not hold its lock");
});

test("a writer that says that it holds its lock, and does not, is refused and gone at the next look", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ scanIntervalMs: NEVER_MS });
  const application = agent.pools.open("shop");
  const { id } = application.attach({ service: "auth", pid: 1, threadId: 0 });
  const { poolId } = application.pool.header;
  expect(() => application.hold(id, poolId + 1)).toThrow("another pool has taken the place");
  expect(() => application.hold(id, poolId)).toThrow("does not hold its lock");
  agent.scan();
  expect(application.writers()).toEqual([]);
});
