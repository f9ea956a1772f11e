// From `new MicroView` to `close()`: instances beside each other, pages given back, and what an agent refuses.

import { describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { DEFAULT_LIMITS } from "../../src/agent/registry/limits.ts";
import { MicroView, MicroViewClient } from "../../src/client/index.ts";
import type { AttachResponse } from "../../src/rest/index.ts";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

describe("several clients", () => {
  test("of one thread are writers of their own, and add up", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const clients = [host.client(), host.client(), host.client({ service: "cart" })];
    const counters = clients.map((mv) => mv.counter("requests_total"));
    await Promise.all(clients.map((mv) => mv.ready));
    for (const [i, counter] of counters.entries()) counter.inc(10 ** i);
    const view = host.view();
    expect(view.value("auth", "requests_total")).toBe(11);
    expect(view.value("cart", "requests_total")).toBe(100);
    expect(view.writers()).toHaveLength(3);
    expect(agent.pools.get("shop").pagesUsed).toBe(3);
  });

  test("of several applications are in pools of their own", async () => {
    await using host = new TestHost();
    await host.agent();
    const apps = ["shop", "bank"];
    const clients = apps.map((app) => host.client({ app }));
    for (const [i, mv] of clients.entries()) mv.counter("requests_total").inc(i + 1);
    await Promise.all(clients.map((mv) => mv.ready));
    for (const [i, app] of apps.entries()) {
      expect(host.view(app).value("auth", "requests_total")).toBe(i + 1);
      expect(host.view(app).writers()).toHaveLength(1);
    }
  });

  test("that declare one metric in two ways: the second stays private, is told so, and works", async () => {
    await using host = new TestHost();
    await host.agent();
    const one = host.client();
    one.counter("requests_total").inc();
    await one.ready;
    const two = host.client();
    const gauge = two.gauge("requests_total");
    const other = two.counter("errors_total");
    await two.ready;
    gauge.set(5);
    other.inc(2);
    expect(host.warnings).toHaveLength(1);
    expect(host.warnings[0]).toMatchObject({ code: "metric-conflict" });
    expect(host.warnings[0]!.message).toContain('kind was "counter", now "gauge"');
    expect(gauge.value).toBe(5);
    expect(host.view().value("auth", "requests_total")).toBe(1);
    expect(host.view().value("auth", "errors_total")).toBe(2);
    // Once nobody alive writes it as it was, the name is free.
    await one.close();
    await until("the gauge has its place", () => host.view().value("auth", "requests_total") === 5);
  });
});

describe("close()", () => {
  test("gives the pages back, keeps the counts, and leaves handles that work", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const mv = host.client();
    const counter = mv.counter("requests_total");
    const gauge = mv.gauge("depth");
    await mv.ready;
    counter.inc(3);
    gauge.set(4);
    await mv.close();
    const view = host.view();
    expect(view.writers()).toEqual([]);
    expect(view.value("auth", "requests_total")).toBe(3);
    expect(view.value("auth", "depth")).toBeNaN();
    expect(agent.pools.get("shop").pagesUsed).toBe(1);
    counter.inc(2);
    gauge.set(9);
    expect([counter.value, gauge.value]).toEqual([5, 9]);
    expect(mv.counter("late_total").inc()).toBeUndefined();
    expect(view.value("auth", "requests_total")).toBe(3);
    expect(mv.attached).toBe(false);
  });

  test("registers first what was counted before there was a place for it", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    mv.counter("requests_total").inc(7);
    await mv.close();
    expect(host.view().value("auth", "requests_total")).toBe(7);
  });

  test("may be called twice, and by `await using`", async () => {
    await using host = new TestHost();
    await host.agent();
    {
      await using mv = new MicroView({ app: "shop", service: "auth", socket: host.socketPath });
      mv.counter("requests_total").inc();
      await mv.ready;
      await mv.close();
    }
    expect(host.view().writers()).toEqual([]);
    expect(host.view().value("auth", "requests_total")).toBe(1);
  });

  test("while the agent is away lets go of the lock, so that the next agent sees it", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const mv = host.client();
    const counter = mv.counter("requests_total");
    await mv.ready;
    counter.inc(3);
    await agent.stop();
    counter.inc();
    await mv.close();
    await host.agent();
    await until("it is folded", () => host.view().writers().length === 0);
    expect(host.view().value("auth", "requests_total")).toBe(4);
  });
});

