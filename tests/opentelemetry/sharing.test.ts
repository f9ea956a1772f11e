// What others see of a service that is instrumented with OpenTelemetry's API.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { AggregationType, InstrumentType } from "../../src/opentelemetry/index.ts";
import { TestHost } from "../support/host.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import { providerOn, seriesOf, told } from "./provider.ts";
import { Service } from "./service.ts";

setDefaultTimeout(patience(60_000));

describe("instruments over shared memory", () => {
  test("are metrics of their names, kinds, units, descriptions and scopes", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    const meter = provider.getMeter("http-lib", "1.2.3");
    const boundaries = { advice: { explicitBucketBoundaries: [10, 1] } };
    meter
      .createCounter("http.requests", { unit: "{request}", description: "Requests." })
      .add(2, { "http.method": "GET", code: 200, cached: false });
    meter.createUpDownCounter("http.active").add(-3);
    meter.createGauge("queue/length").record(7);
    meter.createHistogram("took", { unit: "s", ...boundaries }).record(5);
    await provider.ready;
    const { directory } = host.view().read();
    const definitions = [...directory.metrics.values()].map(({ definition }) => definition);
    expect(definitions).toMatchObject([
      {
        ...{ name: "http.requests", kind: "counter", unit: "{request}", help: "Requests." },
        labelNames: ["cached", "code", "http.method", "otel.scope.name", "otel.scope.version"],
      },
      { name: "http.active", kind: "gauge", combine: "sum" },
      { name: "queue/length", kind: "gauge", combine: "last" },
      { name: "took", kind: "histogram", bounds: [1, 10], unit: "s" },
    ]);
    expect(definitions.every(({ dialect }) => dialect === "opentelemetry")).toBe(true);
    const key = '[["cached","false"],["code","200"],["http.method","GET"]]';
    expect(seriesOf(host, "http.requests")).toEqual({ [key]: [2] });
    const [first] = directory.metrics.values();
    expect(directory.labelValues(first!.series[0]!).slice(-2)).toEqual(["http-lib", "1.2.3"]);
    expect(seriesOf(host, "http.active")).toEqual({ "[]": [-3] });
    expect(seriesOf(host, "queue/length")["[]"]![0]).toBe(7);
    expect(seriesOf(host, "took")).toEqual({ "[]": [0, 1, 0, 5] });
    expect(host.warnings).toEqual([]);
  });

  test("have series of whatever attributes they are given, whichever order they have", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    const counter = provider.getMeter("m").createCounter("c");
    const kept: Record<string, string | number> = { a: "1", b: "2" };
    counter.add(1, kept);
    counter.add(10, { b: "2", a: "1" });
    kept["a"] = "3";
    counter.add(100, kept);
    delete kept["b"];
    counter.add(1000, kept);
    counter.add(10_000);
    counter.add(10_000, {});
    counter.add(100_000, { a: 1, b: "2" });
    counter.add(5, { a: undefined as never, c: ["x", "y"] });
    counter.add(5, { c: ["x", "z"] });
    await provider.ready;
    expect(seriesOf(host, "c")).toEqual({
      '[["a","1"],["b","2"]]': [100_011],
      '[["a","3"],["b","2"]]': [100],
      '[["a","3"]]': [1000],
      "[]": [20_000],
      '[["c","[\\"x\\",\\"y\\"]"]]': [5],
      '[["c","[\\"x\\",\\"z\\"]"]]': [5],
    });
  });

  test("of one name and two meters are told apart by their scopes", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    provider.getMeter("one").createCounter("c").add(1);
    provider.getMeter("two").createCounter("C").add(2);
    provider.getMeter("").createCounter("c").add(4);
    await provider.ready;
    const { directory, values } = host.view().read();
    const metrics = [...directory.metrics.values()];
    expect(metrics.map(({ definition }) => definition.labelNames)).toEqual([
      ["otel.scope.name"],
      [],
    ]);
    const found = metrics.flatMap(({ series }) =>
      series.map((each) => [directory.labelValues(each)[0], values[directory.valueIndexOf(each)]]),
    );
    expect(found).toEqual([
      ["one", 1],
      ["two", 2],
      [undefined, 4],
    ]);
  });

  test("of processes that give other attributes are one name's, and none refuses the other", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const [one, two] = [new Service(host), new Service(host)];
    const count = (attributes: string, by: number) =>
      `metrics.getMeter("m").createCounter("jobs.done").add(${by}, ${attributes}); await provider.ready`;
    await Promise.all([
      one.run(count('{ queue: "a", host: 1 }', 1)),
      two.run(count('{ queue: "a" }', 20)),
    ]);
    await one.run(count('{ queue: "a" }', 300));
    await two.run(count('{ region: "eu" }', 4000));
    await until("all are there", () => Object.keys(seriesOf(host, "jobs.done")).length === 3);
    const expected = {
      '[["host","1"],["queue","a"]]': [1],
      '[["queue","a"]]': [320],
      '[["region","eu"]]': [4000],
    };
    await until("all has its place", () =>
      Bun.deepEquals(seriesOf(host, "jobs.done"), expected, true),
    );
    // The agent has seen it hold its lock; it would give it seconds to take it otherwise.
    agent.scan();
    await one.end("SIGKILL");
    const view = host.view();
    const isRetained = ({ retained }: { retained: boolean }) => retained;
    await until("what it counted is kept for it", () =>
      [...view.read().directory.writers.values()].some(isRetained),
    );
    expect(seriesOf(host, "jobs.done")).toEqual(expected);
  });

  test("go on where they were when the agent comes later", async () => {
    await using host = new TestHost();
    const provider = providerOn(host);
    const counter = provider.getMeter("m").createCounter("c");
    for (let i = 0; i < 100; i++) counter.add(1, { a: String(i % 3) });
    await host.agent();
    await provider.ready;
    counter.add(1, { a: "0" });
    expect(seriesOf(host, "c")).toEqual({
      '[["a","0"]]': [35],
      '[["a","1"]]': [33],
      '[["a","2"]]': [33],
    });
  });

  test("go on when the agent was restarted, with the attributes there were and with others", async () => {
    await using host = new TestHost();
    const before = await host.agent();
    const provider = providerOn(host);
    const counter = provider.getMeter("m").createCounter("c");
    counter.add(1, { a: "1" });
    counter.add(1, { b: "1" });
    await provider.ready;
    await before.stop();
    counter.add(10, { a: "1" });
    counter.add(10, { c: "1" });
    await host.agent();
    const expected = { '[["a","1"]]': [11], '[["b","1"]]': [1], '[["c","1"]]': [10] };
    await until("all is there", () => Bun.deepEquals(seriesOf(host, "c"), expected, true));
  });

  test("keep private what another process of the service means otherwise", async () => {
    await using host = new TestHost();
    await host.agent();
    const first = providerOn(host);
    first.getMeter("m").createCounter("c", { unit: "By" }).add(1, { a: "1" });
    await first.ready;
    const second = providerOn(host);
    second.getMeter("m").createCounter("c", { unit: "s" }).add(1, { b: "1" });
    await until("it is told", () => host.warnings.some(({ code }) => code === "metric-conflict"));
    expect(seriesOf(host, "c")).toEqual({ '[["a","1"]]': [1] });
  });
});

