// Both text formats of a pool: https://prometheus.io/docs/instrumenting/exposition_formats/ and OpenMetrics 1.0.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import {
  type ExposedPool,
  Exposition,
  PIECE_BYTES,
  type ScrapeOptions,
} from "../../src/exposition/index.ts";
import { logLinearIndex } from "../../src/layout/definitions/histogram.ts";
import {
  type MetricDefinition,
  RecordWriter,
  shapeOf,
  slotsPerSeries,
} from "../../src/layout/index.ts";
import { type Exposed, piecesOf, exposedPool as pool, textOf } from "../support/exposed.ts";
import { parseOpenMetrics } from "../support/openmetrics.ts";
import { define } from "../support/pools.ts";
import { parsePrometheus } from "../support/prometheus.ts";

function text(...pools: ExposedPool[]): string {
  return textOf(pools);
}

function openMetrics(...pools: ExposedPool[]): string {
  return textOf(pools, { format: "openmetrics" });
}

describe("metrics of OpenTelemetry's", () => {
  const otel = (definition: MetricDefinition, unit = ""): MetricDefinition => ({
    ...definition,
    unit,
    dialect: "opentelemetry",
  });

  test("are called by Prometheus's rules, in one family whatever labels they have", () => {
    const shop = pool("shop", "auth", [
      {
        definition: otel(define.counter("http.requests", ["http.method"]), "{request}"),
        series: [[["GET"], 3]],
      },
      { definition: otel(define.counter("http.requests"), "{request}"), series: [[[], 2]] },
      {
        definition: otel(define.histogram("took", [1], ["app", "le"]), "s"),
        series: [[["y", "x"], 1, 0, 0.5]],
      },
    ]);
    expect(text(shop)).toBe(
      [
        "# HELP http_requests_total ",
        "# TYPE http_requests_total counter",
        'http_requests_total{http_method="GET",app="shop",service="auth"} 3',
        'http_requests_total{app="shop",service="auth"} 2',
        "# HELP took_seconds ",
        "# TYPE took_seconds histogram",
        'took_seconds_bucket{app="y",le_2="x",microview_app="shop",service="auth",le="1.0"} 1',
        'took_seconds_bucket{app="y",le_2="x",microview_app="shop",service="auth",le="+Inf"} 1',
        'took_seconds_sum{app="y",le_2="x",microview_app="shop",service="auth"} 0.5',
        'took_seconds_count{app="y",le_2="x",microview_app="shop",service="auth"} 1',
        "",
      ].join("\n"),
    );
    expect(openMetrics(shop)).toContain("# TYPE http_requests counter\n");
    expect(openMetrics(shop)).toContain("# UNIT took_seconds seconds\n");
  });

  test("say what they are called where two would look alike", () => {
    const shop = pool("shop", "auth", [
      { definition: otel(define.gauge("a.b", "max", ["x.y"])), series: [[["1"], 1]] },
      { definition: otel(define.gauge("a-b", "max", ["x.y"])), series: [[["1"], 2]] },
      { definition: define.gauge("a_b", "max", ["x_y"]), series: [[["1"], 3]] },
      { definition: otel(define.gauge("a.b", "max", ["x_y"])), series: [[["1"], 4]] },
      { definition: otel(define.gauge("a.b", "max")), series: [[[], 5]] },
    ]);
    const { samples } = parsePrometheus(text(shop)).get("a_b")!;
    expect([...samples]).toEqual([
      ['a_b{app="shop",microview_original="a.b{x.y}",service="auth",x_y="1"}', 1],
      ['a_b{app="shop",microview_original="a-b{x.y}",service="auth",x_y="1"}', 2],
      ['a_b{app="shop",service="auth",x_y="1"}', 3],
      ['a_b{app="shop",microview_original="a.b{x_y}",service="auth",x_y="1"}', 4],
      ['a_b{app="shop",service="auth"}', 5],
    ]);
  });

  test("give a text that strict readers take, whatever they are called", () => {
    const name = fc.stringMatching(/^[ab][._/-]?[ab](\.total)?$/);
    const key = fc.stringMatching(/^[ab0][._-]?[ab]?$/);
    const metric = fc.record({
      name,
      labelNames: fc.uniqueArray(key, { maxLength: 3 }).map((keys) => keys.sort()),
      unit: fc.constantFrom("", "s", "1", "{x}"),
      kind: fc.constantFrom("counter" as const, "gauge" as const),
    });
    const distinct = fc.uniqueArray(metric, {
      maxLength: 8,
      selector: (each) => JSON.stringify([each.name, each.labelNames]),
    });
    fc.assert(
      fc.property(distinct, (metrics) => {
        const shop = pool(
          "shop",
          "auth",
          metrics.map(({ kind, name: given, labelNames, unit }, i) => ({
            definition: otel(
              {
                ...define.counter(given, labelNames),
                kind,
                combine: kind === "gauge" ? "max" : "sum",
              },
              unit,
            ),
            series: [[labelNames.map(() => "1"), i]],
          })),
        );
        const families = parsePrometheus(text(shop));
        let samples = 0;
        for (const family of families.values()) samples += family.samples.size;
        const lines = text(shop)
          .split("\n")
          .filter((line) => line !== "" && !line.startsWith("#"));
        expect(samples).toBe(lines.length);
        parseOpenMetrics(openMetrics(shop));
      }),
    );
  });
});