describe("a limit of the agent", () => {
  test("keeps the values beyond it private, and warns once", async () => {
    await using host = new TestHost();
    await host.agent({ limits: { seriesPerMetric: 3 } });
    const mv = host.client();
    const requests = mv.counter("requests_total", { labels: ["user"] });
    const children = Array.from({ length: 10 }, (_, i) => requests.labels(i));
    for (const child of children) child.inc();
    const other = mv.counter("errors_total");
    other.inc();
    await mv.ready;
    const warned = () => host.warnings.filter(({ code }) => code === "label-values-full");
    expect(warned()).toHaveLength(1);
    expect(warned()[0]!.message).toContain("requests_total has 3 series, at most 3 are allowed");
    expect(warned()[0]!.hint).toContain("--max-series-per-metric");
    for (const child of children) child.inc();
    const view = host.view();
    expect(children.map(({ value }) => value)).toEqual(new Array(10).fill(2));
    expect(view.value("auth", "errors_total")).toBe(1);
    const placed = children.map((_, i) =>
      view.value("auth", "requests_total", { user: String(i) }),
    );
    expect(placed).toEqual([2, 2, 2, ...new Array(7).fill(undefined)]);
    // It tries again, each time a little later, and says nothing more.
    const agent = await until("it has asked again", () => {
      const count = host.view("microview").value("agent", "microview_agent_limit_reached_total", {
        code: "label-values-full",
      });
      return count !== undefined && count >= 3 && count;
    });
    expect(agent).toBeGreaterThanOrEqual(3);
    expect(warned()).toHaveLength(1);
  });

  test("that is raised lets in what had to wait, with all it has counted", async () => {
    await using host = new TestHost();
    const first = await host.agent({ limits: { seriesPerMetric: 3 } });
    const mv = host.client();
    const requests = mv.counter("requests_total", { labels: ["user"] });
    const children = Array.from({ length: 10 }, (_, i) => requests.labels(i));
    await mv.ready;
    await first.stop();
    for (const child of children) child.inc(2);
    await host.agent();
    for (let i = 0; i < 10; i++) {
      await host.shows(2, "requests_total", { labels: { user: String(i) } });
    }
    for (const child of children) child.inc();
    expect(host.view().value("auth", "requests_total", { user: "9" })).toBe(3);
    expect(host.view().read().directory.seriesCount).toBe(10);
  });

  test("on the size of a request is met with smaller ones", async () => {
    await using host = new TestHost();
    await host.agent({ limits: { bodyBytes: 4096 } });
    const mv = host.client();
    const requests = mv.counter("requests_total", { labels: ["user"] });
    for (let i = 0; i < 300; i++) requests.labels("x".repeat(300) + i).inc(i);
    await mv.ready;
    const view = host.view();
    expect(view.read().directory.seriesCount).toBe(300);
    expect(view.value("auth", "requests_total", { user: `${"x".repeat(300)}299` })).toBe(299);
    expect(host.warnings).toEqual([]);
  });

  test("on the size of a request keeps out what is too long by itself, and nothing else", async () => {
    await using host = new TestHost();
    await host.agent({ limits: { bodyBytes: 4096 } });
    const mv = host.client();
    mv.counter("long_total", { help: "x".repeat(4096) }).inc();
    mv.counter("short_total").inc(2);
    await mv.ready;
    expect(host.view().value("auth", "short_total")).toBe(2);
    expect(host.view().value("auth", "long_total")).toBeUndefined();
    expect(host.warnings.map(({ code }) => code)).toEqual(["body-full"]);
  });

  const codes = [
    ["apps", "apps-full", { apps: 1 }],
    ["writers", "writers-full", { writers: 0 }],
    ["series", "series-full", { series: 0 }],
    ["pages", "pages-full", { pages: 1 }],
  ] as const;
  for (const [what, code, limit] of codes) {
    test(`on ${what} is told, counted by the agent, and the service goes on`, async () => {
      await using host = new TestHost();
      // The agent's own pool comes first; its own series and pages are counted in a pool of their own.
      await host.agent({ limits: { ...DEFAULT_LIMITS, ...limit } });
      const mv = host.client();
      const counters = Array.from({ length: 600 }, (_, i) => mv.counter(`c${i}_total`));
      for (const counter of counters) counter.inc();
      await until("it is warned", () => host.warnings.some((warning) => warning.code === code));
      for (const counter of counters) counter.inc();
      expect(counters.every(({ value }) => value === 2)).toBe(true);
    });
  }
});

