// Values before there is an agent, while it is away, and when the pool is another one.

import { describe, expect, test } from "bun:test";
import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { poolPath } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

describe("a client without an agent", () => {
  test("returns at once and counts into private memory", async () => {
    await using host = new TestHost();
    const mv = host.client();
    const counter = mv.counter("requests_total");
    counter.inc(3);
    expect(counter.value).toBe(3);
    expect(mv.attached).toBe(false);
    expect(host.warnings).toEqual([]);
  });

  test("carries its values into the pool when the agent comes, with the same handles", async () => {
    await using host = new TestHost();
    const mv = host.client();
    const counter = mv.counter("requests_total", { labels: ["route"] });
    const home = counter.labels("/");
    const gauge = mv.gauge("depth");
    const mean = mv.gauge("load", { combine: "mean" });
    const last = mv.gauge("version", { combine: "last" });
    const histogram = mv.histogram("latency_seconds", { buckets: [1, 2] });
    home.inc(3);
    gauge.set(-4);
    last.set(9);
    histogram.observe(1.5);
    await host.agent();
    await mv.ready;
    expect(mv.attached).toBe(true);
    home.inc(2);
    histogram.observe(0.5);
    const view = host.view();
    expect(view.value("auth", "requests_total", { route: "/" })).toBe(5);
    expect(view.value("auth", "depth")).toBe(-4);
    expect(view.value("auth", "load")).toBeNaN();
    expect(view.value("auth", "version")).toBe(9);
    expect(view.slots("auth", "latency_seconds")).toEqual([1, 1, 0, 2]);
    expect(counter.labels("/")).toBe(home);
    expect(home.value).toBe(5);
    expect(mean.value).toBeNaN();
  });

  test("registers what is declared later, too, and what is declared while it registers", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    await mv.ready;
    const names = Array.from({ length: 50 }, (_, i) => `late_${i}_total`);
    for (const name of names) {
      mv.counter(name).inc();
      await Promise.resolve();
    }
    const view = host.view();
    await until("all are there", () => names.every((name) => view.value("auth", name) === 1));
  });

  test("brings with what it has counted since when, and to an agent that lost its pools again", async () => {
    await using host = new TestHost();
    const beforeMs = Date.now();
    const mv = host.client();
    const counter = mv.counter("requests_total");
    counter.inc(3);
    const afterMs = Date.now();
    await Bun.sleep(30);
    const startOf = () => [...host.view().read().directory.writers.values()][0]!.startedAtMs;
    const first = await host.agentProcess();
    await mv.ready;
    const startedAtMs = startOf();
    expect(startedAtMs).toBeGreaterThanOrEqual(beforeMs);
    expect(startedAtMs).toBeLessThanOrEqual(afterMs);
    await first.end("SIGKILL");
    rmSync(join(host.poolDir, "shop"), { recursive: true });
    await host.agentProcess();
    await host.shows(3, "requests_total");
    expect(startOf()).toBe(startedAtMs);
  });

  test("closes without an agent, quickly and without a complaint", async () => {
    await using host = new TestHost();
    const mv = host.client();
    const counter = mv.counter("requests_total");
    await mv.close();
    counter.inc();
    expect(counter.value).toBe(1);
    expect(host.warnings).toEqual([]);
  });

  test("does not keep its process alive", async () => {
    await using host = new TestHost();
    const child = host.own(
      Bun.spawn(
        [
          process.execPath,
          "-e",
          `const { MicroView } = await import(${JSON.stringify(`${import.meta.dir}/../../src/client/index.ts`)});
           new MicroView({ app: "shop", service: "auth", socket: ${JSON.stringify(host.socketPath)} }).counter("a_total").inc();`,
        ],
        { stdin: "ignore", stdout: "ignore", stderr: "inherit" },
      ),
    );
    expect(await child.exited).toBe(0);
  });
});

describe("an agent that is killed", () => {
  test("is not missed: its successor has every count once, and the client goes on in its page", async () => {
    await using host = new TestHost();
    const first = await host.agentProcess();
    const mv = host.client();
    const counter = mv.counter("requests_total");
    const histogram = mv.histogram("latency_seconds", { buckets: [1] });
    await mv.ready;
    counter.inc(10);
    await first.end("SIGKILL");
    counter.inc(20);
    histogram.observe(0.5);
    const late = mv.counter("late_total");
    late.inc(7);
    await host.agentProcess();
    counter.inc(30);
    await host.shows(7, "late_total");
    const view = host.view();
    expect(view.value("auth", "requests_total")).toBe(60);
    expect(view.slots("auth", "latency_seconds")).toEqual([1, 0, 0.5]);
    expect(view.writers()).toHaveLength(1);
    expect(view.read().directory.seriesCount).toBe(3);
  });

  test("again and again loses nothing and doubles nothing", async () => {
    await using host = new TestHost();
    const mv = host.client();
    const family = mv.counter("requests_total", { labels: ["round"] });
    for (let round = 0; round < 4; round++) {
      const agent = await host.agentProcess();
      family.labels(round).inc(round + 1);
      await host.shows(round + 1, "requests_total", { labels: { round: String(round) } });
      await agent.end("SIGKILL");
      family.labels(round).inc();
    }
    const view = host.view();
    for (let round = 0; round < 4; round++) {
      expect(view.value("auth", "requests_total", { round: String(round) })).toBe(round + 2);
    }
    expect(view.read().directory.seriesCount).toBe(4);
    expect(view.writers()).toHaveLength(1);
  });

  test("does not bring a process down that was just going to attach", async () => {
    await using host = new TestHost();
    const agent = await host.agentProcess();
    const clients = Array.from({ length: 5 }, (_, i) => host.client({ service: `s${i}` }));
    const counters = clients.map((mv) => mv.counter("requests_total"));
    await agent.end("SIGKILL");
    for (const counter of counters) counter.inc();
    await host.agentProcess();
    for (let i = 0; i < 5; i++) await host.shows(1, "requests_total", { service: `s${i}` });
    expect(host.warnings).toEqual([]);
  });
});

describe("a pool that is replaced under a living client", () => {
  test("by a new one: the values are carried over, with the counts of its past", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const mv = host.client();
    const counter = mv.counter("requests_total");
    const gauge = mv.gauge("depth");
    await mv.ready;
    counter.inc(4);
    gauge.set(6);
    await agent.stop();
    rmSync(poolPath("shop", host.poolDir));
    counter.inc(5);
    await host.agent();
    await host.shows(9, "requests_total");
    await host.shows(6, "depth");
    counter.inc();
    expect(host.view().value("auth", "requests_total")).toBe(10);
  });

  test("that is set aside as damaged: the same, and the damaged one is kept", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const mv = host.client();
    const counter = mv.counter("requests_total");
    await mv.ready;
    counter.inc(4);
    const path = poolPath("shop", host.poolDir);
    await agent.stop();
    renameSync(path, `${path}.damaged-by-hand`);
    await host.agent();
    counter.inc();
    await host.shows(5, "requests_total");
    expect(existsSync(`${path}.damaged-by-hand`)).toBe(true);
  });
});
