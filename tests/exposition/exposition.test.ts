// Prometheus's text format, as https://prometheus.io/docs/instrumenting/exposition_formats/ has it.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  Directory,
  type ExposedPool,
  escapeLabel,
  expose,
  formatValue,
  logLinearIndex,
  type MetricDefinition,
  RecordWriter,
  shapeOf,
  slotsPerSeries,
} from "../../src/layout/index.ts";
import { define } from "../support/pools.ts";

interface Exposed {
  definition: MetricDefinition;
  series: [labelValues: string[], ...values: number[]][];
}

/** A pool of one service whose values lie in the order in which its metrics are given. */
function pool(app: string, service: string, metrics: Exposed[]): ExposedPool {
  const records = new RecordWriter().service(1, service);
  const values: number[] = [];
  let series = 0;
  records.writer({
    id: 1,
    service: 1,
    flags: 0,
    pid: 1,
    threadId: 1,
    startedAtMs: 0,
    lockOffset: 64,
    lockBytes: 4032,
  });
  for (const [i, { definition, series: given }] of metrics.entries()) {
    records.metric(i + 1, 1, definition);
    for (const [labelValues, ...slots] of given) {
      records.series(++series, i + 1, labelValues);
      records.grant({ writer: 1, page: series, pages: 1, slot: 0, slots: 0 });
      records.bind({ writer: 1, firstSeries: series, count: 1, page: series, slot: 0 });
      values.push(...slots);
    }
  }
  const directory = new Directory(0, 1000);
  directory.append(records.bytes.bytes());
  expect(directory.damage).toEqual([]);
  expect(directory.valueCount).toBe(values.length);
  return { app, directory, values: Float64Array.from(values) };
}

function text(...pools: ExposedPool[]): string {
  return [...expose(pools)].join("");
}

