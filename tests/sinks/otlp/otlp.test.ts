import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { logLinearIndex } from "../../../src/layout/definitions/histogram.ts";
import {
  logLinearBounds,
  logLinearShape,
  type MetricDefinition,
} from "../../../src/layout/index.ts";
import {
  exponentialError,
  exponentialMap,
  toExponential,
} from "../../../src/sinks/encoding/index.ts";
import { decodePartialSuccess, parsePartialSuccess } from "../../../src/sinks/otlp/answer.ts";
import { Otlp, type OtlpOptions } from "../../../src/sinks/otlp/index.ts";
import { OtlpReceiver, partialSuccess, type ReceivedMetric } from "../../support/otlp.ts";
import { define, Scratch, scan } from "../../support/pools.ts";
import { until } from "../../support/wait.ts";
import { Source } from "../snapshots.ts";

const scratch = new Scratch();
const FORMATS = ["protobuf", "json"] as const;
const START_MS = Date.now() + 1000;

/** Pushes as `collect` does, every snapshot, with less patience. */
function pushing(url: string, options: Partial<OtlpOptions> = {}): Otlp {
  return new Otlp({
    url: `${url}/v1/metrics`,
    format: "protobuf",
    compression: "gzip",
    temporality: "cumulative",
    intervalMs: 0,
    headers: () => ({}),
    resourceOf: (source) => [["host.name", source]],

    version: "1.2.3",
    onNotice: () => {},
    backoffMs: { first: 5, last: 20 },
    ...options,
  });
}

/** What a receiver got of a metric, point by point. */
function pointsOf(metrics: readonly ReceivedMetric[], name: string) {
  return metrics.filter((each) => each.name === name).flatMap(({ points }) => points);
}

const ns = (afterMs: number) => `${BigInt(START_MS + afterMs)}000000`;

