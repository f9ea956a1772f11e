// Handles: what a service declares, what it is given, and what is refused.

import { describe, expect, test } from "bun:test";
import { DefinitionError, type MicroView } from "../../src/client/index.ts";
import { HistogramSlots } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

/** What is no number, as callers without types pass it. */
const NO_NUMBERS = [Number.NaN, "1", null, {}, 1n, true] as unknown as number[];

/** A client that no agent answers: enough for what does not leave the process. */
function alone(host: TestHost): MicroView {
  return host.client();
}

describe("a counter", () => {
  test("goes up by one, or by what it is told", async () => {
    await using host = new TestHost();
    const counter = alone(host).counter("requests_total");
    counter.inc();
    counter.inc(2.5);
    counter.inc(0);
    expect(counter.value).toBe(3.5);
  });

  test("refuses what would make it go down or be no number, and keeps its value", async () => {
    await using host = new TestHost();
    const counter = alone(host).counter("requests_total");
    counter.inc(2);
    for (const n of NO_NUMBERS) expect(() => counter.inc(n)).toThrow(TypeError);
    for (const n of [-1, -1e-9, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(() => counter.inc(n)).toThrow(RangeError);
    }
    expect(counter.value).toBe(2);
  });
});

describe("a gauge", () => {
  test("is set, goes up and down", async () => {
    await using host = new TestHost();
    const gauge = alone(host).gauge("depth");
    gauge.set(5);
    gauge.inc();
    gauge.inc(2);
    gauge.dec();
    gauge.dec(0.5);
    expect(gauge.value).toBe(6.5);
    gauge.set(Number.POSITIVE_INFINITY);
    expect(gauge.value).toBe(Number.POSITIVE_INFINITY);
  });

  test("refuses what is no number, and keeps its value", async () => {
    await using host = new TestHost();
    for (const combine of ["sum", "mean", "last"] as const) {
      const gauge = alone(host).gauge(`depth_${combine}`, { combine });
      gauge.set(5);
      for (const n of NO_NUMBERS) {
        expect(() => gauge.set(n)).toThrow(TypeError);
        expect(() => gauge.inc(n)).toThrow(TypeError);
        expect(() => gauge.dec(n)).toThrow(TypeError);
      }
      expect(gauge.value).toBe(5);
    }
  });

  test("takes the time, and how long something took, in seconds", async () => {
    await using host = new TestHost();
    const gauge = alone(host).gauge("started");
    const before = Date.now() / 1000;
    gauge.setToCurrentTime();
    expect(gauge.value).toBeGreaterThanOrEqual(before);
    expect(gauge.value).toBeLessThanOrEqual(Date.now() / 1000);
    const end = gauge.startTimer();
    const took = end();
    expect(took).toBeGreaterThanOrEqual(0);
    expect(took).toBeLessThan(10);
    expect(gauge.value).toBe(took);
  });

  for (const [combine, expected] of [
    ["sum", 8],
    ["mean", 4],
    ["min", 2],
    ["max", 6],
    ["last", 2],
  ] as const) {
    test(`of two writers combines by ${combine}, and one that was never set takes no part`, async () => {
      await using host = new TestHost();
      await host.agent();
      const clients = [host.client(), host.client(), host.client()];
      const gauges = clients.map((mv) => mv.gauge("depth", { combine }));
      await Promise.all(clients.map((mv) => mv.ready));
      const view = host.view();
      expect(view.value("auth", "depth")).toBe(combine === "sum" ? 0 : Number.NaN);
      gauges[0]!.set(6);
      // "last" goes by the clock, to the millisecond.
      const setAtMs = Date.now();
      await until("the clock has moved on", () => Date.now() > setAtMs);
      gauges[1]!.set(2);
      expect(view.value("auth", "depth")).toBe(expected);
    });
  }
});

describe("a histogram", () => {
  test("counts what it observes, by bounds that a value may touch", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    const histogram = mv.histogram("size_bytes", { unit: "bytes", buckets: [10, 100] });
    await mv.ready;
    for (const value of [-5, 10, 10.5, 100, 101]) histogram.observe(value);
    expect(histogram.count).toBe(5);
    expect(histogram.sum).toBe(216.5);
    expect(host.view().slots("auth", "size_bytes")).toEqual([2, 2, 1, 216.5]);
  });

  test("is log-linear without bounds, and keeps what is out of its range", async () => {
    await using host = new TestHost();
    const histogram = alone(host).histogram("latency_seconds");
    for (const value of [0, -1, 1e-9, 0.25, 1e9]) histogram.observe(value);
    expect(histogram.count).toBe(5);
    expect(histogram.sum).toBe(1e9 + 0.25 - 1 + 1e-9);
  });

  test("refuses what is no finite number, and counts nothing of it", async () => {
    await using host = new TestHost();
    const mv = alone(host);
    for (const histogram of [mv.histogram("a_seconds"), mv.histogram("b", { buckets: [1] })]) {
      for (const value of [...NO_NUMBERS, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        expect(() => histogram.observe(value)).toThrow(TypeError);
      }
      expect(histogram.count).toBe(0);
      expect(histogram.sum).toBe(0);
    }
  });

  test("takes the time between a timer's start and its end, in seconds", async () => {
    await using host = new TestHost();
    const mv = alone(host);
    for (const histogram of [mv.histogram("a_seconds"), mv.histogram("b", { buckets: [1] })]) {
      const end = histogram.startTimer();
      const took = end();
      expect(took).toBeGreaterThanOrEqual(0);
      expect(took).toBeLessThan(10);
      expect([histogram.count, histogram.sum]).toEqual([1, took]);
      end();
      expect(histogram.count).toBe(2);
    }
  });
});

describe("a metric's unit", () => {
  test("is what its timers count in, and its clock", async () => {
    await using host = new TestHost();
    const mv = alone(host);
    const gauge = mv.gauge("started_milliseconds", { unit: "milliseconds" });
    const before = Date.now();
    gauge.setToCurrentTime();
    expect(gauge.value).toBeGreaterThanOrEqual(before);
    expect(gauge.value).toBeLessThanOrEqual(Date.now());
    for (const [unit, unitMs] of [
      ["seconds", 1000],
      ["ms", 1],
      ["microseconds", 1e-3],
      ["bytes", 1000],
    ] as const) {
      for (const timed of [mv.gauge(`g_${unit}`, { unit }), mv.histogram(`h_${unit}`, { unit })]) {
        const beforeMs = performance.now();
        const end = timed.startTimer();
        const start = performance.now();
        while (performance.now() - start < 2);
        const tookMs = end() * unitMs;
        expect(tookMs).toBeGreaterThanOrEqual(2);
        expect(tookMs).toBeLessThan(performance.now() - beforeMs + 1);
      }
    }
  });

  test.each([
    [{ unit: "milliseconds" }, 1500],
    [{ unit: "bytes" }, 3e9],
    [{ unit: "rows" }, 1e6],
    [{ unit: "seconds" }, 0.25],
    [{}, 0.25],
  ])("decides the range of a histogram: of %j it has room for %p", async (options, value) => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    const histogram = mv.histogram("took", options);
    await mv.ready;
    for (let i = 0; i < 100; i++) histogram.observe(value);
    const metric = [...host.view().read().directory.metrics.values()][0]!;
    const slots = host.view().slots("auth", "took")!;
    const [p99] = HistogramSlots.of(metric)!.quantiles(Float64Array.from(slots), 0, [0.99]);
    const { error } = metric.definition.logLinear!;
    expect(Math.abs(p99! / value - 1)).toBeLessThanOrEqual(error);
  });

  test("is asked for, once, where a histogram observes what is out of its range", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    const took = mv.histogram("took", { labels: ["route"] });
    const inRange = mv.histogram("in_range_seconds", { unit: "seconds" });
    const tiny = mv.histogram("tiny_seconds", { unit: "seconds" });
    const idle = mv.histogram("idle_seconds", { unit: "seconds" });
    const bounded = mv.histogram("bounded", { buckets: [1] });
    for (const route of ["/", "/a"]) took.labels(route).observe(1500);
    for (const value of [0, 1e-6, 1e3]) inRange.observe(value);
    for (let i = 0; i < 3; i++) {
      tiny.observe(1e-8);
      idle.observe(0);
      bounded.observe(7);
    }
    const found = () => host.warnings.filter(({ code }) => code === "out-of-range");
    await until("both are told", () => found().length >= 2);
    // Closing looks once more.
    took.labels("/").observe(1600);
    await mv.close();
    expect(
      found()
        .map(({ message }) => message)
        .sort(),
    ).toEqual([
      expect.stringMatching(
        /^the histogram tiny_seconds .* only values below .* 0\.000001 seconds/,
      ),
      expect.stringMatching(/^the histogram took has observed 1 value above its range, .* 1000 /),
    ]);
    expect(
      found()
        .map(({ hint }) => hint)
        .join(),
    ).toContain('unit: "milliseconds"');
  });

  test("tells of a histogram that has observed nothing but negative values", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    mv.histogram("drift_seconds", { unit: "seconds" }).observe(-5);
    await mv.ready;
    await mv.close();
    expect(host.warnings.map(({ message }) => message)).toEqual([
      expect.stringContaining("the histogram drift_seconds has observed only values below"),
    ]);
    expect(host.warnings[0]!.hint).toContain("give it buckets");
  });

  test("is asked for by a program that is over at once, and without an agent", async () => {
    await using host = new TestHost();
    const mv = alone(host);
    mv.histogram("took").observe(1500);
    await mv.close();
    expect(host.warnings.map(({ code }) => code)).toContain("out-of-range");
  });
});

