// Metrics whose names clash: readers of every format take the text, all sinks show the same, and nothing is left out.
// The readers are promtool, Python's strict parser and Prometheus's own rules; see decision 0035.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ExposedPool } from "../../../src/exposition/index.ts";
import { ClashLog, type NameScheme, SampleNames } from "../../../src/exposition/index.ts";
import {
  type Kind,
  type Metric,
  type MetricDefinition,
  slotsPerSeries,
} from "../../../src/layout/index.ts";
import { RemoteWriteEncoder, type WireVersion } from "../../../src/sinks/remote-write/index.ts";
import { type SharedMetric, SharedNames } from "../../../src/sinks/remote-write/shared-names.ts";
import { type Exposed, exposedPool, snapshotOf, textOf } from "../../support/exposed.ts";
import { hasGoReader, readByPrometheus } from "../../support/go-reader.ts";
import {
  findingsOfPython,
  promtool,
  promtoolFindings,
  pythonWithClient,
} from "../../support/metrics-readers.ts";
import { parseOpenMetrics } from "../../support/openmetrics.ts";
import { define } from "../../support/pools.ts";
import { parsePrometheus } from "../../support/prometheus.ts";
import { decodeWriteRequest, Store } from "../../support/remote-write.ts";
import { type DecodedSeries2, decodeRequest2 } from "../../support/remote-write-2.ts";
import { patienceNow } from "../../support/speed.ts";
import { until } from "../../support/wait.ts";

const KINDS = ["counter", "gauge", "histogram", "loglinear"] as const;
const SUFFIXES = [
  "",
  "_total",
  "_created",
  "_created_total",
  "_sum",
  "_count",
  "_bucket",
  "_info",
  "_count_total",
  "_total_created",
  "_total_total",
];

function definitionOf(kind: Kind, name: string, labelNames: string[] = []): MetricDefinition {
  if (kind === "counter") return define.counter(name, labelNames);
  if (kind === "gauge") return define.gauge(name, "max", labelNames);
  if (kind === "histogram") return define.histogram(name, [1, 2], labelNames);
  return {
    ...define.counter(name, labelNames),
    kind,
    logLinear: { min: 0.25, max: 8, error: 0.2 },
  };
}

/** With values that differ from slot to slot and from metric to metric. */
function exposed(definition: MetricDefinition, seed: number, labels: string[] = []): Exposed {
  const slots = Array.from({ length: slotsPerSeries(definition) }, (_, i) => seed * 100 + i + 1);
  return { definition, series: [[labels, ...slots]] };
}

const START_MS = Date.UTC(2026, 0, 2);

type Placed = [service: string, kind: Kind, name: string];

/** A pool for each of them, as of several applications' services on a host. */
function poolsOf(...metrics: readonly Placed[]): ExposedPool[] {
  return metrics.map(([service, kind, name]) =>
    exposedPool("shop", service, [exposed(definitionOf(kind, name), KINDS.indexOf(kind) + 1)]),
  );
}

/** All samples by name and labels, however they are shown, without those of OpenMetrics that tell when they began. */
function scraped(
  pools: readonly ExposedPool[],
  format: "text" | "openmetrics",
): Map<string, number> {
  const text = textOf(pools, { format, created: false });
  const families = format === "text" ? parsePrometheus(text) : parseOpenMetrics(text);
  return new Map([...families.values()].flatMap(({ samples }) => [...samples]));
}

/** The same as a receiver of remote write stores it. */
function sent(pools: readonly ExposedPool[], protocol: WireVersion = 1): Map<string, number> {
  const store = new Store();
  const encoder = new RemoteWriteEncoder({
    labels: [],

    instanceOf: () => "host:7070",
    protocol,
    maxSamples: 1000,
    onRequest: ({ body, version }) =>
      store.takeAll(version === 2 ? decodeRequest2(body) : decodeWriteRequest(body)),
  });
  // The table is whole when all pools have been seen.
  for (const atMs of [START_MS, START_MS + 1000]) {
    for (const [i, pool] of pools.entries()) encoder.write(snapshotOf(pool, atMs, `source ${i}`));
  }
  encoder.flush();
  expect(encoder.counters.clashes).toBe(0);
  const samples = new Map<string, number>();
  for (const [series, byTime] of store.stored) {
    const value = byTime.get(START_MS + 1000);
    if (value !== undefined && !Number.isNaN(value))
      samples.set(series.replace('instance="host:7070",', ""), value);
  }
  return samples;
}

function sorted(samples: ReadonlyMap<string, number>): [string, number][] {
  return [...samples].sort(([a], [b]) => (a < b ? -1 : 1));
}

