// The agent's own writers: whatever becomes of their pool, no count is lost and none is counted twice.

import { describe, expect, test } from "bun:test";
import { rmSync, truncateSync } from "node:fs";
import fc from "fast-check";
import type { Agent } from "../../src/agent/agent.ts";
import { LocalWriters } from "../../src/agent/local-writer.ts";
import type { Application } from "../../src/agent/registry/application.ts";
import { SharedFile, SystemError } from "../../src/ffi/index.ts";
import { type MetricDefinition, poolPath } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";
import { define } from "../support/pools.ts";

const COUNT = define.counter("drops_total", ["device"]);
const DEPTH = define.gauge("depth");
const APP = "kernel";
/** Longer than a writer may take to lock its place. */
const LATER_MS = 60_000;

/** An agent that scans when it is told to, and a writer of its own that has counted nothing. */
async function started(host: TestHost) {
  const agent = await host.agent({ scanIntervalMs: 3_600_000 });
  const writers = new LocalWriters(APP);
  host.onEnd(() => writers.close());
  const writer = writers.writer("net", 7);
  const count = writer.series(COUNT, ["eth0"]);
  const view = host.view(APP);
  return {
    agent,
    writers,
    writer,
    count,
    view,
    settle: () => writers.settle(agent.pools),
    shown: () => view.value("net", "drops_total", { device: "eth0" }),
    path: poolPath(APP, host.poolDir),
  };
}

/** Pools of which none can be made. */
const NO_POOLS = {
  find: () => undefined,
  open: (): Application => {
    throw new Error("no room");
  },
};

/** Ends a writer as on a file system that has lost its locks. */
function endByForce(agent: Agent, id: number): void {
  const application = agent.pools.get(APP);
  const { file } = application.pool;
  file.locked = () => false;
  application.detach(id);
  delete (file as Partial<SharedFile>).locked;
}

