// Programs that show the same with prom-client and with ours: values, text, errors to the letter.

import { describe, expect, setSystemTime, test } from "bun:test";
import * as theirs from "prom-client";
import * as ours from "../../src/prom-client/index.ts";
import { type Client, type Run, same } from "./both.ts";

/** What callers without types pass as a value. */
const ODD = [
  undefined,
  null,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  -1,
  "3ms",
  "4",
  "",
  true,
  false,
].concat([{}, [], () => 1, new Date(0), -0] as never[]);

const options = (registry: Client, more: object = {}) => ({
  name: "metric",
  help: "Some help",
  registers: [registry],
  ...more,
});

describe("every kind of metric", () => {
  const KINDS = ["Counter", "Gauge", "Histogram", "Summary"];

  test("refuses a wrong configuration alike", async () => {
    await same(({ client, registry, attempt }) => {
      for (const kind of KINDS) {
        for (const config of [
          undefined,
          null,
          "name",
          {},
          { name: "a" },
          { help: "a" },
          { name: "", help: "a" },
          { name: "a b", help: "a" },
          { name: "1a", help: "a" },
          { name: "a", help: "a", labelNames: ["b c"] },
          { name: "a", help: "a", labelNames: ["le"] },
          { name: "a", help: "a", labelNames: ["quantile"] },
          { name: "a", help: "a", collect: 1 },
        ]) {
          attempt(() => {
            const given =
              typeof config === "object" && config ? { registers: [], ...config } : config;
            return new client[kind](given).name;
          });
        }
        attempt(() => new client[kind](options(registry)).name);
        attempt(() => new client[kind](options(registry, { name: "metric2" })).name);
        attempt(() => new client[kind](options(registry)).name);
      }
    });
  });

  test("shows nothing of a metric with labels before it is used, and zero of one without", async () => {
    await same(({ client, registry }) => {
      for (const kind of KINDS) {
        new client[kind](options(registry, { name: `${kind}_plain` }));
        new client[kind](options(registry, { name: `${kind}_labelled`, labelNames: ["a"] }));
      }
    });
  });

  test("takes labels in any order, as numbers, partly, or not at all", async () => {
    await same(({ client, registry, attempt }) => {
      const labelNames = ["b", "a"];
      for (const kind of KINDS) {
        const metric = new client[kind](options(registry, { name: kind, labelNames }));
        const use = metric.inc ? "inc" : "observe";
        const sets = [{ a: 1, b: 2 }, { b: "2", a: "1" }, { a: "1" }, { a: undefined, b: null }];
        for (const labels of [
          ...sets,
          {},
          [],
          { a: "x\ny", b: 'q"\\' },
          { c: 1 },
          { a: 1, c: 2 },
        ]) {
          attempt(() => metric[use](labels, 3));
          attempt(() => metric.labels(labels)[use](4));
        }
        for (const values of [["x", "y"], [1, 2], ["x"], ["x", "y", "z"], [], [true, false]]) {
          attempt(() => metric.labels(...values)[use](5));
        }
        metric.inc?.();
      }
    });
  });

  test("removes children by values or by object, and shows them last when they come again", async () => {
    await same(({ client, registry, attempt, note }) => {
      const labelNames = ["a", "b"];
      for (const kind of KINDS) {
        const metric = new client[kind](options(registry, { name: kind, labelNames }));
        const use = metric.inc ? "inc" : "observe";
        for (const a of ["x", "y", "z"]) metric.labels(a, "1")[use](1);
        const kept = metric.labels("x", "1");
        attempt(() => metric.remove("x", "1"));
        attempt(() => metric.remove({ a: "y", b: 1 }));
        attempt(() => metric.remove("nobody", "1"));
        attempt(() => metric.remove("x"));
        attempt(() => metric.remove({ c: 1 }));
        kept[use](7);
        note(kind);
      }
    });
  });

  test("resets, and goes on with children that were kept", async () => {
    await same(async ({ client, registry, note }) => {
      for (const kind of KINDS) {
        const labelled = new client[kind](options(registry, { name: kind, labelNames: ["a"] }));
        const plain = new client[kind](options(registry, { name: `${kind}_plain` }));
        const use = plain.inc ? "inc" : "observe";
        const kept = labelled.labels("x");
        kept[use](2);
        plain[use](2);
        plain.reset();
        labelled.reset();
        note([await plain.get(), await labelled.get()]);
        kept[use](3);
      }
      registry.resetMetrics();
      note(await registry.metrics());
    });
  });

  test("calls collect before it tells its values, as itself, and waits for it", async () => {
    await same(async ({ client, registry, note }) => {
      for (const kind of KINDS) {
        let calls = 0;
        const metric: Client = new client[kind](
          options(registry, {
            name: kind,
            async collect(this: Client) {
              note(this === metric);
              await Promise.resolve();
              this[this.inc ? "inc" : "observe"](++calls);
            },
          }),
        );
        // Copied: prom-client hands out what it goes on counting with.
        note(structuredClone(await metric.get()));
      }
    });
  });

  test("gives its children's calls as functions that can be taken out", async () => {
    await same(({ client, registry }) => {
      const labelNames = ["a"];
      const { inc } = new client.Counter(options(registry, { name: "c", labelNames })).labels("x");
      inc();
      inc(2);
      const gauge = new client.Gauge(options(registry, { name: "g", labelNames }));
      const { set, inc: up, dec } = gauge.labels({ a: 1 });
      set(5);
      up();
      dec(3);
    });
  });
});