const names = SUFFIXES.map((suffix) => `wait${suffix}`);
/** Every ordered pair of kinds and names, in two services. */
const pairs = names.flatMap((one) =>
  names.flatMap((other) =>
    KINDS.flatMap((kind) =>
      KINDS.map((otherKind): [Placed, Placed] => [
        ["auth", kind, one],
        ["cart", otherKind, other],
      ]),
    ),
  ),
);

describe("all ordered pairs of kinds and of names that differ by a suffix", () => {
  test("are taken by strict readers, and shown the same by scrape and remote write", () => {
    for (const pair of pairs) {
      const pools = poolsOf(...pair);
      const text = sorted(scraped(pools, "text"));
      const count = pair.reduce(
        (sum, [, kind]) => sum + (kind === "counter" || kind === "gauge" ? 1 : 0),
        0,
      );
      expect(text.length).toBeGreaterThanOrEqual(count);
      expect(sorted(scraped(pools, "openmetrics"))).toEqual(text);
      expect(sorted(sent(pools))).toEqual(text);
      // Nothing is lost: each alone has the same samples.
      const alone = poolsOf(...pair).flatMap((pool) => [...scraped([pool], "text")]);
      expect(sorted(new Map(alone))).toEqual(text);
    }
  });

  test("are shown the same whichever came first", () => {
    const lines = (pools: ExposedPool[]) =>
      textOf(pools, { format: "openmetrics" }).split("\n").sort();
    for (const pair of pairs) {
      expect(lines(poolsOf(...pair))).toEqual(lines(poolsOf(...[...pair].reverse())));
    }
  });

  test.skipIf(pythonWithClient === undefined)(
    "are taken by Python's strict parser of OpenMetrics",
    async () => {
      const texts = pairs.map(([[service, kind, name], [otherService, otherKind, otherName]]) =>
        textOf(
          [
            exposedPool("shop", service, [exposed(definitionOf(kind, name), 1)], START_MS),
            exposedPool(
              "shop",
              otherService,
              [exposed(definitionOf(otherKind, otherName), 2)],
              START_MS,
            ),
          ],
          { format: "openmetrics" },
        ),
      );
      const findings = await findingsOfPython([
        ...texts,
        "# TYPE a counter\n# TYPE a_total gauge\n# EOF\n",
      ]);
      expect(findings.pop()).toContain("a_total");
      const wrong = findings.flatMap((finding, i) => (finding === "" ? [] : [[pairs[i], finding]]));
      expect(wrong).toEqual([]);
    },
  );

  test.skipIf(!hasGoReader)("are taken by the parsers of Prometheus 3", async () => {
    const texts = pairs.flatMap((pair) => [
      { contentType: "text/plain; version=0.0.4", text: textOf(poolsOf(...pair)) },
      {
        contentType: "application/openmetrics-text; version=1.0.0",
        text: textOf(poolsOf(...pair), { format: "openmetrics" }),
      },
    ]);
    const found = await readByPrometheus(texts);
    const wrong = found.flatMap(({ wrong: why }, i) => (why === "" ? [] : [{ why, ...texts[i]! }]));
    expect(wrong.slice(0, 3)).toEqual([]);
    // With or without a type, it stores the same.
    for (let i = 0; i < found.length; i += 2) {
      const [text, open] = [found[i]!, found[i + 1]!].map(
        ({ series }) => new Set(series.map((each) => JSON.stringify(each))),
      );
      expect(open!).toEqual(text!);
    }
  });

  test.skipIf(promtool === null)("are taken by promtool", async () => {
    const refused = "error while linting";
    const bad =
      '# TYPE wait histogram\nwait_bucket{le="+Inf"} 1\nwait_sum 1\nwait_count 1\n# TYPE wait_count gauge\nwait_count{a="b"} 1\n';
    expect(await promtoolFindings(bad)).toContain(refused);
    const first = pairs.filter(([[, , name]]) => name === "wait");
    const texts = new Map(
      first.flatMap((pair) =>
        [pair, [...pair].reverse()].map((each) => [textOf(poolsOf(...each)), each] as const),
      ),
    );
    const waiting = [...texts];
    const wrong: unknown[] = [];
    const work = async () => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const findings = await promtoolFindings(next[0]);
        if (findings.includes(refused)) wrong.push([next[1], findings]);
      }
    };
    await Promise.all([work(), work(), work()]);
    expect(wrong).toEqual([]);
  });
});