describe.each(FORMATS)("OTLP as %s", (format) => {
  test("says every kind of metric, with its resource, scope, unit, start and temporality", async () => {
    await using receiver = new OtlpReceiver();
    const source = new Source(scratch);
    const { writer } = source;
    const home = {
      resource: { "service.name": "auth", "service.namespace": "shop", "host.name": "host:7070" },
    };
    const startMs = writer.record.startedAtMs;
    writer.put(
      { ...define.counter("sent_bytes", ["to"]), unit: "bytes", help: "what" },
      ["ä"],
      2.5,
    );
    writer.put(define.gauge("load", "max"), [], -3);
    writer.put(define.histogram("size", [1, 10]), [], 1, 2, 4, Number.POSITIVE_INFINITY);
    writer.put(define.logLinear("took", { min: 1, max: 4, error: 0.35 }), [], 1, 2, 3, 4, 9, 70);
    const push = pushing(receiver.url, { format });
    push.write(source.snapshot(0, { takenAtMs: START_MS }));
    expect((await push.close(5000)).undelivered).toBe(0);
    const at = { attributes: {}, timeUnixNano: ns(0) };
    const since = { ...at, startTimeUnixNano: `${Math.floor(startMs * 1000)}000` };
    const scope = { name: "microview", version: "1.2.3" };
    const all = { ...home, ...{ scope, unit: "", description: "", temporality: 2 } };
    const monotonic = { isMonotonic: true };
    expect(receiver.paths).toEqual(["/v1/metrics"]);
    const plain = receiver.metrics.map((each) => JSON.parse(JSON.stringify(each)));
    expect(plain).toEqual([
      {
        ...all,
        ...{ name: "sent_bytes", unit: "By", description: "what", kind: "sum", ...monotonic },
        points: [{ ...since, attributes: { to: "ä" }, asDouble: 2.5 }],
      },
      {
        ...{ ...home, scope, name: "load", unit: "", description: "", kind: "gauge" },
        points: [{ ...at, asDouble: -3 }],
      },
      {
        ...{ ...all, name: "size", kind: "histogram" },
        points: [
          {
            ...{ ...since, count: 7, sum: "Infinity", bucketCounts: [1, 2, 4] },
            explicitBounds: [1, 10],
          },
        ],
      },
      {
        ...{ ...all, name: "took", kind: "exponentialHistogram" },
        points: [
          {
            ...{ ...since, count: 19, sum: 70, scale: 0, zeroCount: 1, zeroThreshold: 1 },
            // [1, 2), [2, 4), [4, 8) and what lies above.
            positive: { offset: 0, bucketCounts: [2, 3, 4, 9] },
          },
        ],
      },
    ]);
  });

  test("says instruments of OpenTelemetry's as they are called, with their scope, and what may fall as such a sum", async () => {
    await using receiver = new OtlpReceiver();
    const source = new Source(scratch);
    const { writer } = source;
    const otel = (definition: MetricDefinition, unit = ""): MetricDefinition => ({
      ...definition,
      unit,
      dialect: "opentelemetry",
    });
    const scope = ["otel.scope.name", "otel.scope.version"];
    writer.put(
      otel(define.counter("http.requests", ["http.method", ...scope]), "{request}"),
      ["GET", "web", "2"],
      1,
    );
    writer.put(
      otel(define.counter("http.requests", ["a", ...scope]), "{request}"),
      ["b", "web", "2"],
      2,
    );
    writer.put(otel(define.gauge("in.flight", "sum", [scope[0]!])), ["web"], 3);
    writer.put(otel(define.gauge("load", "last"), "percent"), [], 0.5, 1);
    for (const [key, help] of Object.entries({ a: "short", b: "the longest", c: "longer" })) {
      writer.put({ ...otel(define.counter("described", [key])), help }, ["x"], 1);
    }
    writer.put(define.counter("plain_total"), [], 9);
    const startNs = `${Math.floor(writer.record.startedAtMs * 1000)}000`;
    const push = pushing(receiver.url, { format, temporality: "delta" });
    push.write(source.snapshot(0, { takenAtMs: START_MS }));
    writer.store("in.flight", ["web"], 1);
    writer.store("http.requests", ["GET", "web", "2"], 5);
    push.write(source.snapshot(1, { takenAtMs: START_MS + 1000 }));
    await push.close(5000);
    const of = (name: string) => receiver.metrics.filter((each) => each.name === name);
    const [requests] = of("http.requests");
    expect(requests).toMatchObject({
      scope: { name: "web", version: "2" },
      unit: "{request}",
      temporality: 1,
    });
    expect(requests!.points.map(({ attributes, asDouble }) => [attributes, asDouble])).toEqual([
      [{ "http.method": "GET" }, 4],
      [{ a: "b" }, 0],
    ]);
    const inFlight = of("in.flight");
    expect(inFlight).toMatchObject([
      { kind: "sum", temporality: 2, scope: { name: "web" } },
      { kind: "sum", temporality: 2 },
    ]);
    // protobuf says what is false by not saying it.
    expect(inFlight.map(({ isMonotonic = false }) => isMonotonic)).toEqual([false, false]);
    expect(inFlight.map(({ points }) => points[0])).toMatchObject([
      { asDouble: 3, startTimeUnixNano: startNs },
      { asDouble: 1, startTimeUnixNano: startNs },
    ]);
    // Of a meter without a name nothing is made up.
    expect(of("load")[0]).toMatchObject({ kind: "gauge", unit: "percent" });
    expect(of("load")[0]!.scope.name ?? "").toBe("");
    expect(of("described").map(({ description }) => description)).toEqual(
      of("described").map(() => "the longest"),
    );
    const plain = of("plain_total")[0];
    expect(plain).toMatchObject({ scope: { name: "microview" }, isMonotonic: true });
  });

  test("says what was rejected of a request that was taken", async () => {
    const partial = () => partialSuccess(3, "too old", format === "json");
    await using receiver = new OtlpReceiver([partial]);
    const source = new Source(scratch);
    for (const n of "abcd") source.writer.put(define.counter("a_total", ["n"]), [n], 1);
    const notices: string[] = [];
    const push = pushing(receiver.url, { format, onNotice: (text) => notices.push(text) });
    push.write(source.snapshot(0));
    const { summary, undelivered } = await push.close(5000);
    expect(undelivered).toBe(3);
    expect(summary).toContain("rejected by a partial success 3");
    expect(notices).toEqual([expect.stringContaining("has rejected 3 of 4 data points: too old")]);
  });

  test("says each warning of a receiver that took everything once, as a warning", async () => {
    const warnings = ["beware", "beware", "", "be quick"].map(
      (text) => () => partialSuccess(0, text, format === "json"),
    );
    await using receiver = new OtlpReceiver(warnings);
    const source = new Source(scratch);
    source.writer.put(define.counter("a_total"), [], 1);
    const notices: string[] = [];
    const push = pushing(receiver.url, { format, onNotice: (text) => notices.push(text) });
    for (let i = 0; i < 5; i++) push.write(source.snapshot(i, { takenAtMs: START_MS + i }));
    const { summary, undelivered } = await push.close(5000);
    expect({ undelivered, counters: push.counters }).toMatchObject({
      undelivered: 0,
      counters: { items: 5, refused: 0 },
    });
    expect(summary).not.toContain("reject");
    const { host } = new URL(receiver.url);
    expect(notices).toEqual([
      `the receiver at ${host} has taken everything, and warns: beware`,
      `the receiver at ${host} has taken everything, and warns: be quick`,
    ]);
  });

  test("marks series that have ended", async () => {
    await using receiver = new OtlpReceiver();
    const source = new Source(scratch);
    source.writer.put(define.gauge("load", "max"), [], 1);
    source.writer.put(define.counter("a_total"), [], 1);
    source.writer.put(define.logLinear("took"), [], 1);
    const push = pushing(receiver.url, { format });
    push.write(source.snapshot(0, { takenAtMs: START_MS }));
    source.writer.die();
    scan(source.app);
    push.write(source.snapshot(1, { takenAtMs: START_MS + 1 }));
    push.write(source.snapshot(2, { takenAtMs: START_MS + 2 }));
    push.gone("host:7070", "shop");
    await push.close(5000);
    const flags = (name: string) => pointsOf(receiver.metrics, name).map((each) => each.flags ?? 0);
    expect(flags("load")).toEqual([0, 1]);
    expect(flags("a_total")).toEqual([0, 0, 0, 1]);
    expect(flags("took")).toEqual([0, 0, 0, 1]);
  });
});