describe("a counter", () => {
  test("adds or refuses odd amounts alike", async () => {
    await same(({ client, registry, attempt }) => {
      // What prom-client adds as text, or keeps as it is, is in docs/prom-client.md.
      const odd = ODD.filter((value) => value !== "4" && value !== "" && value !== false);
      for (const [i, value] of odd.entries()) {
        const counter = new client.Counter(options(registry, { name: `c${i}`, labelNames: ["a"] }));
        attempt(() => counter.inc(value));
        attempt(() => counter.inc({ a: "x" }, value));
        attempt(() => counter.labels("y").inc(value));
        attempt(() => counter.inc(2));
        attempt(() => counter.labels("y").inc());
      }
    });
  });
});

describe("a gauge", () => {
  test("sets, adds and refuses odd values alike", async () => {
    await same(({ client, registry, attempt }) => {
      for (const [i, value] of ODD.entries()) {
        const gauge = new client.Gauge(options(registry, { name: `g${i}`, labelNames: ["a"] }));
        for (const call of ["set", "inc", "dec"]) {
          attempt(() => gauge[call](value));
          attempt(() => gauge[call]({ a: call }, value));
          attempt(() => gauge.labels(`child ${call}`)[call](value));
          attempt(() => gauge.labels(null)[call](value));
        }
      }
    });
  });

  test("shows its labels as they were given last", async () => {
    await same(({ client, registry }) => {
      const gauge = new client.Gauge(options(registry, { labelNames: ["a", "b"] }));
      gauge.set({ a: 1, b: 2 }, 3);
      gauge.set({ b: "2", a: "1" }, 4);
      gauge.inc({ a: 1, b: 2 });
      gauge.set({ a: 5, b: 6 }, 7);
      gauge.labels("5", "6").set(8);
    });
  });
});