test("any number of metrics whose names clash, with labels called as ours, make a text that strict readers take", () => {
  const metric = fc.record({
    service: fc.constantFrom("a", "b"),
    app: fc.constantFrom("shop", "bank"),
    kind: fc.constantFrom(...KINDS),
    name: fc.constantFrom("x", "x_total", "x_count", "x_bucket", "x_count_total", "x_created"),
    labels: fc.uniqueArray(
      fc.constantFrom(
        ...["app", "service", "microview_app", "microview_service", "microview_original"],
        ...["microview_microview_app", "microview_microview_service"],
      ),
      { maxLength: 4 },
    ),
    value: fc.constantFrom("a", "b", "shop", "bank", "x_count"),
  });
  const distinct = fc.uniqueArray(metric, {
    minLength: 1,
    maxLength: 8,
    selector: ({ app, service, name }) => `${app} ${service} ${name}`,
  });
  fc.assert(
    fc.property(distinct, (metrics) => {
      const places = Map.groupBy(metrics, ({ app, service }) => `${app} ${service}`);
      const pools = [...places.values()].map((own) => {
        const { app, service } = own[0]!;
        return exposedPool(
          app,
          service,
          own.map(({ kind, name, labels, value }, i) =>
            exposed(
              definitionOf(kind, name, labels),
              i,
              labels.map(() => value),
            ),
          ),
        );
      });
      const text = sorted(scraped(pools, "text"));
      expect(sorted(scraped(pools, "openmetrics"))).toEqual(text);
      expect(sorted(sent(pools))).toEqual(text);
      expect(sorted(sent(pools, 2))).toEqual(text);
    }),
    { numRuns: 300 },
  );
});

describe("of what clashes", () => {
  const typesOf = (pools: readonly ExposedPool[]): Record<string, string> =>
    Object.fromEntries([...parsePrometheus(textOf(pools))].map(([name, { type }]) => [name, type]));

  test("a gauge and a counter of one name are one family without type", () => {
    const pools = poolsOf(["auth", "counter", "jobs"], ["cart", "gauge", "jobs"]);
    expect(typesOf(pools)).toEqual({ jobs: "untyped" });
    expect([...scraped(pools, "text").keys()]).toEqual([
      'jobs{app="shop",service="auth"}',
      'jobs{app="shop",service="cart"}',
    ]);
  });

  test("a histogram gives up its type where a gauge is called as its samples", () => {
    const pools = poolsOf(["auth", "histogram", "wait"], ["cart", "gauge", "wait_count"]);
    expect(typesOf(pools)).toEqual({
      wait_bucket: "untyped",
      wait_sum: "untyped",
      wait_count: "untyped",
    });
  });

  test("a histogram keeps its type where a counter can give up its own", () => {
    const pools = poolsOf(["auth", "histogram", "wait"], ["cart", "counter", "wait_total"]);
    expect(typesOf(pools)).toEqual({ wait: "histogram", wait_total: "untyped" });
  });

  test("counters give up theirs where one's time of creation is called as the other's family", () => {
    const pools = poolsOf(
      ["auth", "counter", "orders_total"],
      ["cart", "counter", "orders_created_total"],
      ["cart", "counter", "other_total"],
    );
    expect(typesOf(pools)).toEqual({
      orders_total: "untyped",
      orders_created_total: "untyped",
      other_total: "counter",
    });
  });

  test("of one service, a label says what a gauge is called whose samples are a histogram's too", () => {
    const pool = exposedPool("shop", "auth", [
      exposed(definitionOf("histogram", "wait"), 1),
      exposed(definitionOf("gauge", "wait_count"), 2),
    ]);
    const all = [...scraped([pool], "text")].filter(([name]) => name.startsWith("wait_count"));
    expect(all).toEqual([
      ['wait_count{app="shop",service="auth"}', 306],
      ['wait_count{app="shop",microview_original="wait_count",service="auth"}', 201],
    ]);
  });

  test("a service that says that it is another one is shown as what it is", () => {
    const forged = exposedPool("shop", "cart", [
      exposed(definitionOf("counter", "paid_total", ["service"]), 1, ["auth"]),
    ]);
    const pools = [...poolsOf(["auth", "counter", "paid_total"]), forged];
    expect([...scraped(pools, "text").keys()]).toEqual([
      'paid_total{app="shop",service="auth"}',
      'paid_total{app="shop",microview_service="cart",service="auth"}',
    ]);
  });

  test("help is that of the first by application and service, whichever came first", () => {
    const withHelp = (service: string) => {
      const definition = { ...define.counter("jobs_total"), help: `Of ${service}.` };
      return exposedPool("shop", service, [{ definition, series: [[[], 1]] }]);
    };
    for (const services of [
      ["a", "b"],
      ["b", "a"],
    ]) {
      expect(textOf(services.map(withHelp))).toContain("# HELP jobs_total Of a.\n");
    }
  });

  test("a hundred are reported, each once, and all are counted", () => {
    const metrics = Array.from({ length: 150 }, (_, i) =>
      (["counter", "gauge"] as const).map((kind) => ({
        origin: { app: "shop", service: kind, instance: undefined },
        definition: definitionOf(kind, `m${i}`),
      })),
    ).flat();
    const told: string[] = [];
    let found = 0;
    const log = new ClashLog(
      (text) => told.push(text),
      () => found++,
    );
    for (let i = 0; i < 3; i++) log.see(new SampleNames(metrics).clashes);
    expect([log.count, found]).toEqual([300, 300]);
    expect(told).toHaveLength(101);
    expect(new Set(told).size).toBe(101);
    expect(told.at(-1)).toBe("more names clash: they are counted");
  });
});