describe("OTLP", () => {
  test("is sent again after 429, 502, 503 and 504, as told, and not after 500 and 400", async () => {
    const answers = [429, 502, 503, 504, 500, 400].map(
      (status) => () => new Response("no", { status, headers: { "retry-after": "0" } }),
    );
    await using receiver = new OtlpReceiver(answers);
    const source = new Source(scratch);
    source.writer.put(define.counter("a_total"), [], 1);
    const push = pushing(receiver.url);
    for (let i = 0; i < 3; i++) push.write(source.snapshot(i, { takenAtMs: START_MS + i }));
    const { undelivered } = await push.close(5000);
    expect(undelivered).toBe(2);
    expect(push.sender.counters).toMatchObject({ retries: 4, refused: 2, items: 1 });
    expect(pointsOf(receiver.metrics, "a_total").map((each) => each.timeUnixNano)).toEqual([ns(2)]);
  });

  test("says of a port that speaks gRPC that it may be one", async () => {
    // As Go's gRPC does with HTTP/1.1; node:http2 answers in HTTP/2.
    const closing = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => void socket.end() },
    });
    const speaking = createServer().listen(0, "127.0.0.1");
    await once(speaking, "listening");
    const { port } = speaking.address() as AddressInfo;
    const source = new Source(scratch);
    source.writer.put(define.counter("a_total"), [], 1);
    for (const each of [closing.port, port]) {
      const notices: string[] = [];
      const push = pushing(`http://127.0.0.1:${each}`, {
        onNotice: (text) => notices.push(text),
      });
      push.write(source.snapshot(0));
      await until("it has said what is wrong", () => notices.length > 0);
      await push.close(0);
      expect(notices[0]).toMatch(/gRPC.*4317.*4318/);
    }
    closing.stop(true);
    speaking.close();
  });

  test("keeps the newest within its bound while nobody takes it, and counts what it drops", async () => {
    await using receiver = new OtlpReceiver(Array(5).fill(() => new Response("", { status: 503 })));
    const source = new Source(scratch);
    source.writer.put(define.counter("a_total"), [], 1);
    const push = pushing(receiver.url, { maxMemoryBytes: 1000 });
    for (let i = 0; i < 50; i++) push.write(source.snapshot(i, { takenAtMs: START_MS + i }));
    const { undelivered } = await push.close(5000);
    const points = pointsOf(receiver.metrics, "a_total");
    expect(points.at(-1)?.timeUnixNano).toBe(ns(49));
    expect(points.length + undelivered).toBe(50);
    expect(push.backlog.dropped).toBe(undelivered);
    expect(undelivered).toBeGreaterThan(30);
  });

  test("goes as it is where that is asked for", async () => {
    await using receiver = new OtlpReceiver();
    const source = new Source(scratch);
    source.writer.put(define.counter("a_total"), [], 1);
    const push = pushing(receiver.url, { compression: "none" });
    push.write(source.snapshot(0));
    expect((await push.close(5000)).undelivered).toBe(0);
    expect(receiver.headers[0]?.get("content-encoding")).toBeNull();
    expect(pointsOf(receiver.metrics, "a_total")).toHaveLength(1);
  });

  test("leaves out the oldest snapshots that wait to be encoded beyond its bound, and never the last", async () => {
    await using receiver = new OtlpReceiver();
    const source = new Source(scratch);
    source.writer.put(define.logLinear("took"), [], 1);
    const bytes = source.app.directory.valueCount * 8;
    const push = pushing(receiver.url, { maxMemoryBytes: 4 * bytes, temporality: "delta" });
    // Nobody encodes before this has gone on.
    for (let i = 0; i < 10; i++) {
      source.writer.store("took", [], i);
      push.write(source.snapshot(i, { takenAtMs: START_MS + i }));
    }
    expect(push.counters).toMatchObject({ dropped: 6, waitingItems: 4, waitingBytes: 4 * bytes });
    push.gone("host:7070", "shop");
    const end = await push.close(5000);
    expect(end.undelivered).toBe(6);
    expect(end.summary).toContain("data points dropped 6");
    expect(push.counters.dropped).toBe(6);
    const points = pointsOf(receiver.metrics, "took");
    expect(points.map((each) => each.timeUnixNano).slice(0, 3)).toEqual([ns(7), ns(8), ns(9)]);
    expect(points.at(-1)?.flags).toBe(1);
  });

  test("counts what waits to be encoded, or is under way, when it is given no time to the end", async () => {
    await using receiver = new OtlpReceiver();
    const source = new Source(scratch);
    for (let i = 0; i < 20; i++) source.writer.put(define.counter("a_total", ["n"]), [`${i}`], 1);
    for (const compression of ["none", "gzip"] as const) {
      const push = pushing(receiver.url, { compression, maxPoints: 10 });
      for (let i = 0; i < 10; i++) push.write(source.snapshot(i));
      const end = await push.close(0);
      const { items } = push.counters;
      expect(items + end.undelivered).toBe(200);
      expect(end.summary).toContain(`data points lost ${end.undelivered}`);
      expect(push.counters).toMatchObject({ dropped: 0, waitingItems: end.undelivered });
      // What was begun comes to no other end.
      await Bun.sleep(10);
      expect(push.counters.waitingItems).toBe(end.undelivered);
    }
  });

  test("bounds what structures take that nothing but waiting snapshots keep", async () => {
    await using receiver = new OtlpReceiver();
    const source = new Source(scratch);
    const push = pushing(receiver.url, { maxMemoryBytes: 20_000 });
    // Each snapshot has its own, as where series come and go.
    for (let i = 0; i < 200; i++) {
      source.writer.put(define.counter("a_total", ["n"]), [`${i}`], 1);
      push.write(source.snapshot(i));
      expect(push.counters.waitingBytes).toBeLessThanOrEqual(20_000);
    }
    const given = (200 * 201) / 2;
    expect(push.counters.dropped + push.counters.waitingItems).toBe(given);
    // By their values alone twice as many would have room.
    expect(push.counters.waitingItems).toBeLessThan(6 * 200);
    await push.close(0);
  });

  test("goes on when a snapshot cannot be encoded, and says so once", async () => {
    await using receiver = new OtlpReceiver();
    const source = new Source(scratch);
    source.writer.put(define.counter("a_total"), [], 1);
    const notices: string[] = [];
    let fails = true;
    const push = pushing(receiver.url, {
      onNotice: (text) => notices.push(text),
      resourceOf: () => {
        if (fails) throw new Error("no resource");
        return [];
      },
    });
    push.write(source.snapshot(0));
    push.write(source.snapshot(1));
    await until("it is said", () => notices.length > 0);
    fails = false;
    push.write(source.snapshot(2));
    expect((await push.close(5000)).undelivered).toBe(2);
    expect(push.counters.dropped).toBe(2);
    expect(notices).toEqual(["a snapshot could not be encoded: no resource"]);
    expect(pointsOf(receiver.metrics, "a_total")).toHaveLength(1);
  });

  test("splits what is large, and loses nothing by it", async () => {
    await using receiver = new OtlpReceiver();
    const source = new Source(scratch);
    for (let i = 0; i < 20; i++) source.writer.put(define.counter("a_total", ["n"]), [`${i}`], i);
    for (let i = 0; i < 3; i++) source.writer.put(define.gauge("b", "sum", ["n"]), [`${i}`], i);
    const push = pushing(receiver.url, { maxPoints: 7 });
    push.write(source.snapshot(0));
    await push.close(5000);
    expect(receiver.headers).toHaveLength(4);
    const values = pointsOf(receiver.metrics, "a_total").map((each) => each.asDouble);
    expect(values).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(pointsOf(receiver.metrics, "b")).toHaveLength(3);
  });

  test("begins a sum again where it went back", async () => {
    await using receiver = new OtlpReceiver();
    const source = new Source(scratch);
    const push = pushing(receiver.url);
    for (const [i, value] of [5, 8, 2, 3].entries()) {
      source.writer.put(define.counter("a_total"), [], value);
      push.write(source.snapshot(i, { takenAtMs: START_MS + i }));
    }
    await push.close(5000);
    const starts = pointsOf(receiver.metrics, "a_total").map((each) => each.startTimeUnixNano);
    expect(starts[1]).toBe(starts[0]!);
    expect(starts.slice(2)).toEqual([ns(1), ns(1)]);
  });

  test("as deltas says what came since the point before, and nothing twice", async () => {
    await using receiver = new OtlpReceiver();
    const source = new Source(scratch);
    const push = pushing(receiver.url, { temporality: "delta" });
    const { writer } = source;
    writer.put(define.counter("a_total"), [], 100);
    for (const [i, value] of [100, 107, 107, 2].entries()) {
      writer.store("a_total", [], value);
      if (i === 1) writer.put(define.histogram("late", [1]), [], 3, 4, 5);
      push.write(source.snapshot(i, { takenAtMs: START_MS + i }));
    }
    await push.close(5000);
    expect(receiver.metrics.every(({ temporality }) => temporality === 1)).toBeTrue();
    const sums = pointsOf(receiver.metrics, "a_total");
    expect(sums.map((each) => [each.startTimeUnixNano, each.timeUnixNano, each.asDouble])).toEqual([
      [ns(0), ns(1), 7],
      [ns(1), ns(2), 0],
      [ns(2), ns(3), 2],
    ]);
    const late = pointsOf(receiver.metrics, "late");
    expect(late.map((each) => [each.startTimeUnixNano, each.bucketCounts])).toEqual([
      [ns(0), [3, 4]],
      [ns(1), [0, 0]],
      [ns(2), [0, 0]],
    ]);
  });

  test("is not broken by what a service writes instead of counts", async () => {
    await using receiver = new OtlpReceiver();
    const source = new Source(scratch);
    const wild = [Number.NaN, -1, 1e300, Number.POSITIVE_INFINITY, 1.6];
    source.writer.put(define.logLinear("took", { min: 1, max: 4, error: 0.35 }), [], ...wild, 0);
    source.writer.put(define.histogram("size", [1, 2]), [], ...wild.slice(2), Number.NaN);
    const push = pushing(receiver.url);
    push.write(source.snapshot(0));
    expect((await push.close(5000)).undelivered).toBe(0);
    expect(pointsOf(receiver.metrics, "took")[0]).toMatchObject({ count: 2, zeroCount: 0 });
    expect(pointsOf(receiver.metrics, "size")[0]).toMatchObject({ bucketCounts: [0, 0, 2] });
  });
});