describe("more sets of attributes than an instrument may have", () => {
  test("are counted together, so that no measurement is lost", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const provider = providerOn(host, { cardinalityLimit: 5 });
    const meter = provider.getMeter("m");
    const counter = meter.createCounter("c");
    for (let i = 0; i < 1000; i++) counter.add(1, { id: i % 100 });
    const gauge = meter.createObservableUpDownCounter("u");
    gauge.addCallback((result) => {
      for (let i = 0; i < 10; i++) result.observe(1, { id: i });
    });
    await provider.forceFlush();
    await provider.ready;
    const expected = {
      '[["id","0"]]': [10],
      '[["id","1"]]': [10],
      '[["id","2"]]': [10],
      '[["id","3"]]': [10],
      '[["otel.metric.overflow","true"]]': [960],
    };
    expect(seriesOf(host, "c")).toEqual(expected);
    expect(seriesOf(host, "u")['[["otel.metric.overflow","true"]]']).toEqual([6]);
    expect(messages).toHaveLength(2);
    expect(messages[0]).toContain("c has 5 sets of attributes");
  });

  test("may be so by a view, 2000 without one", async () => {
    await using host = new TestHost();
    await host.agent();
    const views = [{ instrumentName: "few", aggregationCardinalityLimit: 2 }];
    const provider = providerOn(host, { views });
    for (const name of ["few", "many"]) {
      const counter = provider.getMeter("m").createCounter(name);
      for (let i = 0; i < 3000; i++) counter.add(1, { id: i });
    }
    await provider.ready;
    expect(Object.keys(seriesOf(host, "few"))).toHaveLength(2);
    const many = seriesOf(host, "many");
    expect(Object.keys(many)).toHaveLength(2000);
    expect(many['[["otel.metric.overflow","true"]]']).toEqual([1001]);
  });

  test("is told of sets of keys too, and of sets with more keys than a metric has labels", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    const counter = provider.getMeter("m").createCounter("c");
    for (let i = 0; i < 40; i++) counter.add(1, { [`key${i}`]: "x" });
    counter.add(100, Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, "x"])));
    await provider.ready;
    const series = seriesOf(host, "c");
    expect(Object.keys(series)).toHaveLength(33);
    expect(series['[["otel.metric.overflow","true"]]']).toEqual([108]);
  });
});