describe("remote write", () => {
  test("tells 2.0 no type of what has none, and another one as soon as that changes", () => {
    const requests: DecodedSeries2[][] = [];
    const encoder = new RemoteWriteEncoder({
      labels: [],

      instanceOf: (source) => source,
      protocol: 2,
      maxSamples: 1000,
      onRequest: ({ body }) => requests.push(decodeRequest2(body)),
    });
    const [auth, cart] = poolsOf(["auth", "counter", "jobs"], ["cart", "gauge", "jobs"]);
    const typesAt = (atMs: number, ...pools: ExposedPool[]) => {
      requests.length = 0;
      for (const pool of pools) {
        encoder.write(snapshotOf(pool, START_MS + atMs, pool === cart ? "b" : "a"));
      }
      encoder.flush();
      return requests.flat().map(({ type }) => type);
    };
    expect(typesAt(1000, auth!)).toEqual([1]);
    typesAt(2000, auth!, cart!);
    expect(typesAt(3000, auth!, cart!)).toEqual([0, 0]);
    encoder.end("b", "shop", START_MS + 4000);
    expect(typesAt(5000, auth!)).toContain(1);
  });
});

describe("the table of a receiver", () => {
  const metric = (name: string, kind: Kind, service: string): SharedMetric => ({
    metric: {} as Metric,
    definition: definitionOf(kind, name),
    origin: { app: "shop", service, instance: "host" },
  });

  test("with very many metrics is rebuilt now and then, and has all clashes in the end", async () => {
    const names = new SharedNames("underscores");
    const pools = Array.from({ length: 300 }, (_, i) =>
      Array.from({ length: 100 }, (_, m) =>
        metric(`m${m}`, i === 299 ? "gauge" : "counter", `service ${i}`),
      ),
    );
    const start = performance.now();
    for (const pool of pools) names.take(pool, pool);
    // Rebuilding it each time would take seconds.
    expect(performance.now() - start).toBeLessThan(patienceNow(5000));
    await until("the last is in the table", () => {
      names.settle();
      return names.clashes.length === 200;
    });
    const types = new Set([...names.take(pools[0]!, pools[0]!).values()].map(({ type }) => type));
    expect(types).toEqual(new Set(["unknown"]));
    for (const pool of pools.slice(10)) names.remove(pool);
    names.settle();
    expect(names.clashes).toEqual([]);
  });

  test("costs no more than its metrics, whatever labels they have that are called as ours", () => {
    // Each hides others of our labels, and takes the names that ours are given instead.
    const chain = [
      "app",
      "service",
      "microview_app",
      "microview_service",
      "microview_microview_app",
    ];
    const metrics = Array.from({ length: 4000 }, (_, i) => ({
      definition: define.counter(
        "x_total",
        chain.filter((_, bit) => (i >> bit) & 1),
      ),
      origin: { app: "shop", service: `service ${i}`, instance: undefined },
    }));
    const start = performance.now();
    const { shown } = new SampleNames(metrics);
    expect(performance.now() - start).toBeLessThan(patienceNow(5000));
    expect(shown).toHaveLength(4000);
  });
});

const schemes: readonly NameScheme[] = ["allow-utf-8", "dots", "values"];
test.each(schemes)("names spelt by %s go through the same table", (scheme) => {
  for (const pair of pairs.slice(0, 400)) {
    const text = textOf(poolsOf(...pair), { format: "openmetrics", names: scheme, created: false });
    parseOpenMetrics(text);
  }
});