describe("labels", () => {
  test("by name, in any order, and by position mean the same child", async () => {
    await using host = new TestHost();
    const requests = alone(host).counter("requests_total", { labels: ["method", "status"] });
    const child = requests.labels({ method: "GET", status: 200 });
    expect(requests.labels({ status: "200", method: "GET" })).toBe(child);
    expect(requests.labels("GET", 200)).toBe(child);
    expect(requests.labels("GET", "200")).toBe(child);
    expect(requests.labels("200", "GET")).not.toBe(child);
    expect(requests.labels("GET", true)).toBe(requests.labels("GET", "true"));
  });

  test("that are missing, unknown or too many are an error that says which there are", async () => {
    await using host = new TestHost();
    const requests = alone(host).counter("requests_total", { labels: ["method", "status"] });
    const labels = requests.labels.bind(requests) as (...values: unknown[]) => unknown;
    expect(() => labels({ method: "GET" })).toThrow('the label "status" has no value');
    expect(() => labels({ method: "GET", status: 200, route: "/" })).toThrow(
      'no label "route", only [method, status]',
    );
    expect(() => labels("GET")).toThrow("has the labels [method, status], got 1 value");
    expect(() => labels("GET", 200, "/")).toThrow("got 3 values");
    expect(() => labels()).toThrow("got 0 values");
    expect(() => labels({ method: "GET", status: "x".repeat(1025) })).toThrow(DefinitionError);
    for (const nothing of [null, undefined, {}, []])
      expect(() => labels(nothing)).toThrow(TypeError);
  });

  test("that are given as nothing are not counted as a text of that name", async () => {
    await using host = new TestHost();
    const requests = alone(host).counter("requests_total", { labels: ["method", "status"] });
    const labels = requests.labels.bind(requests) as (...values: unknown[]) => unknown;
    for (const nothing of [null, undefined, {}, Symbol("x")]) {
      expect(() => labels("GET", nothing)).toThrow(TypeError);
      expect(() => labels({ method: "GET", status: nothing })).toThrow(TypeError);
    }
  });

  test("keep any text apart, also where it has the names of an object's own properties", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    const texts = [
      "",
      " ",
      "é",
      "日本語",
      "a\nb",
      'say "hi"',
      "\\",
      "\0",
      "__proto__",
      "constructor",
      "🦊",
    ];
    const requests = mv.counter("requests_total", { labels: ["text"] });
    for (const [i, text] of texts.entries()) requests.labels(text).inc(i + 1);
    await mv.ready;
    const view = host.view();
    for (const [i, text] of texts.entries()) {
      expect(view.value("auth", "requests_total", { text })).toBe(i + 1);
    }
  });

  test("that are not Unicode are one series, that of the replacement character", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    const requests = mv.counter("requests_total", { labels: ["text"] });
    for (const text of ["\ud800", "\udc00", "\ufffd"]) requests.labels(text).inc();
    await mv.ready;
    expect(host.view().value("auth", "requests_total", { text: "\ufffd" })).toBe(3);
  });

  test("of histograms and gauges give children of their kind", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    const latency = mv.histogram("latency_seconds", { buckets: [1], labels: ["route"] });
    const depth = mv.gauge("depth", { combine: "max", labels: ["queue"] });
    latency.labels({ route: "/" }).observe(0.5);
    depth.labels("mail").set(3);
    await mv.ready;
    const view = host.view();
    expect(view.slots("auth", "latency_seconds", { route: "/" })).toEqual([1, 0, 0.5]);
    expect(view.value("auth", "depth", { queue: "mail" })).toBe(3);
  });
});