describe("a histogram", () => {
  test("observes or refuses odd values alike", async () => {
    await same(({ client, registry, attempt }) => {
      const histogram = new client.Histogram(options(registry, { labelNames: ["a"] }));
      for (const value of ODD) {
        attempt(() => histogram.observe(value));
        attempt(() => histogram.observe(value, 2));
        attempt(() => histogram.observe({ a: "x" }, value));
        attempt(() => histogram.labels("y").observe(value));
      }
      attempt(() => histogram.labels(null).observe(1));
    });
  });

  test("takes bounds of any kind", async () => {
    await same(({ client, registry }) => {
      const many = client.exponentialBuckets(0.001, 1.01, 600);
      const lists = [
        [],
        [1],
        [1, 5, 10],
        [10, 5, 1],
        [1, 1, 2],
        [1, Number.POSITIVE_INFINITY],
        many,
      ];
      for (const [i, buckets] of lists.entries()) {
        const histogram = new client.Histogram(options(registry, { name: `h${i}`, buckets }));
        for (const value of [-3, 0, 0.5, 1, 1.5, 5, 7, 10, 100]) histogram.observe(value);
      }
    });
  });

  test("zeroes children", async () => {
    await same(({ client, registry }) => {
      const histogram = new client.Histogram(
        options(registry, { labelNames: ["a"], buckets: [1] }),
      );
      histogram.zero({ a: "x" });
      histogram.observe({ a: "y" }, 1);
      histogram.observe({ a: "z" }, 1);
      histogram.zero({ a: "y" });
    });
  });
});

describe("a summary", () => {
  test("observes or refuses odd values alike", async () => {
    await same(({ client, registry, attempt }) => {
      const summary = new client.Summary(options(registry, { labelNames: ["a"] }));
      for (const value of ODD) {
        attempt(() => summary.observe(value));
        attempt(() => summary.observe(value, 2));
        attempt(() => summary.observe({ a: "x" }, value));
        attempt(() => summary.labels("y").observe(value));
      }
    });
  });

  test("tells the same quantiles, count and sum", async () => {
    await same(({ client, registry }) => {
      for (const percentiles of [undefined, [0.5], [0, 0.25, 1]]) {
        const name = `s${percentiles?.length ?? ""}`;
        const more = percentiles === undefined ? { name } : { name, percentiles };
        const summary = new client.Summary(options(registry, more));
        for (let i = 0; i < 150; i++) summary.observe(((i * 7919) % 101) / 8 - 3);
      }
    });
  });

  test("forgets what is older than its window, and children that have nothing left", async () => {
    try {
      await same(async ({ client, registry, note }) => {
        setSystemTime(new Date(1_000_000));
        const window = { maxAgeSeconds: 5, ageBuckets: 5, percentiles: [0.1, 0.5, 0.9] };
        const all = new client.Summary(options(registry, { name: "s", ...window }));
        const pruned = new client.Summary(
          options(registry, { name: "p", labelNames: ["a"], pruneAgedBuckets: true, ...window }),
        );
        for (let second = 0; second < 14; second++) {
          setSystemTime(new Date(1_000_000 + second * 1001));
          if (second < 7) all.observe(second);
          if (second === 0) pruned.observe({ a: "x" }, 1);
          if (second === 3) pruned.observe({ a: "y" }, 2);
          note(await all.get());
          note(await pruned.get());
        }
      });
    } finally {
      setSystemTime();
    }
  });
});

describe("timers", () => {
  test("add their labels together, leave the caller's alone, and give the seconds", async () => {
    await same(async ({ client, note }) => {
      const labelNames = ["a", "b"];
      for (const kind of ["Gauge", "Histogram", "Summary"]) {
        const metric = new client[kind]({ name: kind, help: "h", labelNames, registers: [] });
        const start = Object.freeze({ a: "x" });
        const end = metric.startTimer(start);
        const took = end({ b: "y" });
        note(typeof took === "number" && took >= 0 && took < 10);
        metric.labels({ a: "z" }).startTimer()({ b: "w" });
        const { values } = await metric.get();
        note(values.map((value: Client) => [value.metricName, value.labels]));
      }
    });
  });
});