describe("a histogram", () => {
  test("has OpenTelemetry's bounds, those of its advice, or those of a view, which goes first", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host, {
      views: [
        {
          instrumentName: "viewed",
          aggregation: {
            type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM,
            options: { boundaries: [3, 2] },
          },
        },
        {
          instrumentName: "exponential",
          aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM },
        },
      ],
    });
    const meter = provider.getMeter("");
    const advice = { explicitBucketBoundaries: [1] };
    meter.createHistogram("plain").record(1);
    meter.createHistogram("advised", { advice }).record(1);
    meter.createHistogram("viewed", { advice }).record(1);
    meter.createHistogram("exponential", { advice, unit: "ms" }).record(1);
    const total = meter.createHistogram("total", { advice: { explicitBucketBoundaries: [] } });
    for (const value of [0, 1, 2.5]) total.record(value);
    await provider.ready;
    const definitions = [...host.view().read().directory.metrics.values()].map(
      ({ definition }) => definition,
    );
    const bounds = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000];
    expect(definitions.map((each) => [each.kind, each.bounds])).toEqual([
      ["histogram", bounds],
      ["histogram", [1]],
      ["histogram", [2, 3]],
      ["loglinear", []],
      ["histogram", []],
    ]);
    expect(seriesOf(host, "total")).toEqual({ "[]": [3, 3.5] });
    expect(definitions[3]!.logLinear).toEqual({ min: 1e-3, max: 1e6, error: 0.0625 });
  });

  test("is log-linear where that is the default, but where its maker advises bounds", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host, { defaultHistogram: "base2_exponential_bucket_histogram" });
    const meter = provider.getMeter("");
    meter.createHistogram("size", { unit: "By" }).record(1e9);
    meter.createHistogram("advised", { advice: { explicitBucketBoundaries: [] } }).record(1);
    await provider.ready;
    const kinds = [...host.view().read().directory.metrics.values()].map(
      ({ definition }) => definition.kind,
    );
    expect(kinds).toEqual(["loglinear", "histogram"]);
    // Neither below nor above its range.
    const slots = seriesOf(host, "size")["[]"]!;
    expect([slots[0], slots.at(-2), slots.at(-1)]).toEqual([0, 0, 1e9]);
  });
});

test("the kinds of instruments and aggregations are those of the SDK", async () => {
  const sdk = await import("@opentelemetry/sdk-metrics");
  expect({ ...InstrumentType }).toEqual({ ...sdk.InstrumentType } as never);
  for (const [name, value] of Object.entries(AggregationType)) {
    expect(sdk.AggregationType[name as keyof typeof AggregationType] as number).toBe(value);
  }
});
