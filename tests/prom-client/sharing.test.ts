// What others see of a service that uses microview/prom-client, and what it does not notice of it.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT, TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";
import { options, Service } from "./service.ts";

const SOURCE = join(ROOT, "src/prom-client/index.ts");

/** Holds a metric of each kind, used. */
const SOME_OF_EACH = `
  const labelNames = ["route", "status"];
  kept.counter = new client.Counter({ name: "requests_total", help: "Requests.", labelNames });
  kept.gauge = new client.Gauge({ name: "sessions", help: "Open sessions." });
  kept.histogram = new client.Histogram({ name: "took_seconds", help: "Took.", buckets: [1, 10] });
  kept.summary = new client.Summary({ name: "size_bytes", help: "Size.", labelNames: ["of"] });
  kept.counter.inc({ route: "/", status: 200 }, 3);
  kept.counter.labels("/", "200").inc();
  kept.gauge.set(7);
  for (const value of [0.5, 1, 5, 50]) kept.histogram.observe(value);
  for (const value of [100, 200, 300]) kept.summary.observe({ of: "body" }, value);
`;

describe("metrics over shared memory", () => {
  test("are seen from outside under their names, labels, kinds and help", async () => {
    await using host = new TestHost();
    await host.agent();
    const service = new Service(host);
    await service.run(SOME_OF_EACH);
    await service.ready();
    const view = host.view();
    expect(view.value("auth", "requests_total", { route: "/", status: "200" })).toBe(4);
    expect(view.value("auth", "sessions")).toBe(7);
    expect(view.slots("auth", "took_seconds")).toEqual([2, 1, 1, 56.5]);
    const metrics = [...view.read().directory.metrics.values()].map(({ definition }) => definition);
    metrics.sort((a, b) => (a.name < b.name ? -1 : 1));
    expect(
      metrics.map(({ name, kind, help, labelNames, bounds }) => [
        name,
        kind,
        help,
        labelNames,
        bounds,
      ]),
    ).toEqual([
      ["requests_total", "counter", "Requests.", ["route", "status"], []],
      ["sessions", "gauge", "Open sessions.", [], []],
      ["size_bytes", "loglinear", "Size.", ["of"], []],
      ["took_seconds", "histogram", "Took.", [], [1, 10]],
    ]);
    expect(service.warnings).toEqual([]);
  });

  test("show a summary as a histogram with its count and sum", async () => {
    await using host = new TestHost();
    await host.agent();
    const service = new Service(host);
    await service.run(SOME_OF_EACH);
    await service.ready();
    const slots = host.view().slots("auth", "size_bytes", { of: "body" });
    expect(slots.at(-1)).toBe(600);
    expect(slots.slice(0, -1).reduce((sum, count) => sum + count, 0)).toBe(3);
  });

  test("share of a summary its range, and say once what is out of it", async () => {
    await using host = new TestHost();
    await host.agent();
    const service = new Service(host);
    const shown = await service.run<string>(`
      const summary = (name) => new client.Summary({ name, help: "h", percentiles: [0.5] });
      summary("sizes").observe(5e11);
      const stamps = summary("stamps");
      for (let i = 0; i < 3; i++) stamps.observe(1e15);
      await client.microview().ready;
      await client.microview().close();
      return client.register.metrics();
    `);
    // In its own text it is as it is.
    expect(shown).toContain('stamps{quantile="0.5"} 1000000000000000\n');
    expect(service.warnings).toEqual([
      expect.stringMatching(/^the histogram stamps has observed 3 values above its range/),
    ]);
  });

  test("go on where they were when the agent comes later", async () => {
    await using host = new TestHost();
    const service = new Service(host);
    await service.run(SOME_OF_EACH);
    const before = await service.run<string>("return client.register.metrics()");
    await host.agent();
    await service.ready();
    expect(await service.run<string>("return client.register.metrics()")).toBe(before);
    await service.run("kept.counter.labels('/', '200').inc()");
    expect(host.view().value("auth", "requests_total", { route: "/", status: "200" })).toBe(5);
  });

  test("are added up over processes, while each tells only its own", async () => {
    await using host = new TestHost();
    await host.agent();
    const services = [new Service(host), new Service(host)];
    for (const service of services) {
      await service.run(SOME_OF_EACH);
      await service.ready();
    }
    expect(host.view().value("auth", "sessions")).toBe(14);
    for (const service of services) {
      expect(await service.run<string>("return client.register.metrics()")).toContain(
        "\nsessions 7\n",
      );
    }
    await services[0]!.end("SIGKILL");
    await host.shows(7, "sessions");
    await host.shows(8, "requests_total", { labels: { route: "/", status: "200" } });
  });

  test("combine gauges as their aggregators say", async () => {
    await using host = new TestHost();
    await host.agent();
    const services = [new Service(host), new Service(host)];
    for (const [i, service] of services.entries()) {
      await service.run(`
        for (const aggregator of ["sum", "average", "min", "max", "first", "omit"]) {
          const gauge = new client.Gauge({ name: aggregator, help: "h", aggregator });
          gauge.set(${i === 0 ? 2 : 6});
        }
      `);
      await service.ready();
    }
    const view = host.view();
    const values = ["sum", "average", "min", "max"].map((name) => view.value("auth", name));
    expect(values).toEqual([8, 4, 2, 6]);
    expect([2, 6]).toContain(view.value("auth", "first")!);
  });

  test("with a collect() have what it said when they were asked last, or at intervals", async () => {
    await using host = new TestHost();
    await host.agent();
    const make = `
      let calls = 0;
      new client.Gauge({ name: "calls", help: "h", collect() { this.set(++calls); } });
      await client.microview().ready;
    `;
    const asked = new Service(host);
    await asked.run(make);
    expect(host.view().value("auth", "calls")).toBe(0);
    await asked.run("await client.register.metrics()");
    expect(host.view().value("auth", "calls")).toBe(1);
    const regular = new Service(host, { service: "cart", collectIntervalMs: 5 });
    await regular.run(make);
    await until("it is collected", () => host.view().value("cart", "calls")! > 2);
    // Whoever says nothing is asked soon, for the agent is what is scraped.
    const usual = new Service(host, { service: "web", collectIntervalMs: undefined });
    await usual.run(make);
    await until("it is collected", () => host.view().value("web", "calls") === 1);
  });

  test("of Workers are added up without being configured", async () => {
    await using host = new TestHost();
    await host.agent();
    const worker = join(host.folder, "worker.ts");
    await Bun.write(
      worker,
      `import client from ${JSON.stringify(SOURCE)};
       client.configure(${JSON.stringify(options(host))});
       new client.Counter({ name: "done_total", help: "h" }).inc(10);
       await client.microview().ready;
       postMessage("ready");
       setInterval(() => {}, 1000);`,
    );
    const service = new Service(host);
    await service.run(`
      new client.Counter({ name: "done_total", help: "h" }).inc(1);
      for (let i = 0; i < 2; i++) {
        const worker = new Worker(${JSON.stringify(worker)});
        await new Promise((resolve) => worker.addEventListener("message", resolve));
      }
      await client.microview().ready;
    `);
    await host.shows(21, "done_total");
    expect(await service.run<string>("return client.register.metrics()")).toContain("done_total 1");
  });

  test("are zero, or absent, for others once they are reset or removed", async () => {
    await using host = new TestHost();
    await host.agent();
    const service = new Service(host);
    await service.run(SOME_OF_EACH);
    await service.run(`
      kept.least = new client.Gauge({ name: "least", help: "h", labelNames: ["a"], aggregator: "min" });
      kept.least.set({ a: 1 }, 5);
    `);
    await service.ready();
    await service.run("client.register.resetMetrics()");
    const view = host.view();
    const labels = { route: "/", status: "200" };
    expect(view.value("auth", "requests_total", labels)).toBe(0);
    expect(view.value("auth", "sessions")).toBe(0);
    expect(view.slots("auth", "took_seconds")).toEqual([0, 0, 0, 0]);
    expect(view.slots("auth", "size_bytes", { of: "body" }).every((slot) => slot === 0)).toBeTrue();
    expect(view.value("auth", "least", { a: "1" })).toBeNaN();
    await service.run(`
      kept.counter.inc({ route: "/", status: 200 });
      kept.least.labels(1).set(6);
    `);
    expect(view.value("auth", "requests_total", labels)).toBe(1);
    expect(view.value("auth", "least", { a: "1" })).toBe(6);
  });
});