describe("exemplars", () => {
  test("stand with the values of counters and buckets", async () => {
    await same(({ client, registry, attempt, note }: Run) => {
      try {
        setSystemTime(new Date(1_678_654_679_000));
        const more = { labelNames: ["method"], enableExemplars: true };
        attempt(() => new client.Counter(options(registry, { name: "c_total", ...more })).name);
        attempt(() => new client.Histogram(options(registry, { name: "h", ...more })).name);
        const counter = registry.getSingleMetric("c_total");
        const histogram = registry.getSingleMetric("h");
        if (registry.contentType === client.prometheusContentType) return;
        const labels = { method: "get" };
        const exemplarLabels = { traceId: 'a"b', spanId: "2" };
        counter.inc();
        counter.inc({ labels, value: 2, exemplarLabels });
        counter.inc({ labels });
        counter.inc({ value: 3, exemplarLabels: { traceId: "3" } });
        attempt(() => counter.inc({ labels: { no: 1 } }));
        attempt(() => counter.labels("get").inc(5));
        for (const value of [0.007, 0.4, 11]) histogram.observe({ labels, value, exemplarLabels });
        histogram.observe({ value: 1 });
        attempt(() => histogram.observe({ labels, value: "1", exemplarLabels }));
        attempt(() => histogram.labels("get").observe(0.3));
        note(histogram.startTimer(labels, exemplarLabels)({}, { spanId: "9" }) >= 0);
        histogram.reset();
        histogram.observe({ labels, value: 0.2, exemplarLabels });
      } finally {
        setSystemTime();
      }
    });
  });

  test("are refused when they are too long", async () => {
    await same(({ client, registry, attempt }) => {
      if (registry.contentType === client.prometheusContentType) return;
      const counter = new client.Counter({
        name: "c",
        help: "h",
        registers: [new client.Registry(client.openMetricsContentType)],
        enableExemplars: true,
      });
      attempt(() => counter.inc({ exemplarLabels: { a: "j".repeat(128) } }));
      attempt(() => counter.inc({ exemplarLabels: { a: "j".repeat(127) } }));
    });
  });
});

describe("a registry", () => {
  test("adds default labels where a metric has none of the name", async () => {
    await same(({ client, registry }) => {
      registry.setDefaultLabels({ env: "dev", a: "default", le: "x" });
      const labelNames = ["a"];
      for (const kind of ["Counter", "Gauge", "Histogram", "Summary"]) {
        const metric = new client[kind](options(registry, { name: kind, labelNames }));
        const use = metric.inc ? "inc" : "observe";
        metric[use]({ a: "own" }, 1);
        metric[use]({}, 1);
        metric[use]({ a: "" }, 1);
      }
    });
  });

  test("takes metrics of others, and writes numbers and help as they are written", async () => {
    await same(({ client, registry, attempt }) => {
      const values = [
        Number.NaN,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
        1e21,
        1e-7,
        -0,
      ].map((value) => ({ value, labels: { a: 1, b: true, c: null, d: '\\\n"' } }));
      const foreign = (name: string, type: string) => ({
        name,
        type,
        get: () => ({ name, help: "a\\b\nc", type, values }),
      });
      registry.registerMetric(foreign("a_total", "counter"));
      registry.registerMetric(foreign("b", "gauge"));
      registry.registerMetric({ get: async () => ({ name: "c", help: "none", type: "counter" }) });
      attempt(() => registry.registerMetric(foreign("b", "gauge")));
      attempt(
        () =>
          client.Registry.merge([registry, new client.Registry(registry.contentType)]).contentType,
      );
    });
  });

  test("gives, removes, clears and merges", async () => {
    await same(async ({ client, registry, note, attempt }) => {
      const other = new client.Registry(registry.contentType);
      const counter = new client.Counter(
        options(registry, { name: "a_total", registers: [registry, other] }),
      );
      new client.Gauge(options(other, { name: "b" }));
      note(registry.getSingleMetric("a_total") === counter);
      note(registry.getSingleMetric("nobody"));
      note(registry.getMetricsAsArray().length);
      note(await registry.getSingleMetricAsString("a_total"));
      note(await registry.getSingleMetricAsString("nobody").catch((error: Error) => error.name));
      attempt(() => void client.Registry.merge([registry, other]));
      other.removeSingleMetric("a_total");
      note(await client.Registry.merge([registry, other]).metrics());
      attempt(
        () =>
          client.Registry.merge([registry, new client.Registry(client.prometheusContentType)])
            .contentType,
      );
      note(await other.metrics());
      registry.setDefaultLabels({ x: 1 });
      registry.clear();
      new client.Gauge(options(registry, { name: "b" }));
      note(await registry.metrics());
    });
  });

  test("refuses content types that it does not know", async () => {
    await same(({ client, registry, attempt }) => {
      attempt(() => new client.Registry("text/html"));
      attempt(() => registry.setContentType("text/html"));
      attempt(() => registry.setContentType(client.openMetricsContentType));
      attempt(() => registry.contentType);
    });
  });
});

