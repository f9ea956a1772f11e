// Series that the agent refuses: they are asked for again rarely and a few at a time, and placed when there is room.

import { describe, expect, test } from "bun:test";
import { Cell, type Series } from "../../src/client/cells.ts";
import { Refused } from "../../src/client/refused.ts";
import type { MetricDefinition } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

function metric(name: string): MetricDefinition {
  const labelNames = ["user"];
  return { name, kind: "counter", unit: "", help: "", labelNames, combine: "sum", bounds: [] };
}

function seriesOf(of: MetricDefinition, count: number): Series[] {
  return Array.from({ length: count }, (_, i) => ({
    metric: of,
    labelValues: [String(i)],
    cell: new Cell(new Float64Array(1), 0),
    slots: 1,
    placed: false,
  }));
}

describe("refused series", () => {
  const visits = metric("visits_total");

  test("are asked for one at a time, each time another one, twice as late each time up to half a minute", () => {
    const refused = new Refused();
    const series = seriesOf(visits, 100);
    let nowMs = 5;
    refused.add(visits, series, nowMs);
    const asked: Series[] = [];
    for (const delayMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      expect(refused.take(nowMs + delayMs * 0.74)).toEqual([]);
      nowMs += delayMs * 1.25;
      const taken = refused.take(nowMs);
      expect([taken.length, refused.size]).toEqual([1, 99]);
      asked.push(...taken);
      refused.add(visits, taken, nowMs);
      expect(refused.size).toBe(100);
    }
    expect(asked).toEqual(series.slice(0, 7));
  });

  test("are asked for at once, and twice as many each time, as long as all are placed", () => {
    const refused = new Refused();
    refused.add(visits, seriesOf(visits, 20_000), 0);
    const counts: number[] = [];
    while (refused.size > 0) {
      counts.push(refused.take(2_000).length);
      refused.placed(visits);
    }
    expect(counts.slice(0, 4)).toEqual([1, 2, 4, 8]);
    expect(Math.max(...counts)).toBe(5_000);
    expect(refused.has(visits)).toBe(false);
  });

  test("are asked for one at a time again when there was room for some only", () => {
    const refused = new Refused();
    refused.add(visits, seriesOf(visits, 10), 0);
    refused.take(2_000);
    refused.placed(visits);
    const [, second] = refused.take(2_000);
    refused.add(visits, [second!], 2_000);
    expect(refused.take(2_500)).toEqual([]);
    expect(refused.take(5_000)).toHaveLength(1);
  });

  test("are put off by no new ones that are refused too, and are not hurried by new ones that are placed", () => {
    const refused = new Refused();
    const series = seriesOf(visits, 3);
    refused.add(visits, series.slice(0, 1), 0);
    refused.add(visits, series.slice(1, 2), 700);
    refused.placed(visits);
    expect(refused.take(700)).toEqual([]);
    expect(refused.take(1_250)).toEqual(series.slice(0, 1));
  });

  test("of very many metrics are asked for in turns, each once", () => {
    const refused = new Refused();
    const metrics = Array.from({ length: 250 }, (_, i) => metric(`m${i}_total`));
    for (const each of metrics) refused.add(each, seriesOf(each, 2), 0);
    const asked = [0, 1, 2].flatMap((i) => {
      const taken = refused.take(2_000 + i);
      for (const each of taken) refused.add(each.metric, [each], 2_000 + i);
      expect(taken.length).toBeLessThanOrEqual(100);
      return taken;
    });
    expect(new Set(asked.map((each) => each.metric)).size).toBe(250);
  });

  test("that are removed are not asked for", () => {
    const refused = new Refused();
    const series = seriesOf(visits, 2);
    refused.add(visits, series, 0);
    for (const each of series) refused.remove(each);
    expect([refused.size, refused.take(2_000)]).toEqual([0, []]);
    expect(refused.has(visits)).toBe(false);
  });
});

/** An agent, and how many series of a metric it was asked for by each request that had some. */
async function watched(host: TestHost, limits: { seriesPerMetric?: number; series?: number }) {
  const socketPath = `${host.folder}/real.sock`;
  const agent = await host.agent({ socketPath, limits });
  const asked: number[] = [];
  const proxy = Bun.serve({
    unix: host.socketPath,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const body = await request.text();
      if (request.method === "POST" && pathname.endsWith("/series")) {
        const { metrics } = JSON.parse(body) as { metrics: { series: string[][] }[] };
        const count = metrics.reduce((sum, { series }) => sum + series.length, 0);
        if (count > 0) asked.push(count);
      }
      return fetch(`http://localhost${pathname}`, {
        unix: socketPath,
        method: request.method,
        body,
        headers: request.headers,
      });
    },
  });
  host.onEnd(() => proxy.stop(true));
  return { agent, asked, socketPath };
}

describe("a service with many series that are refused", () => {
  test("asks for one of them, and for new ones alone", async () => {
    await using host = new TestHost();
    const { asked } = await watched(host, { seriesPerMetric: 10 });
    const mv = host.client();
    const visits = mv.counter("visits_total", { labels: ["user"] });
    for (let i = 0; i < 3_000; i++) visits.labels(i).inc();
    await mv.ready;
    expect(asked).toEqual([3_000]);
    for (const user of ["ann", "bob"]) visits.labels(user).inc();
    await until("it has asked again twice", () => asked.length >= 4);
    expect(Math.max(...asked.slice(1))).toBeLessThanOrEqual(2);
  });

  test("has all of them placed, of any number of metrics, when the agent comes again with higher limits", async () => {
    await using host = new TestHost();
    const { agent, socketPath } = await watched(host, { series: 20 });
    const mv = host.client();
    const visits = mv.counter("visits_total", { labels: ["user"] });
    for (let i = 0; i < 500; i++) visits.labels(i).inc();
    for (let i = 0; i < 300; i++) mv.counter(`c${i}_total`).inc();
    await mv.ready;
    await agent.stop();
    const next = await host.agent({ socketPath });
    const { directory } = next.pools.get("shop");
    await until("all have their place", () => directory.seriesCount === 800);
    await host.shows(1, "c299_total");
    await host.shows(1, "visits_total", { labels: { user: "499" } });
  });

  test("asks once more for all when it ends", async () => {
    await using host = new TestHost();
    const { agent, socketPath } = await watched(host, { seriesPerMetric: 3 });
    const mv = host.client();
    const visits = mv.counter("visits_total", { labels: ["user"] });
    for (let i = 0; i < 100; i++) visits.labels(i).inc();
    await mv.ready;
    await agent.stop();
    const next = await host.agent({ socketPath });
    await mv.close();
    expect(next.pools.get("shop").directory.seriesCount).toBe(100);
  });
});