describe("what cannot be shared", () => {
  test("counts as ever, and is told of once", async () => {
    await using host = new TestHost();
    await host.agent();
    const service = new Service(host, { seriesPerMetricMax: 3 });
    const shown = await service.run<string>(`
      const make = (kind, name, more) => new client[kind]({ name, help: "h", ...more });
      make("Histogram", "unsorted", { buckets: [2, 1] }).observe(0.5);
      make("Histogram", "endless", { buckets: [1, Infinity] }).observe(0.5);
      make("Counter", "reserved", { labelNames: ["__name"] }).inc({ __name: "x" });
      const long = make("Counter", "long", { labelNames: ["a"] });
      for (const letter of "yx") long.inc({ a: letter.repeat(2000) });
      make("Counter", "helped", { help: "h".repeat(5000) }).inc();
      const many = make("Counter", "many", { labelNames: ["a"] });
      for (let i = 0; i < 10; i++) many.inc({ a: i }, i);
      const empty = make("Counter", "empty", { labelNames: ["a"] });
      empty.inc({ a: "" }, 1);
      empty.inc({}, 2);
      await client.microview().ready;
      await Promise.resolve();
      return client.register.metrics();
    `);
    for (const line of [
      'unsorted_bucket{le="2"} 1',
      'endless_bucket{le="Infinity"} 1',
      'reserved{__name="x"} 1',
      `long{a="${"x".repeat(2000)}"} 1`,
      "helped 1",
      'many{a="9"} 9',
      'empty{a=""} 1',
      "empty 2",
    ]) {
      expect(shown).toContain(`\n${line}\n`);
    }
    const names = ["unsorted", "endless", "reserved", "long", "helped", "many", "empty"];
    expect(service.warnings.map((warning) => warning.split(" ")[0]!).sort()).toEqual(names.sort());
    const view = host.view();
    expect(view.value("auth", "many", { a: "2" })).toBe(2);
    expect(view.value("auth", "many", { a: "3" })).toBeUndefined();
    expect(view.value("auth", "empty", { a: "" })).toBe(1);
  });

  test("stays away from the name of a metric that is registered already", async () => {
    await using host = new TestHost();
    await host.agent();
    const service = new Service(host);
    const shown = await service.run<string[]>(`
      const other = new client.Registry();
      const make = (registers) => new client.Counter({ name: "twice", help: "h", registers });
      make([client.register]).inc(1);
      make([other]).inc(2);
      await client.microview().ready;
      return [await client.register.metrics(), await other.metrics()];
    `);
    expect(shown.map((text) => text.split("\n")[2])).toEqual(["twice 1", "twice 2"]);
    expect(host.view().value("auth", "twice")).toBe(1);
    await service.run("");
    expect(service.warnings).toEqual([
      "twice is shared already by another metric of that name, and this one is not",
    ]);
  });

  test("gives its name to the next of it once it is out of its registry, and counts alone", async () => {
    await using host = new TestHost();
    await host.agent();
    const service = new Service(host);
    await service.run(`
      kept.make = () => new client.Counter({ name: "again", help: "h", labelNames: ["a"] });
      kept.first = kept.make();
      kept.child = kept.first.labels("x");
      kept.child.inc(5);
      client.register.clear();
      kept.second = kept.make();
      kept.second.inc({ a: "x" }, 2);
      kept.child.inc(1);
    `);
    await service.ready();
    const view = host.view();
    expect(view.value("auth", "again", { a: "x" })).toBe(2);
    const values = await service.run<object[]>(
      "return [(await kept.first.get()).values, (await kept.second.get()).values]",
    );
    const labels = { a: "x" };
    expect(values).toEqual([[{ value: 6, labels }], [{ value: 2, labels }]]);
    await service.run("kept.first.remove('x'); kept.first.inc({ a: 'x' }); kept.first.reset()");
    expect(view.value("auth", "again", { a: "x" })).toBe(2);
    expect(service.warnings).toEqual([]);
  });

  test("counts in private memory where the agent's limits end", async () => {
    await using host = new TestHost();
    await host.agent({ limits: { seriesPerMetric: 2 } });
    const service = new Service(host);
    await service.run(`
      kept.counter = new client.Counter({ name: "c", help: "h", labelNames: ["a"] });
      for (let i = 0; i < 50; i++) kept.counter.inc({ a: i }, i);
      await client.microview().ready;
    `);
    const { values } = await service.run<{ values: { value: number }[] }>(
      "return kept.counter.get()",
    );
    expect(values.map(({ value }) => value)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(host.view().value("auth", "c", { a: "1" })).toBe(1);
    await until("it is warned", async () => {
      await service.run("");
      return service.warnings.length > 0;
    });
    expect(service.warnings).toHaveLength(1);
  });

  test("counts in private memory when another process has declared it otherwise", async () => {
    await using host = new TestHost();
    await host.agent();
    const services = [new Service(host), new Service(host)];
    for (const [i, service] of services.entries()) {
      await service.run(`
        kept.counter = new client.Counter({ name: "c", help: "h", labelNames: ["${"ab"[i]}"] });
        kept.counter.labels("x").inc();
        await client.microview().ready;
      `);
    }
    expect(await services[1]!.run<string>("return client.register.metrics()")).toContain(
      'c{b="x"} 1',
    );
    await until("it is warned", async () => {
      await services[1]!.run("");
      return services[1]!.warnings.length === 1;
    });
  });
});