describe("the rest of the interface", () => {
  test("has the same names, and what is no class is the same", () => {
    const known = Object.keys(theirs).filter(
      (name) => !["default", "module.exports"].includes(name),
    );
    const offered = Object.keys(ours);
    expect(known.filter((name) => !offered.includes(name))).toEqual([]);
    expect(ours.contentType).toBe(theirs.contentType as never);
    expect(ours.prometheusContentType).toBe(theirs.prometheusContentType);
    expect(ours.openMetricsContentType).toBe(theirs.openMetricsContentType);
    expect(ours.collectDefaultMetrics.metricsList).toEqual(
      theirs.collectDefaultMetrics.metricsList,
    );
    expect(ours.Registry.PROMETHEUS_CONTENT_TYPE).toBe(theirs.Registry.PROMETHEUS_CONTENT_TYPE);
    expect(ours.Registry.OPENMETRICS_CONTENT_TYPE).toBe(theirs.Registry.OPENMETRICS_CONTENT_TYPE);
    expect(ours.AggregatorRegistry.globalRegistry).toBe(ours.register);
  });

  test("checks names and makes buckets alike", async () => {
    await same(({ client, attempt }) => {
      for (const name of ["a", "a:b", "a_1", "1a", "a-b", "", "a b", "é"]) {
        attempt(() => client.validateMetricName(name));
      }
      for (const given of [
        [0, 50, 10],
        [1, 2, 0],
        [0, 2, 3],
        [1, 1, 3],
        [1, 2, -1],
        [0.1, 2, 5],
      ]) {
        attempt(() => client.linearBuckets(...given));
        attempt(() => client.exponentialBuckets(...given));
      }
    });
  });

  test("aggregates alike", async () => {
    await same(async ({ client, registry, note, attempt }) => {
      const metrics = (value: number) => [
        {
          name: "a",
          help: "h",
          type: "gauge",
          aggregator: "AGGREGATOR",
          values: [
            { value, labels: { x: 1, y: 2 } },
            { value: value * 2, labels: { y: 2, x: 1 } },
            { value: value * 3, labels: {}, metricName: "a_sum" },
          ],
        },
      ];
      for (const aggregator of ["sum", "first", "omit", "average", "min", "max", "nobody"]) {
        const all = [metrics(1), metrics(5), metrics(-2)];
        for (const each of all.flat()) each.aggregator = aggregator;
        note(client.aggregators[aggregator]?.(all.flat()));
        attempt(() => {
          client.AggregatorRegistry.aggregate(all, registry.contentType);
        });
        if (aggregator === "nobody") continue;
        const aggregated = client.AggregatorRegistry.aggregate(all, registry.contentType);
        note(await aggregated.metrics());
        note(aggregated.getSingleMetric("a")?.get());
      }
      note(client.aggregators.sum([]));
      attempt(() => client.AggregatorRegistry.setRegistries([{}]));
      note(await new client.AggregatorRegistry(registry.contentType).clusterMetrics());
    });
  });

  test("can be had by require, with a content type that can be set", () => {
    const client = require("../../src/prom-client/index.ts");
    expect(client.register).toBe(ours.register);
    expect(client.Counter).toBe(ours.Counter);
    client.contentType = client.openMetricsContentType;
    expect(ours.register.contentType).toBe(client.openMetricsContentType);
    expect(client.contentType).toBe(client.openMetricsContentType);
    client.contentType = client.prometheusContentType;
    expect(() => {
      client.contentType = "text/html";
    }).toThrow("Content type text/html is unsupported");
    expect(ours.default).toBe(client);
  });
});
