// The default metrics: the same names, help, types and labels as prom-client's, with values that make sense.

import { describe, expect, test } from "bun:test";
import * as theirs from "prom-client";
import * as ours from "../../src/prom-client/index.ts";
import type { Client } from "./both.ts";

/** What a registry shows apart from values. */
async function shape(client: Client, config: object = {}) {
  const register = new client.Registry();
  client.collectDefaultMetrics({ register, ...config });
  // The event loop's observer has something to tell after its first turns.
  await Bun.sleep(30);
  const metrics = await register.getMetricsAsJSON();
  return metrics.map(({ values, ...metric }: Client) => ({
    ...metric,
    values: values.map(({ metricName, labels }: Client) => ({ metricName, labels })),
  }));
}

async function values(config: object = {}): Promise<Map<string, number>> {
  const register = new ours.Registry();
  ours.collectDefaultMetrics({ register, ...config });
  await register.metrics();
  await Bun.sleep(30);
  const metrics = await register.getMetricsAsJSON();
  return new Map(metrics.map(({ name, values }) => [name, values![0]?.value ?? Number.NaN]));
}

describe("the default metrics", () => {
  test("are prom-client's, in its order", async () => {
    expect(await shape(ours)).toEqual(await shape(theirs));
  });

  test("take a prefix, labels, and buckets for collections", async () => {
    const config = { prefix: "my_", labels: { instance: 3, zone: "x" }, gcDurationBuckets: [1] };
    const shown = await shape(ours, config);
    expect(shown).toEqual(await shape(theirs, config));
    expect(shown.every(({ name }: Client) => name.startsWith("my_"))).toBeTrue();
  });

  test("refuse a configuration that is no object", () => {
    for (const { collectDefaultMetrics } of [ours, theirs] as Client[]) {
      expect(() => collectDefaultMetrics("x")).toThrow(
        new TypeError("config must be null, undefined, or an object"),
      );
    }
  });

  test("tell what the process uses", async () => {
    const now = await values();
    expect(now.get("process_resident_memory_bytes")).toBeGreaterThan(10e6);
    expect(now.get("process_virtual_memory_bytes")).toBeGreaterThan(10e6);
    expect(now.get("process_heap_bytes")).toBeGreaterThan(1e6);
    expect(now.get("process_open_fds")).toBeGreaterThan(2);
    expect(now.get("process_max_fds")).toBeGreaterThan(10);
    expect(now.get("nodejs_heap_size_used_bytes")).toBeGreaterThan(1e5);
    expect(now.get("nodejs_version_info")).toBe(1);
    const startedAtS = now.get("process_start_time_seconds")!;
    expect(Math.abs(startedAtS - (Date.now() / 1000 - process.uptime()))).toBeLessThan(2);
  });

  test("count processor time since they were made, user and system together", async () => {
    const register = new ours.Registry();
    ours.collectDefaultMetrics({ register });
    const before = process.cpuUsage();
    while (process.cpuUsage(before).user < 20_000);
    const metrics = await register.getMetricsAsJSON();
    const [user, system, both] = metrics.slice(0, 3).map(({ values }) => values![0]!.value);
    expect(user).toBeGreaterThan(0.01);
    expect(both).toBeCloseTo(user! + system!, 6);
  });

  test("carry the active span as an exemplar when they are told to", async () => {
    const API = Symbol.for("opentelemetry.js.api.1");
    const api = globalThis as Record<symbol, unknown>;
    const before = api[API];
    const span = { spanContext: () => ({ traceId: "t1", spanId: "s1" }) };
    api[API] = { context: { active: () => ({ getValue: () => span }) } };
    try {
      const register = new ours.Registry(ours.openMetricsContentType);
      ours.collectDefaultMetrics({ register, enableExemplars: true });
      expect(await register.metrics()).toMatch(
        /^process_cpu_user_seconds_total \S+ # \{traceId="t1",spanId="s1"\} \S+ \d+/m,
      );
    } finally {
      api[API] = before;
    }
  });
});