describe("what a receiver answers", () => {
  test("is read whatever it is, and never taken for more than was sent", async () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        decodePartialSuccess(bytes);
        parsePartialSuccess(new TextDecoder().decode(bytes));
      }),
      { numRuns: 2000 },
    );
    expect(parsePartialSuccess('{"partialSuccess":null}')).toBeUndefined();
    expect(parsePartialSuccess("{}")).toBeUndefined();
    await using receiver = new OtlpReceiver([() => partialSuccess(-1, "x", true)]);
    const source = new Source(scratch);
    source.writer.put(define.counter("a_total"), [], 1);
    const push = pushing(receiver.url);
    push.write(source.snapshot(0));
    expect((await push.close(5000)).undelivered).toBe(0);
  });
});

describe("a log-linear histogram as an exponential one", () => {
  const shapes = fc
    .record({
      min: fc.double({ min: 1e-9, max: 1e3, noNaN: true }),
      octaves: fc.integer({ min: 1, max: 12 }),
      error: fc.double({ min: 0.02, max: 0.35, noNaN: true }),
    })
    .map(({ min, octaves, error }) => logLinearShape({ min, max: min * 2 ** octaves, error }));

  test("gives back each value within the bound that is stated", () => {
    const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(shapes, share, (shape, where) => {
        const bounds = logLinearBounds(shape);
        const value = bounds[0]! * (bounds.at(-1)! / bounds[0]!) ** where;
        const slots = new Float64Array(shape.buckets + 3);
        const slot = logLinearIndex(shape, value);
        fc.pre(slot >= 1 && slot <= shape.buckets);
        slots[slot] = 1;
        const { scale } = exponentialMap(shape);
        const { offset, counts } = toExponential(exponentialMap(shape), slots, 0);
        expect([...counts]).toEqual([1]);
        const middle = 2 ** ((offset + 0.5) / 2 ** scale);
        expect(Math.abs(middle - value) / value).toBeLessThanOrEqual(
          exponentialError(shape) * (1 + 1e-12),
        );
      }),
      { numRuns: 2000 },
    );
  });

  test("the bound is 10.6 % of the default, and nearly reached", () => {
    expect(exponentialError(logLinearShape())).toBeCloseTo(0.1057, 4);
    const shape = logLinearShape({ min: 1, max: 2 ** 10 });
    const bounds = logLinearBounds(shape);
    const { targets, scale } = exponentialMap(shape);
    let worst = 0;
    for (let i = 0; i < shape.buckets; i++) {
      const middle = 2 ** ((targets[i]! + 0.5) / 2 ** scale);
      for (const value of [bounds[i]!, bounds[i + 1]! * (1 - 1e-9)]) {
        worst = Math.max(worst, Math.abs(middle - value) / value);
      }
    }
    expect(worst).toBeGreaterThan(exponentialError(shape) * 0.6);
    expect(worst).toBeLessThanOrEqual(exponentialError(shape));
  });

  test("keeps every count, in order", () => {
    fc.assert(
      fc.property(shapes, fc.infiniteStream(fc.nat(5)), (shape, numbers) => {
        const slots = Float64Array.from({ length: shape.buckets + 3 }, () => numbers.next().value!);
        const { zeroCount, count, counts } = toExponential(exponentialMap(shape), slots, 0);
        const total = slots.slice(0, -1).reduce((a, b) => a + b, 0);
        expect(zeroCount).toBe(slots[0]!);
        expect(count).toBe(total);
        expect(counts.reduce((a, b) => a + b, 0)).toBe(total - slots[0]!);
        const { targets } = exponentialMap(shape);
        expect(targets.every((target, i) => i === 0 || target >= targets[i - 1]!)).toBeTrue();
      }),
      { numRuns: 200 },
    );
  });
});