describe("a metric", () => {
  test("declared twice in the same way is one handle; its help may differ", async () => {
    await using host = new TestHost();
    const mv = alone(host);
    const counter = mv.counter("requests_total", { help: "Requests." });
    expect(mv.counter("requests_total", { help: "All requests." })).toBe(counter);
    const family = mv.counter("errors_total", { labels: ["code"] });
    expect(mv.counter("errors_total", { labels: ["code"] })).toBe(family);
    const histogram = mv.histogram("latency_seconds", { min: 1e-6 });
    expect(mv.histogram("latency_seconds")).toBe(histogram);
  });

  test("declared otherwise is an error that says in what", async () => {
    await using host = new TestHost();
    const mv = alone(host);
    mv.counter("a");
    mv.counter("b", { labels: ["x"] });
    mv.gauge("c");
    mv.histogram("d", { buckets: [1, 2] });
    mv.histogram("e");
    const again: [() => unknown, RegExp][] = [
      [() => mv.gauge("a"), /a was declared otherwise: kind was "counter", now "gauge"/],
      [() => mv.counter("a", { unit: "bytes" }), /unit was "", now "bytes"/],
      [() => mv.counter("a", { labels: ["x"] }), /labels was "", now "x"/],
      [() => mv.counter("b", { labels: ["y"] }), /labels was "x", now "y"/],
      [() => mv.gauge("c", { combine: "max" }), /combine was "sum", now "max"/],
      [() => mv.histogram("d", { buckets: [1, 3] }), /bounds was "1, 2", now "1, 3"/],
      [() => mv.histogram("d"), /kind was "histogram", now "loglinear"/],
      [() => mv.histogram("e", { max: 10 }), /max was 1000, now 10/],
    ];
    for (const [declare, message] of again) expect(declare).toThrow(message);
  });

  test("that breaks a rule is refused where it is declared", async () => {
    await using host = new TestHost();
    const mv = alone(host);
    const wrong: (() => unknown)[] = [
      () => mv.counter("no-dashes"),
      () => mv.counter(""),
      () => mv.counter("x".repeat(256)),
      () => mv.counter("a", { help: "é".repeat(2049) }),
      () => mv.counter("a", { labels: ["__reserved"] }),
      () => mv.counter("a", { labels: ["x", "x"] }),
      () => mv.histogram("a", { labels: ["le"] }),
      () => mv.histogram("a", { buckets: [2, 1] }),
      () => mv.histogram("a", { buckets: [Number.NaN] }),
      () => mv.histogram("a", { error: 1e-9 }),
      () => mv.histogram("a", { min: 2, max: 1 }),
    ];
    for (const declare of wrong) expect(declare).toThrow(DefinitionError);
    expect(() => host.client({ app: "../etc" })).toThrow(DefinitionError);
    expect(() => host.client({ app: "" })).toThrow(DefinitionError);
    expect(() => host.client({ service: "" })).toThrow(DefinitionError);
  });

  test("has its name, help and unit in the pool as they were given, whatever they hold", async () => {
    await using host = new TestHost();
    await host.agent();
    const help = `${"é".repeat(2000)} "quoted"\nsecond line \\`;
    const service = "auth/über 🦊";
    const mv = host.client({ service });
    mv.counter("x".repeat(255), { help, unit: "µs" }).inc();
    await mv.ready;
    const [metric] = [...host.view().read().directory.metrics.values()];
    expect(metric!.definition).toMatchObject({ name: "x".repeat(255), help, unit: "µs" });
    expect(host.view().value(service, "x".repeat(255))).toBe(1);
  });
});