describe("the text format", () => {
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
        'latency_seconds_bucket{path="/",app="shop",service="auth",le="1.0"} 7',
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

  test("shows of a log-linear histogram its range's ends and the powers of two between, or all", () => {
    const shape = { min: 0.3, max: 5, error: 0.12 };
    const definition = define.logLinear("took", shape);
    const counts = new Array<number>(slotsPerSeries(definition)).fill(1);
    const shop = pool("shop", "auth", [{ definition, series: [[[], ...counts]] }]);
    const buckets = (options: Partial<ScrapeOptions>) =>
      [...textOf([shop], options).matchAll(/le="(.*)"\} (\d+)/g)].map(([, le, n]) => [
        le,
        Number(n),
      ]);
    // Four parts to each power of two.
    expect(buckets({})).toEqual([
      ["0.25", 1],
      ["0.5", 5],
      ["1.0", 9],
      ["2.0", 13],
      ["4.0", 17],
      ["6.0", 19],
      ["+Inf", 20],
    ]);
    const all = buckets({ buckets: "all" });
    expect(all).toHaveLength(slotsPerSeries(definition) - 1);
    for (const each of buckets({})) expect(all).toContainEqual(each);
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

  test("leaves a label of the metric's own as it is where it is called app or service", () => {
    const definition = define.counter("c", ["service", "app"]);
    const shop = pool("shop", "auth", [{ definition, series: [[["mine", "too"], 1]] }]);
    expect(text(shop)).toContain(
      'c{service="mine",app="too",microview_app="shop",microview_service="auth"} 1\n',
    );
  });

  test("has of what the agent tells of services their labels, unless another service takes its name", () => {
    const name = "microview_process_threads";
    const definition = define.gauge(name, "sum", ["app", "service"]);
    const told = pool("microview", "agent", [{ definition, series: [[["shop", "auth"], 3]] }]);
    expect(text(told)).toContain(`${name}{app="shop",service="auth"} 3\n`);
    const forged = pool("shop", "auth", [{ definition: define.gauge(name), series: [[[], 4]] }]);
    for (const both of [text(told, forged), text(forged, told)]) {
      expect(both).toContain(`${name}{app="shop",service="auth"} 4\n`);
      expect(both).toContain(
        `${name}{app="shop",service="auth",microview_app="microview",microview_service="agent"} 3\n`,
      );
    }
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

  test("leaves out gauges that are absent, retired metrics, and what is not wanted", () => {
    const shop = pool("shop", "auth", [
      { definition: define.gauge("absent", "max"), series: [[[], Number.NaN]] },
      { definition: define.gauge("expired"), series: [[[], Number.NaN]] },
      { definition: define.gauge("set"), series: [[[], 5]] },
      { definition: define.counter("old"), series: [[[], 5]] },
      { definition: define.counter("unwanted"), series: [[[], 5]] },
    ]);
    // Declared otherwise by a later process, which has no series of it.
    shop.builder.metric(1, define.counter("old", ["path"]));
    const names = textOf([shop], { wants: (_, { definition }) => definition.name !== "unwanted" })
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    expect(names).toEqual(['set{app="shop",service="auth"} 5']);
  });

  test("leaves out series that were registered after the values were read", () => {
    const shop = pool("shop", "auth", [
      { definition: define.counter("c", ["path"]), series: [[["/"], 1]] },
    ]);
    shop.builder.series(1, 1, ["/new"]);
    expect(text(shop)).toContain('path="/"');
    expect(text(shop)).not.toContain("/new");
    expect(text(shop)).not.toContain("undefined");
  });
});

describe("OpenMetrics", () => {
  test("has type, unit and help of a family, its samples, and an end", () => {
    const shop = pool("shop", "auth", [
      {
        definition: { ...define.counter("requests_total", ["path"]), help: 'Say "a\\b"\n.' },
        series: [[["/"], 3]],
      },
      { definition: { ...define.gauge("heap_bytes"), unit: "bytes" }, series: [[[], 5]] },
      {
        definition: { ...define.histogram("wait_seconds", [0.1]), unit: "seconds", help: "Wait." },
        series: [[[], 1, 2, 0.75]],
      },
    ]);
    expect(openMetrics(shop)).toBe(
      [
        "# TYPE requests counter",
        '# HELP requests Say \\"a\\\\b\\"\\n.',
        'requests_total{path="/",app="shop",service="auth"} 3',
        "# TYPE heap_bytes gauge",
        "# UNIT heap_bytes bytes",
        'heap_bytes{app="shop",service="auth"} 5',
        "# TYPE wait_seconds histogram",
        "# UNIT wait_seconds seconds",
        "# HELP wait_seconds Wait.",
        'wait_seconds_bucket{app="shop",service="auth",le="0.1"} 1',
        'wait_seconds_bucket{app="shop",service="auth",le="+Inf"} 3',
        'wait_seconds_sum{app="shop",service="auth"} 0.75',
        'wait_seconds_count{app="shop",service="auth"} 3',
        "# EOF",
        "",
      ].join("\n"),
    );
  });

  describe("tells when counters and histograms began", () => {
    const startedAtMs = Date.UTC(2026, 0, 2) + 345;
    const since = startedAtMs / 1000;
    const metrics: Exposed[] = [
      {
        definition: define.counter("requests_total", ["path"]),
        series: [
          [["/"], 3],
          [["/a"], Number.NaN],
          [["/b"], 0],
        ],
      },
      { definition: define.counter("jobs"), series: [[[], 5]] },
      { definition: define.gauge("depth"), series: [[[], 5]] },
      {
        definition: define.histogram("wait", [1], ["n"]),
        series: [
          [["a"], 1, 0, 1],
          [["b"], 1, 0, 1],
        ],
      },
    ];

    test("behind each of their samples, with the same labels", () => {
      const all = openMetrics(pool("shop", "auth", metrics, startedAtMs));
      expect(all).toContain(
        [
          'requests_total{path="/",app="shop",service="auth"} 3',
          `requests_created{path="/",app="shop",service="auth"} ${since}`,
          'requests_total{path="/b",app="shop",service="auth"} 0',
          `requests_created{path="/b",app="shop",service="auth"} ${since}`,
          "# TYPE jobs unknown",
        ].join("\n"),
      );
      expect(all).toContain(
        [
          'wait_count{n="a",app="shop",service="auth"} 1',
          `wait_created{n="a",app="shop",service="auth"} ${since}`,
          'wait_bucket{n="b",app="shop",service="auth",le="1.0"} 1',
        ].join("\n"),
      );
      expect(all.match(/_created\{/g)).toHaveLength(4);
      parseOpenMetrics(all);
    });

    test("of each service by itself, and of each writer where those are shown", () => {
      const [one, two] = [metrics[0]!, metrics[0]!];
      const auth = pool("shop", "auth", [one], startedAtMs);
      const cart = pool("shop", "cart", [two], startedAtMs + 1000);
      const { samples } = parseOpenMetrics(openMetrics(auth, cart)).get("requests")!;
      const created = [...samples].filter(([name]) => name.includes("_created"));
      expect(created.map(([, value]) => value)).toEqual([since, since, since + 1, since + 1]);
      const [metric] = auth.builder.directory.metrics.values();
      const writer = { id: 1, pid: 7, retained: false, startedAtMs: startedAtMs + 2000 };
      const parts = [{ writer, metric: metric!, firstSeries: 1, count: 1, index: 0 }];
      expect(openMetrics({ ...auth, parts })).toContain(
        `requests_created{path="/",app="shop",service="auth",writer="1",pid="7"} ${since + 2}\n`,
      );
    });

    test("unless that is not wanted, not known, or cannot be", () => {
      const shop = pool("shop", "auth", metrics, startedAtMs);
      const without = textOf([shop], { format: "openmetrics", created: false });
      expect(without).not.toContain("_created");
      for (const hostile of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e300]) {
        expect(openMetrics(pool("shop", "auth", metrics, hostile))).toBe(without);
      }
      expect(text(shop)).not.toContain("_created");
    });
  });

  test("of nothing is an end", () => {
    expect(textOf([], { format: "openmetrics" })).toBe("# EOF\n");
    expect(textOf([])).toBe("");
  });

  test.each([
    ["a counter without _total", ["jobs"], { jobs: "unknown" }],
    ["a counter that is called _total", ["_total"], { _total: "unknown" }],
    ["a counter whose family is another's name", ["jobs_total", "jobs"], { jobs_total: "unknown" }],
    [
      "a counter beside one that could be its time of creation",
      ["jobs_total", "jobs_created"],
      { jobs_total: "unknown", jobs_created: "unknown" },
    ],
  ])("keeps the name of %s, and does not know its type", (_, names, types) => {
    const counters = names.map((name): Exposed => {
      return { definition: define.counter(name), series: [[[], 1]] };
    });
    const shop = pool("shop", "auth", counters);
    const families = parseOpenMetrics(openMetrics(shop));
    for (const [name, type] of Object.entries(types)) {
      expect(families.get(name)).toMatchObject({ type });
      expect([...families.get(name)!.samples.keys()]).toEqual([
        `${name}{app="shop",service="auth"}`,
      ]);
    }
  });

  test("states no unit that the name does not end with, nor one that is no word", () => {
    const gauge = (name: string, unit: string): Exposed => {
      return { definition: { ...define.gauge(name), unit }, series: [[[], 1]] };
    };
    const shop = pool("shop", "auth", [
      gauge("a_bytes", "seconds"),
      gauge("b_bytes", "bytes\n# EOF"),
      gauge("bytes", "bytes"),
      gauge("c_bytes", "bytes"),
    ]);
    const units = [...parseOpenMetrics(openMetrics(shop)).values()].map(({ unit }) => unit);
    expect(units).toEqual(["", "", "", "bytes"]);
  });

  test("has no sum and count of a histogram that observes what is negative", () => {
    const shop = pool("shop", "auth", [
      { definition: define.histogram("shift", [-1, 1]), series: [[[], 1, 0, 0, 5]] },
      { definition: define.histogram("wait", [1], ["n"]), series: [[["1"], 1, 0, -5]] },
    ]);
    const families = parseOpenMetrics(openMetrics(shop));
    expect([...families.values()].flatMap(({ samples }) => [...samples.keys()])).toEqual([
      expect.stringContaining("shift_bucket"),
      expect.stringContaining("shift_bucket"),
      expect.stringContaining("shift_bucket"),
      expect.stringContaining("wait_bucket"),
      expect.stringContaining("wait_bucket"),
    ]);
    expect(text(shop)).toContain('shift_sum{app="shop",service="auth"} 5\n');
  });

  test("has no totals that cannot be, whatever a service has stored", () => {
    const shop = pool("shop", "auth", [
      {
        definition: define.counter("c_total", ["n"]),
        series: [
          [["1"], -1],
          [["2"], Number.NaN],
          [["3"], 3],
        ],
      },
      {
        definition: define.histogram("h", [1, 2]),
        series: [[[], Number.NaN, -5, 2, Number.NaN]],
      },
    ]);
    const families = parseOpenMetrics(openMetrics(shop));
    expect([...families.get("c")!.samples.values()]).toEqual([3]);
    expect([...families.get("h")!.samples.values()]).toEqual([0, 0, 2]);
  });

  test("has the same samples as the text format, so that a series has one name", () => {
    const shop = pool("shop", "auth", [
      { definition: define.counter("jobs"), series: [[[], 1]] },
      { definition: define.counter("jobs_done_total", ["n"]), series: [[['"\\\n'], 1.5]] },
      { definition: define.histogram("wait_seconds", [0.5, 1, 10]), series: [[[], 1, 2, 3, 4, 5]] },
    ]);
    const samples = (all: string) => all.split("\n").filter((line) => !line.startsWith("#"));
    expect(samples(openMetrics(shop))).toEqual(samples(text(shop)));
  });
});

describe("labels of ours that a metric has too", () => {
  const definition = define.counter("c_total", ["service", "n"]);
  const one: Exposed = { definition, series: [[["x", "1"], 1]] };

  test("get other names, whatever other services have", () => {
    const [auth, cart] = [pool("shop", "auth", [one]), pool("shop", "cart", [one])];
    expect(text(auth)).toContain(
      'c_total{service="x",n="1",app="shop",microview_service="auth"} 1\n',
    );
    const families = parsePrometheus(text(auth, cart));
    expect([...families.get("c_total")!.samples.keys()]).toEqual([
      'c_total{app="shop",microview_service="auth",n="1",service="x"}',
      'c_total{app="shop",microview_service="cart",n="1",service="x"}',
    ]);
  });

  test("never take a name that the metric has as well", () => {
    const hostile = define.counter("c_total", ["service", "microview_service"]);
    const metric: Exposed = { definition: hostile, series: [[["x", "y"], 1]] };
    const both = text(pool("shop", "auth", [metric]), pool("shop", "cart", [metric]));
    expect(parsePrometheus(both).get("c_total")!.samples.size).toBe(2);
    expect(both).toContain('microview_microview_service="cart"');
  });

  test("say where a metric comes from that has only the names that they would be given", () => {
    // One service says of itself what the other is given by us.
    const named = define.counter("c_total", ["app", "service"]);
    const forging = define.counter("c_total", ["microview_app", "microview_service"]);
    const both = text(
      pool("shop", "auth", [{ definition: named, series: [[["shop", "cart"], 1]] }]),
      pool("shop", "cart", [{ definition: forging, series: [[["shop", "auth"], 2]] }]),
    );
    expect(parsePrometheus(both).get("c_total")!.samples.size).toBe(2);
    expect(both).toContain('microview_microview_service="cart"');
  });
});

describe("an exposition that is asked again", () => {
  const metrics = (count: number): Exposed[] => [
    {
      definition: define.counter("c_total", ["n"]),
      series: Array.from({ length: count }, (_, i) => [[String(i)], i]),
    },
    { definition: define.histogram("h", [1], ["n"]), series: [[["a"], 1, 2, 3]] },
  ];

  test("shows a metric without its type from when another one clashes, until that is retired", () => {
    const exposition = new Exposition();
    const shop = pool("shop", "auth", [
      { definition: define.counter("jobs"), series: [[[], 1]] },
      { definition: define.histogram("wait", [1]), series: [[[], 1, 0, 1]] },
    ]);
    const typesOf = () =>
      Object.fromEntries(
        [...parsePrometheus(textOf([shop], {}, exposition))].map(([name, { type }]) => [
          name,
          type,
        ]),
      );
    const typed = { jobs: "counter", wait: "histogram" };
    expect(typesOf()).toEqual(typed);
    const records = new RecordWriter().service(2, "cart");
    records.metric(3, 2, define.gauge("jobs")).metric(4, 2, define.gauge("wait_sum"));
    const { directory } = shop.builder;
    directory.append(records.bytes.bytes());
    expect(typesOf()).toEqual({
      jobs: "untyped",
      wait_bucket: "untyped",
      wait_sum: "untyped",
      wait_count: "untyped",
    });
    directory.append(new RecordWriter().retire(3).retire(4).bytes.bytes());
    expect(typesOf()).toEqual(typed);
  });

  test("has the numbers of now under the names of before", () => {
    const exposition = new Exposition();
    const shop = pool("shop", "auth", metrics(1000));
    expect(textOf([shop], {}, exposition)).toContain('n="999",app="shop",service="auth"} 999\n');
    const kept = exposition.keptBytes;
    const later = { ...shop, values: shop.values.map((value) => value + 0.5) };
    expect(textOf([later], {}, exposition)).toBe(text(later));
    expect(textOf([later], { format: "openmetrics" }, exposition)).toBe(openMetrics(later));
    expect(kept).toBeGreaterThan(1000 * 'c_total{n="1",app="shop",service="auth"} '.length);
    expect(exposition.keptBytes).toBe(kept);
  });

  test("follows a structure that grows, is retired, and is rewritten", () => {
    const exposition = new Exposition();
    const shop = pool("shop", "auth", metrics(300));
    textOf([shop], {}, exposition);
    shop.builder.series(1, 1, ["new"]);
    shop.values = Float64Array.of(...shop.values, 77);
    expect(textOf([shop], {}, exposition)).toBe(text(shop));
    expect(textOf([shop], {}, exposition)).toContain(
      'c_total{n="new",app="shop",service="auth"} 77',
    );
    shop.builder.metric(1, define.counter("h"));
    expect(textOf([shop], {}, exposition)).not.toContain("h_bucket");
    const again = pool("shop", "cart", metrics(2));
    expect(textOf([again], {}, exposition)).toBe(text(again));
  });

  test("keeps no more than it may, and says the same", () => {
    const shop = pool("shop", "auth", metrics(5000));
    const limit = 40_000;
    const exposition = new Exposition(limit);
    for (let i = 0; i < 3; i++) {
      expect(textOf([shop], { selection: String(i) }, exposition)).toBe(text(shop));
      expect(exposition.keptBytes).toBeLessThanOrEqual(limit);
      expect(exposition.keptBytes).toBeGreaterThan(0);
    }
  });

  test("goes on with a text while another is taken, and while the structure grows", () => {
    const exposition = new Exposition();
    const shop = pool("shop", "auth", metrics(20_000));
    const expected = text(shop);
    const slow = exposition.scrape([shop], { format: "text" });
    let read = new TextDecoder().decode(slow.next());
    shop.builder.series(1, 1, ["late"]);
    expect(textOf([shop], {}, exposition)).toBe(expected);
    for (let piece = slow.next(); piece !== undefined; piece = slow.next()) {
      read += new TextDecoder().decode(piece);
    }
    expect(read).toBe(expected);
  });
});

test("a text comes in pieces of whole lines that nobody has to hold together", () => {
  const long = "x".repeat(1000);
  const shop = pool("shop", "auth", [
    {
      definition: define.counter("c_total", ["n"]),
      series: Array.from({ length: 2000 }, (_, i) => [[`${long}${i}`], i]),
    },
    {
      definition: define.histogram(
        "h",
        Array.from({ length: 500 }, (_, i) => i),
        ["a", "b"],
      ),
      series: [[[long, long], ...new Array<number>(502).fill(1)]],
    },
  ]);
  const pieces = piecesOf([shop]);
  expect(pieces.length).toBeGreaterThan(10);
  for (const piece of pieces) {
    expect(piece.length).toBeLessThanOrEqual(PIECE_BYTES);
    expect(piece).toEndWith("\n");
  }
  expect(parsePrometheus(pieces.join("")).get("c_total")!.samples.size).toBe(2000);
});

describe("any pool", () => {
  const name = fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,12}$/);
  const labelName = name.filter((each) => !each.startsWith("__") && each !== "le");
  // NUL is kept away from prom-client's peers, lone surrogates cannot be in UTF-8.
  const value = fc.string({ unit: "binary", maxLength: 12 }).filter((each) => each.isWellFormed());
  const number = fc.double({ noNaN: true });
  const count = fc.nat({ max: 1e9 });
  const metric = fc
    .record({
      kind: fc.constantFrom("counter", "gauge", "histogram"),
      name,
      help: value,
      unit: fc.constantFrom("", "seconds", "a b"),
      labelNames: fc.uniqueArray(labelName, { maxLength: 3 }),
      bounds: fc.uniqueArray(fc.double({ noNaN: true, noDefaultInfinity: true }), {
        minLength: 1,
        maxLength: 4,
      }),
    })
    .chain(({ bounds, ...rest }) => {
      const isHistogram = rest.kind === "histogram";
      const definition = {
        ...rest,
        combine: "sum",
        bounds: isHistogram ? bounds.map((each) => each + 0).sort((a, b) => a - b) : [],
      } as MetricDefinition;
      const slots = slotsPerSeries(definition);
      const values = isHistogram
        ? fc.array(count, { minLength: slots, maxLength: slots })
        : fc.tuple(rest.kind === "counter" ? count : number);
      const labels = fc.tuple(...rest.labelNames.map(() => value));
      const series = fc.uniqueArray(fc.tuple(labels, values), {
        maxLength: 4,
        selector: ([each]) => JSON.stringify(each),
      });
      return series.map((all): Exposed => {
        return { definition, series: all.map(([each, numbers]) => [each, ...numbers]) };
      });
    });
  const metrics = fc.uniqueArray(metric, {
    maxLength: 5,
    selector: (each) => each.definition.name,
  });

  test("is read back by strict readers, in both formats, from hostile names and numbers", () => {
    fc.assert(
      fc.property(metrics, value, (all, service) => {
        const shop = pool("shop", service, all, Date.UTC(2026, 0, 2));
        const families = parsePrometheus(text(shop));
        expect([...families.keys()]).toEqual(all.map(({ definition }) => definition.name));
        const open = parseOpenMetrics(openMetrics(shop));
        for (const { definition, series } of all) {
          if (definition.kind === "histogram") continue;
          const { samples } = families.get(definition.name)!;
          expect([...samples.values()]).toEqual(series.map(([, first]) => first! + 0));
        }
        const names = new Set([...families.values()].flatMap((each) => [...each.samples.keys()]));
        for (const { samples } of open.values()) {
          for (const each of samples.keys()) {
            expect(names.has(each) || /^\w+_created\{/.test(each)).toBe(true);
          }
        }
      }),
    );
  });

  test("is written as prom-client writes the same", async () => {
    // To prom-client, −1 is the bound of what is beyond the last.
    const bound = fc.integer({ min: -50, max: 50 }).filter((each) => each !== -1);
    const bounds = fc.uniqueArray(bound, { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(metrics, bounds, async (all, some) => {
        const registry = new Registry();
        const exposed = all
          // What has no labels is there in prom-client before it is counted, and nothing is without a help.
          .filter(({ definition: { labelNames, help }, series }) => {
            return help !== "" && (labelNames.length > 0 || series.length > 0);
          })
          .map((each) =>
            inPromClient(
              registry,
              each,
              some.toSorted((x, y) => x - y),
            ),
          );
        const ours = text(pool("a", "s", exposed));
        // It sets families apart by empty lines.
        const theirs = parsePrometheus(withoutEmptyLines(await registry.metrics()));
        const home = { app: "a", service: "s" };
        for (const [name, { type, help, samples }] of parsePrometheus(ours)) {
          expect({ type, help }).toEqual({
            type: theirs.get(name)!.type,
            help: theirs.get(name)!.help,
          });
          const own = all.find(({ definition }) => definition.name === name)!.definition.labelNames;
          const strip = Object.entries(home).filter(([label]) => !own.includes(label));
          const bare = [...samples].map(([key, value]): [string, number] => [
            // It spells bounds as JavaScript does.
            strip
              .reduce((rest, [label, each]) => without(rest, `${label}="${each}"`), key)
              .replace(/(?<=[{,]le="-?\d+)\.0"/, '"'),
            value,
          ]);
          expect(bare.sort()).toEqual([...theirs.get(name)!.samples].sort());
        }
        expect(parsePrometheus(ours).size).toBe(theirs.size);
      }),
      { numRuns: 100 },
    );
  });
});

function withoutEmptyLines(all: string): string {
  const lines = all.split("\n").filter((line) => line !== "");
  return lines.map((line) => `${line}\n`).join("");
}

/** A sample's key without one of its labels, which are sorted. */
function without(key: string, label: string): string {
  const open = key.indexOf("{");
  const labels = key.slice(open + 1, -1);
  const at = `,${labels},`.indexOf(`,${label},`);
  const rest = `,${labels},`.slice(0, at) + `,${labels},`.slice(at + label.length + 1);
  return `${key.slice(0, open)}{${rest.slice(1, -1)}}`;
}

/** Counts the same in prom-client, and gives back what was counted. */
function inPromClient(
  registry: Registry,
  { definition, series }: Exposed,
  bounds: number[],
): Exposed {
  const { name, help, kind, labelNames } = definition;
  const common = { name, help, labelNames: [...labelNames], registers: [registry] };
  const labelled = (values: readonly string[]) =>
    Object.fromEntries(labelNames.map((label, i) => [label, values[i]!]));
  if (kind !== "histogram") {
    const metric = kind === "counter" ? new Counter(common) : new Gauge(common);
    for (const [values, first] of series) metric.inc(labelled(values), first!);
    return { definition, series };
  }
  const histogram = new Histogram({ ...common, buckets: bounds });
  const observed = [...bounds, bounds.at(-1)! + 0.5];
  return {
    definition: { ...definition, bounds },
    series: series.map(([values, ...numbers]) => {
      let sum = 0;
      const counts = observed.map((value, bucket) => {
        const times = (numbers[bucket % numbers.length] ?? 0) % 4;
        for (let i = 0; i < times; i++) histogram.observe(labelled(values), value);
        for (let i = 0; i < times; i++) sum += value;
        return times;
      });
      // A series that has observed nothing is not known.
      if (counts.every((each) => each === 0)) histogram.zero(labelled(values));
      return [values, ...counts, sum];
    }),
  };
}