describe("a writer of the agent's own", () => {
  test("counts in private memory until it has a place, and shows it all then", async () => {
    await using host = new TestHost();
    const { writers, writer, count, settle, shown, view } = await started(host);
    count.add(3);
    expect(() => writers.settle(NO_POOLS)).toThrow("no room");
    count.add(4);
    expect(writer.isPlaced).toBeFalse();
    settle();
    expect(writer.isPlaced).toBeTrue();
    expect(shown()).toBe(7);
    count.add(1);
    expect(shown()).toBe(8);
    expect(view.writers()).toEqual([{ id: 1, pid: 7, threadId: 0 }]);
  });

  test("goes on in a lost pool, of which nothing is missed, and moves at the next look", async () => {
    await using host = new TestHost();
    const { agent, writer, count, settle, shown, view, path } = await started(host);
    count.add(5);
    settle();
    rmSync(path);
    agent.scan();
    count.add(1);
    const late = writer.series(COUNT, ["eth1"]);
    late.add(2);
    agent.scan();
    expect(shown()).toBe(6);
    expect(agent.pools.get(APP).pool.elsewhere).toBe(1);
    settle();
    count.add(1);
    agent.scan();
    expect(shown()).toBe(7);
    expect(view.value("net", "drops_total", { device: "eth1" })).toBe(2);
    expect(agent.pools.get(APP).pool.elsewhere).toBe(0);
    expect(view.writers()).toHaveLength(1);
  });

  test("that cannot lock its place in the next pool stays where it is, and is seen", async () => {
    await using host = new TestHost();
    const { agent, count, settle, shown, path } = await started(host);
    count.add(5);
    settle();
    rmSync(path);
    agent.scan();
    const stranger = SharedFile.open(path, true);
    const { pagesOffset, fileBytes } = agent.pools.get(APP).pool.header;
    stranger.lock(pagesOffset, fileBytes - pagesOffset);
    for (let i = 0; i < 3; i++) {
      expect(settle).toThrow("somebody else holds the lock of writer 1 of kernel");
      count.add(1);
      agent.scan();
      expect(shown()).toBe(6 + i);
    }
    stranger.close();
    settle();
    count.add(1);
    agent.scan();
    expect(shown()).toBe(9);
  });

  test("whose place somebody else has locked waits for it, and takes no other", async () => {
    await using host = new TestHost();
    const { agent, writer, count, settle, shown, view, path } = await started(host);
    const { pool } = agent.pools.open(APP);
    const stranger = SharedFile.open(path, true);
    const { pagesOffset, fileBytes } = pool.header;
    stranger.lock(pagesOffset, fileBytes - pagesOffset);
    count.add(5);
    for (let i = 0; i < 3; i++) expect(settle).toThrow("somebody else holds the lock");
    expect(view.writers()).toHaveLength(1);
    stranger.unlock(pagesOffset, fileBytes - pagesOffset);
    // The agent takes the place back before it comes again.
    agent.scan(Date.now() + LATER_MS);
    expect(view.writers()).toEqual([]);
    settle();
    stranger.close();
    expect(writer.isPlaced).toBeTrue();
    expect(shown()).toBe(5);
  });

  test("begins again when somebody has ended it, for its counts are kept", async () => {
    await using host = new TestHost();
    const { agent, writer, count, settle, shown, view } = await started(host);
    count.add(5);
    settle();
    endByForce(agent, view.writers()[0]!.id);
    writer.series(DEPTH, []).set(1);
    settle();
    expect(shown()).toBe(5);
    count.add(2);
    expect(shown()).toBe(7);
    expect(view.value("net", "depth")).toBe(1);
  });

  test("stores what it has counted also when it ends while there is no pool", async () => {
    await using host = new TestHost();
    const { writers, writer, count, settle, shown, view } = await started(host);
    count.add(5);
    writer.series(DEPTH, []).set(1);
    const idle = writers.writer("net", 8);
    idle.series(COUNT, ["eth0"]);
    idle.end();
    writer.end();
    expect(() => writers.settle(NO_POOLS)).toThrow("no room");
    settle();
    expect(shown()).toBe(5);
    expect(view.value("net", "depth")).toBeUndefined();
    expect(view.writers()).toEqual([]);
  });

  test("keeps its series when others find no room, and its values apart from theirs", async () => {
    await using host = new TestHost();
    const { agent, writers, count, settle, shown, view } = await started(host);
    agent.pools.open(APP).limits.writers = 2;
    const others = Array.from({ length: 3 }, (_, i) => writers.writer("net", 10 + i));
    for (const other of others) other.series(COUNT, ["eth0"]).add(100);
    count.add(5);
    expect(settle).toThrow("kernel has 2 writers, at most 2 are allowed");
    expect(shown()).toBe(105);
    others[0]!.end();
    expect(settle).toThrow("at most 2 are allowed");
    expect(shown()).toBe(205);
    others[1]!.end();
    settle();
    expect(shown()).toBe(305);
    expect(view.writers()).toHaveLength(2);
  });

  test("refuses another definition of a metric that it has, whatever labels its series have", () => {
    const writer = new LocalWriters(APP).writer("net", 7);
    const count = writer.series(COUNT, ["eth0"]);
    const asked = (definition: MetricDefinition) => () => writer.series(definition, ["eth0"]);
    expect(asked(define.counter("drops_total", ["queue"]))).toThrow(
      'the agent\'s metric drops_total is defined twice, and differently: labels was "device", now "queue"',
    );
    expect(asked(define.gauge("drops_total", "sum", ["device"]))).toThrow("kind was");
    expect(() => writer.series(define.gauge("drops_total"), [])).toThrow("kind was");
    // The same, said once more, is the same series.
    expect(asked(define.counter("drops_total", ["device"]))()).toBe(count);
  });

  test("has a series for each set of labels where names are OpenTelemetry's", () => {
    const writer = new LocalWriters(APP).writer("net", 7);
    const by = (label: string) =>
      writer.series({ ...define.counter("drops", [label]), dialect: "opentelemetry" }, ["0"]);
    expect(by("queue")).not.toBe(by("device"));
    expect(by("queue")).toBe(by("queue"));
  });

  test("goes on when its pool is unmapped", async () => {
    await using host = new TestHost();
    const { agent, writers, writer, count } = await started(host);
    count.add(5);
    const pools = agent.pools;
    writers.settle(pools);
    await agent.stop();
    count.add(1);
    writer.series(DEPTH, []).set(1);
    expect(() => writers.settle(NO_POOLS)).toThrow("no room");
    const next = await host.agent({ scanIntervalMs: 3_600_000 });
    writers.settle(next.pools);
    next.scan(Date.now() + LATER_MS);
    expect(host.view(APP).value("net", "drops_total", { device: "eth0" })).toBe(6);
  });
});

type Step = "add" | "settle" | "scan" | "remove" | "cut" | "series";

test("whatever becomes of its pool, a writer has counted what it has counted", async () => {
  await using host = new TestHost();
  const { agent, writer, count, settle, shown, view, path } = await started(host);
  let total = 0;
  let series = 0;
  // While its pool is gone it finds no place, and is asked again.
  const trySettle = () => {
    try {
      settle();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
  };
  const steps: Record<Step, () => void> = {
    add: () => {
      total++;
      count.add(1);
    },
    settle: () => trySettle(),
    scan: () => agent.scan(),
    remove: () => rmSync(path, { force: true }),
    cut: () => {
      try {
        truncateSync(path, 8192);
      } catch {
        // It was removed.
      }
    },
    series: () => writer.series(COUNT, [`eth${1 + (series++ % 3)}`]).add(1),
  };
  const names = Object.keys(steps) as Step[];
  settle();
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...names), { maxLength: 12 }), (run) => {
      for (const step of run) steps[step]();
      agent.scan();
      trySettle();
      agent.scan();
      settle();
      agent.scan();
      expect(shown()).toBe(total);
      expect(view.writers()).toHaveLength(1);
      const others = [1, 2, 3].map((i) => view.value("net", "drops_total", { device: `eth${i}` }));
      expect(others.reduce((sum: number, value) => sum + (value ?? 0), 0)).toBe(series);
    }),
    { numRuns: 60 },
  );
});