describe("the exposition", () => {
  test("has help, type, and a line per series with its application and service", () => {
    const definition = { ...define.counter("requests_total", ["path"]), help: "Requests." };
    const shop = pool("shop", "auth", [
      {
        definition,
        series: [
          [["/"], 3],
          [["/login"], 4.5],
        ],
      },
    ]);
    expect(text(shop)).toBe(
      [
        "# HELP requests_total Requests.",
        "# TYPE requests_total counter",
        'requests_total{path="/",app="shop",service="auth"} 3',
        'requests_total{path="/login",app="shop",service="auth"} 4.5',
        "",
      ].join("\n"),
    );
  });

  test("has a histogram's buckets as running sums up to +Inf, its sum and its count", () => {
    const definition = define.histogram("latency_seconds", [0.1, 1], ["path"]);
    const shop = pool("shop", "auth", [{ definition, series: [[["/"], 5, 2, 1, 3.75]] }]);
    expect(text(shop)).toBe(
      [
        "# HELP latency_seconds ",
        "# TYPE latency_seconds histogram",
        'latency_seconds_bucket{path="/",app="shop",service="auth",le="0.1"} 5',
        'latency_seconds_bucket{path="/",app="shop",service="auth",le="1"} 7',
        'latency_seconds_bucket{path="/",app="shop",service="auth",le="+Inf"} 8',
        'latency_seconds_sum{path="/",app="shop",service="auth"} 3.75',
        'latency_seconds_count{path="/",app="shop",service="auth"} 8',
        "",
      ].join("\n"),
    );
  });

  test("has a log-linear histogram as a histogram whose counts rise with le", () => {
    const definition = define.logLinear("size_bytes", { min: 1, max: 100, error: 0.35 });
    const shape = shapeOf(definition);
    const observations = [0, 0.5, 1, 3, 50, 99, 1e6];
    const slots = new Array<number>(slotsPerSeries(definition)).fill(0);
    for (const value of observations) slots[logLinearIndex(shape, value)]! += 1;
    slots[slots.length - 1] = observations.reduce((a, b) => a + b);
    const lines = text(pool("shop", "auth", [{ definition, series: [[[], ...slots]] }])).split(
      "\n",
    );
    expect(lines).toContain("# TYPE size_bytes histogram");
    const buckets = lines
      .map((line) => /^size_bytes_bucket\{.*le="(.*)"\} (.*)$/.exec(line))
      .filter((match) => match !== null)
      .map(([, le, count]) => ({
        le: Number(le === "+Inf" ? Number.POSITIVE_INFINITY : le),
        count: Number(count),
      }));
    expect(buckets).toHaveLength(shape.buckets + 2);
    for (const [i, { le, count }] of buckets.entries()) {
      expect(count).toBe(observations.filter((value) => value < le).length);
      if (i > 0) expect(le).toBeGreaterThan(buckets[i - 1]!.le);
    }
    expect(lines).toContain('size_bytes_sum{app="shop",service="auth"} 1000153.5');
    expect(lines).toContain('size_bytes_count{app="shop",service="auth"} 7');
  });

  test("escapes backslashes and line ends in the help", () => {
    const definition = { ...define.counter("c"), help: 'a\\b\nc "d"' };
    const shop = pool("shop", "auth", [{ definition, series: [[[], 1]] }]);
    expect(text(shop)).toStartWith('# HELP c a\\\\b\\nc "d"\n');
  });

  test("escapes backslashes, quotes and line ends in label values and in the service's name", () => {
    const definition = define.counter("c", ["path"]);
    const shop = pool("shop", 'a"b', [{ definition, series: [[['C:\\x "y"\n日本'], 1]] }]);
    expect(text(shop)).toContain('c{path="C:\\\\x \\"y\\"\\n日本",app="shop",service="a\\"b"} 1\n');
  });

  test("can be read back to the very label values", () => {
    const unescaped = (given: string) =>
      given.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char));
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        const escaped = escapeLabel(value);
        expect(escaped).not.toContain("\n");
        expect(/(^|[^\\])(\\\\)*"/.test(escaped)).toBe(false);
        expect(unescaped(escaped)).toBe(value);
      }),
    );
  });

  test("leaves a label of the metric's own as it is where it is called app or service", () => {
    const definition = define.counter("c", ["service", "app"]);
    const shop = pool("shop", "auth", [{ definition, series: [[["mine", "too"], 1]] }]);
    expect(text(shop)).toContain('c{service="mine",app="too"} 1\n');
  });

  test("has one family for a name that several pools and services use", () => {
    const metrics = (value: number): Exposed[] => [
      { definition: define.counter("c"), series: [[[], value]] },
    ];
    expect(text(pool("shop", "auth", metrics(1)), pool("bank", "login", metrics(2)))).toBe(
      [
        "# HELP c ",
        "# TYPE c counter",
        'c{app="shop",service="auth"} 1',
        'c{app="bank",service="login"} 2',
        "",
      ].join("\n"),
    );
  });

  test("has one type per name: who declares it otherwise is left out", () => {
    const shop = pool("shop", "auth", [{ definition: define.counter("c"), series: [[[], 1]] }]);
    const bank = pool("bank", "auth", [{ definition: define.gauge("c"), series: [[[], 2]] }]);
    expect(text(shop, bank)).not.toContain("bank");
    expect(text(shop, bank)).toContain('c{app="shop",service="auth"} 1\n');
  });

  test("leaves out gauges that are absent, retired metrics, and what is not wanted", () => {
    const shop = pool("shop", "auth", [
      { definition: define.gauge("absent", "max"), series: [[[], Number.NaN]] },
      { definition: define.gauge("expired"), series: [[[], Number.NaN]] },
      { definition: define.gauge("set"), series: [[[], 5]] },
      { definition: define.counter("old"), series: [[[], 5]] },
      { definition: define.counter("unwanted"), series: [[[], 5]] },
    ]);
    shop.directory.append(new RecordWriter().retire(4).bytes.bytes());
    const names = [...expose([shop], (_, __, metric) => metric.definition.name !== "unwanted")]
      .join("")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    expect(names).toEqual(['set{app="shop",service="auth"} 5']);
  });

  test("comes a family at a time, so that nobody has to hold all of it", () => {
    const shop = pool("shop", "auth", [
      { definition: define.counter("a"), series: [[[], 1]] },
      { definition: define.counter("b"), series: [[[], 2]] },
    ]);
    const parts = [...expose([shop])];
    expect(parts.map((part) => part.split(" ")[2])).toEqual(["a", "b"]);
  });

  test("leaves out series that were registered after the values were read", () => {
    const shop = pool("shop", "auth", [
      { definition: define.counter("c", ["path"]), series: [[["/"], 1]] },
    ]);
    const records = new RecordWriter().series(2, 1, ["/new"]);
    records.bind({ writer: 1, firstSeries: 2, count: 1, page: 1, slot: 1 });
    shop.directory.append(records.bytes.bytes());
    expect(shop.directory.damage).toEqual([]);
    expect(text(shop)).toContain('path="/"');
    expect(text(shop)).not.toContain("/new");
    expect(text(shop)).not.toContain("undefined");
  });
});

describe("a number", () => {
  const numbers: [number, string][] = [
    [0, "0"],
    [1, "1"],
    [-1.5, "-1.5"],
    [1e21, "1e+21"],
    [1e-7, "1e-7"],
    [Number.POSITIVE_INFINITY, "+Inf"],
    [Number.NEGATIVE_INFINITY, "-Inf"],
    [Number.NaN, "NaN"],
    [2 ** 53, "9007199254740992"],
  ];
  test.each(numbers)("%p is written as %p", (value, expected) => {
    expect(formatValue(value)).toBe(expected);
  });

  test("is read back as it was", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Number(formatValue(value)) === value).toBe(true);
      }),
    );
  });
});