describe("registration that fails half-way", () => {
  test("forgets nothing that was refused before: it is asked for again", async () => {
    await using host = new TestHost();
    await host.agent({ socketPath: `${host.folder}/real.sock`, limits: { seriesPerMetric: 1 } });
    // Stands between client and agent, and answers the second batch once as an agent that has just died.
    const asked: string[][][] = [];
    const proxy = Bun.serve({
      unix: host.socketPath,
      async fetch(request) {
        const { pathname } = new URL(request.url);
        const body = await request.text();
        if (pathname.endsWith("/series")) {
          const { metrics } = JSON.parse(body) as {
            metrics: { name: string; series: string[][] }[];
          };
          const labelled = metrics.find(({ name }) => name === "refused_total");
          asked.push(labelled?.series ?? []);
          if (asked.length === 2) return new Response("gone", { status: 502 });
        }
        return fetch(`http://localhost${pathname}`, {
          unix: `${host.folder}/real.sock`,
          method: request.method,
          body,
          headers: request.headers,
        });
      },
    });
    host.onEnd(() => proxy.stop(true));
    const mv = host.client();
    const refused = mv.counter("refused_total", { labels: ["n"] });
    for (let i = 0; i < 3; i++) refused.labels(i).inc();
    for (let i = 0; i < 5_100; i++) mv.counter(`c${i}_total`);
    const again = () => new Set(asked.slice(2).flatMap((series) => series.flat()));
    await until("both have been asked for again", () => again().size === 2);
    expect(asked[0]).toEqual([["0"], ["1"], ["2"]]);
    expect(again()).toEqual(new Set(["1", "2"]));
  });
});

describe("an agent that answers nonsense", () => {
  test("is warned of, costs no descriptors and no locks, and the service goes on", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ socketPath: `${host.folder}/real.sock` });
    let isSane = false;
    let attached = 0;
    const proxy = Bun.serve({
      unix: host.socketPath,
      async fetch(request) {
        const { pathname } = new URL(request.url);
        const response = await fetch(`http://localhost${pathname}`, {
          unix: `${host.folder}/real.sock`,
          method: request.method,
          body: await request.text(),
          headers: request.headers,
        });
        if (isSane || !pathname.endsWith("/writers")) return response;
        const answer = (await response.json()) as AttachResponse;
        attached++;
        if (attached % 2 === 0) return Response.json({});
        return Response.json({ ...answer, extents: [{ ...answer.extents[0], pages: 2 ** 40 }] });
      },
    });
    host.onEnd(() => proxy.stop(true));
    const mv = host.client();
    const counter = mv.counter("requests_total");
    counter.inc(3);
    await until("it has tried", () => attached >= 4);
    const openings = () =>
      readdirSync("/proc/self/fd").filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).endsWith("/shop/pool");
        } catch {
          return false;
        }
      }).length;
    // The agent's own is of the name that the pool had before it was whole.
    await until("it has let go", () => openings() === 0);
    await until("it is warned", () => host.warnings.some(({ code }) => code === "attach-failed"));
    isSane = true;
    await until("it is attached", () => mv.attached);
    await host.shows(3, "requests_total");
    expect(agent.pools.get("shop").scan(Date.now() + 1e6)).toBeGreaterThan(0);
    expect(host.view().writers()).toHaveLength(1);
  });
});

describe("the prototype's client", () => {
  test("sets and reads values by the old names, in the pool of its time", async () => {
    await using host = new TestHost();
    await host.agent();
    const client = new MicroViewClient("auth-service", { socket: host.socketPath });
    host.onEnd(() => client.close());
    const requests = client.createMetric("requests", false, 5);
    const depth = client.createMetric("depth", true);
    await client.ready;
    expect(requests.getValue()).toBe(5);
    expect([requests.name, requests.isGauge, depth.isGauge]).toEqual(["requests", false, true]);
    requests.updateValue(12);
    depth.updateValue(-3.5);
    expect([requests.getValue(), depth.getValue()]).toEqual([12, -3.5]);
    const view = host.view("legacy");
    expect(view.value("auth-service", "requests")).toBe(12);
    expect(view.value("auth-service", "depth")).toBe(-3.5);
    expect(client.createMetric("requests", false, 99)).toBe(requests);
    expect(requests.getValue()).toBe(12);
    await client.close();
    expect(view.writers()).toEqual([]);
  });
});
