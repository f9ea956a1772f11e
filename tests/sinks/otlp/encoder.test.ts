// What is written of snapshots, beside OpenTelemetry's own serialiser and beside what the pool holds, whatever comes and
// goes.

import { describe, expect, test } from "bun:test";
import { JsonMetricsSerializer, ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import fc from "fast-check";
import { otelMetrics } from "../../../bench/lib/otel-metrics.ts";
import { COUNTER, HISTOGRAM, LOG_LINEAR, PoolSource } from "../../../bench/lib/pool-source.ts";
import type { MetricDefinition, PoolSnapshot } from "../../../src/layout/index.ts";
import {
  JsonForm,
  OtlpEncoder,
  type OtlpEncoderOptions,
  type OtlpForm,
  type Part,
  ProtobufForm,
} from "../../../src/sinks/otlp/index.ts";
import { type ReceivedMetric, type ReceivedPoint, received } from "../../support/otlp.ts";
import { define, Scratch, scan, TestWriter } from "../../support/pools.ts";
import { Source } from "../snapshots.ts";

const scratch = new Scratch();

type Point = ReceivedPoint & { negative?: unknown };

const FORMS = {
  protobuf: () => new ProtobufForm() as OtlpForm<unknown>,
  json: () => new JsonForm() as OtlpForm<unknown>,
};
const SERIALIZERS = { protobuf: ProtobufMetricsSerializer, json: JsonMetricsSerializer };

/** Encodes snapshots and reads them back. */
class Encoded {
  readonly form: OtlpForm<unknown>;
  readonly encoder: OtlpEncoder<unknown>;

  constructor(
    format: keyof typeof FORMS,
    options: Partial<OtlpEncoderOptions> = {},
    maxPoints = 5000,
  ) {
    const all = { resourceOf: () => [], version: "1.2.3", ...options };
    this.form = FORMS[format]();
    this.encoder = new OtlpEncoder({ temporality: "cumulative", ...all }, this.form, maxPoints);
  }

  of(snapshot: PoolSnapshot): ReceivedMetric[] {
    return this.#read(this.encoder.parts(this.encoder.take(snapshot)));
  }

  /** What is sent when a pool has ended. */
  ofEnd({ source, app }: PoolSnapshot, atMs: number): ReceivedMetric[] {
    return this.#read(this.encoder.end(source, app, atMs));
  }

  #read(parts: Iterable<Part<unknown>>): ReceivedMetric[] {
    const found: ReceivedMetric[] = [];
    for (const part of parts) {
      found.push(...received(this.form.write(part), this.form.contentType));
    }
    return found;
  }
}

/** Of the peer's what ours says too: it says how many attributes were dropped, and of JSON has numbers for counts. */
function peerSays(format: keyof typeof FORMS, snapshot: PoolSnapshot, startMs: number) {
  const bytes = SERIALIZERS[format].serializeRequest(otelMetrics(snapshot, startMs)[0]!)!;
  if (format === "protobuf") return received(bytes, "application/x-protobuf");
  const counts = new Set(["count", "zeroCount"]);
  const text = JSON.stringify(JSON.parse(new TextDecoder().decode(bytes)), (key, value) =>
    counts.has(key) ? String(value) : value,
  );
  return received(new TextEncoder().encode(text), "application/json");
}

describe.each(["protobuf", "json"] as const)("a request as %s", (format) => {
  test.each([
    ["counters", COUNTER],
    ["gauges", { ...COUNTER, name: "sessions", kind: "gauge", unit: "{session}", help: "Open." }],
    ["histograms", HISTOGRAM],
    ["log-linear histograms", LOG_LINEAR],
  ] as [string, MetricDefinition][])(
    "says the same of %s as OpenTelemetry's own serialiser, which others read",
    (_, definition) => {
      const snapshot = new PoolSource({ definition, series: 300 }).next();
      const [ours] = new Encoded(format).of(snapshot);
      const [other] = peerSays(format, snapshot, snapshot.takenAtMs);
      const plain = (metric: ReceivedMetric | undefined) => ({
        ...metric,
        points: metric?.points.map((point) => {
          // The peer says when a gauge began, and that there are no negative buckets; it knows no threshold but zero.
          const { startTimeUnixNano, zeroThreshold, negative, ...rest } = point as Point;
          return definition.kind === "gauge" ? rest : { startTimeUnixNano, ...rest };
        }),
      });
      expect(ours?.points).toHaveLength(300);
      expect(plain(ours)).toEqual(plain(other));
    },
  );
});

describe("what is sent of a pool", () => {
  const step = fc.oneof(
    fc.record({ op: fc.constant("count" as const), label: fc.nat(5), by: fc.nat(9) }),
    fc.record({ op: fc.constant("set" as const), label: fc.nat(3), to: fc.integer() }),
    fc.record({ op: fc.constant("observe" as const), metric: fc.nat(2), by: fc.nat(9) }),
    fc.record({ op: fc.constant("die" as const) }),
    fc.record({ op: fc.constant("compact" as const) }),
    fc.record({ op: fc.constant("send" as const) }),
  );

  test("is what it holds, whatever comes, dies and is rewritten", () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.constantFrom("protobuf" as const, "json" as const),
        fc.integer({ min: 1, max: 9 }),
        (steps, format, maxPoints) => {
          const source = new Source(scratch);
          const { pool } = source.app;
          const encoded = new Encoded(format, {}, maxPoints);
          /** The last points that were sent, by series; none of those that have ended. */
          const sent = new Map<string, unknown>();
          const counts = new Map<string, number>();
          const gauges = new Map<string, number>();
          let writer = source.writer;
          let own = new Map<string, number>();
          let atMs = Date.now() + 1000;
          const add = (name: string, by: number): number => {
            counts.set(name, (counts.get(name) ?? 0) + by);
            own.set(name, (own.get(name) ?? 0) + by);
            return own.get(name)!;
          };
          const send = () => {
            const snapshot = source.snapshot(0, { takenAtMs: atMs++ });
            for (const { name, points } of encoded.of(snapshot)) {
              for (const point of points) {
                const key = [name, ...Object.values(point.attributes)].join(" ");
                if (point.flags === 1) sent.delete(key);
                else sent.set(key, point.asDouble ?? point.bucketCounts);
              }
            }
            const held = new Map<string, unknown>(gauges);
            for (const [key, value] of counts) {
              // What has never counted may go with its writer, or stay.
              if (value === 0) sent.delete(key);
              else held.set(key, key.startsWith("took") ? [value, 0] : value);
            }
            expect(Object.fromEntries(sent)).toEqual(Object.fromEntries(held));
          };
          for (const each of steps) {
            switch (each.op) {
              case "count": {
                const value = add(`jobs_total ${each.label}`, each.by);
                writer.put(define.counter("jobs_total", ["n"]), [`${each.label}`], value);
                break;
              }
              case "set":
                gauges.set(`load ${each.label}`, each.to);
                writer.put(define.gauge("load", "sum", ["n"]), [`${each.label}`], each.to);
                break;
              case "observe": {
                const value = add(`took_${each.metric}`, each.by);
                writer.put(define.histogram(`took_${each.metric}`, [1]), [], value, 0, 0);
                break;
              }
              case "die":
                writer.die();
                scan(source.app);
                writer = new TestWriter(source.app);
                gauges.clear();
                own = new Map();
                break;
              case "compact":
                pool.compact();
                break;
              case "send":
                send();
            }
          }
          send();
          writer.die();
        },
      ),
      { numRuns: 60 },
    );
  });

  test("begins with the last time of all when a series was released and is back", () => {
    const source = new Source(scratch);
    const encoded = new Encoded("protobuf");
    const { writer, app } = source;
    const startMs = Math.floor(Date.now()) + 1000;
    const metric = define.counter("a_total", ["path"]);
    const points = (afterMs: number) =>
      encoded
        .of(source.snapshot(0, { takenAtMs: startMs + afterMs }))
        .flatMap((each) => each.points)
        .filter(({ attributes }) => attributes["path"] === "/b")
        .map(({ startTimeUnixNano, asDouble, flags }) => [startTimeUnixNano, asDouble, flags]);
    const ns = (ms: number) => `${BigInt(ms)}000000`;
    for (const path of ["/a", "/b", "/c"]) writer.put(metric, [path], 5);
    const sinceNs = `${Math.floor(writer.record.startedAtMs * 1000)}000`;
    expect(points(0)).toEqual([[sinceNs, 5, undefined]]);
    const { turn } = app.register(writer.id, []);
    app.release(writer.id, [{ name: "a_total", labelNames: ["path"], series: [["/b"]] }], turn);
    expect(points(1)).toEqual([[sinceNs, undefined, 1]]);
    writer.put(metric, ["/b"], 2);
    expect(points(2)).toEqual([[ns(startMs + 1), 2, undefined]]);
    expect(points(3)).toEqual([[ns(startMs + 1), 2, undefined]]);
  });

  test("begins with its service when it came late, or came back having counted nothing", () => {
    const source = new Source(scratch);
    const encoded = new Encoded("protobuf");
    const { writer, app } = source;
    const startMs = Math.floor(Date.now()) + 1000;
    const metric = define.counter("a_total", ["path"]);
    const starts = (of: Encoded, afterMs: number) =>
      of
        .of(source.snapshot(0, { takenAtMs: startMs + afterMs }))
        .flatMap((each) => each.points)
        .map(({ startTimeUnixNano }) => startTimeUnixNano);
    const sinceNs = `${Math.floor(writer.record.startedAtMs * 1000)}000`;
    writer.put(metric, ["/a"], 5);
    expect(starts(encoded, 0)).toEqual([sinceNs]);
    writer.put(metric, ["/b"], 0);
    expect(starts(encoded, 1)).toEqual([sinceNs, sinceNs]);
    const { turn } = app.register(writer.id, []);
    app.release(writer.id, [{ name: "a_total", labelNames: ["path"], series: [["/b"]] }], turn);
    expect(starts(encoded, 2)).toEqual([sinceNs, sinceNs]);
    writer.put(metric, ["/b"], 2);
    expect(starts(encoded, 3)).toEqual([sinceNs, sinceNs]);
    // Another that exports the same, as after a restart, says the same.
    expect(starts(new Encoded("protobuf"), 4)).toEqual([sinceNs, sinceNs]);
  });

  test.each(["cumulative", "delta"] as const)(
    "goes on as %s where it was when an agent is back that was away",
    (temporality) => {
      const source = new Source(scratch);
      const encoded = new Encoded("protobuf", { temporality });
      const { writer } = source;
      const startMs = Math.floor(Date.now()) + 1000;
      writer.put(define.gauge("load", "max"), [], 1);
      const snapshot = (afterMs: number, value: number) => {
        writer.put(define.counter("a_total"), [], value);
        return source.snapshot(0, { takenAtMs: startMs + afterMs });
      };
      const told = (metrics: ReceivedMetric[], name = "a_total") =>
        metrics
          .filter((each) => each.name === name)
          .flatMap(({ points }) => points)
          .map(({ startTimeUnixNano, timeUnixNano, asDouble, flags }) => {
            const after = (ns: string) => Number(BigInt(ns) / 1_000_000n) - startMs;
            const began = startTimeUnixNano === undefined ? undefined : after(startTimeUnixNano);
            return [began, after(timeUnixNano), flags === 1 ? "ended" : asDouble];
          });
      const since = Math.floor(writer.record.startedAtMs) - startMs;
      const isDelta = temporality === "delta";
      encoded.of(snapshot(0, 100));
      expect(told(encoded.of(snapshot(10, 103)))).toEqual([
        isDelta ? [0, 10, 3] : [since, 10, 103],
      ]);
      // A gap: nothing is said of it.
      const last = snapshot(20, 105);
      expect(told(encoded.of(last))).toEqual([isDelta ? [10, 20, 2] : [since, 20, 105]]);
      // An absence, said once.
      const end = encoded.ofEnd(last, startMs + 30);
      expect(told(end)).toEqual([[isDelta ? 10 : since, 30, "ended"]]);
      expect(told(end, "load")).toEqual([[undefined, 30, "ended"]]);
      expect(encoded.ofEnd(last, startMs + 31)).toEqual([]);
      const back = encoded.of(snapshot(40, 112));
      expect(told(back)).toEqual([isDelta ? [30, 40, 7] : [since, 40, 112]]);
      expect(told(back, "load")).toEqual([[undefined, 40, 1]]);
      // A reset.
      expect(told(encoded.of(snapshot(50, 4)))).toEqual([[40, 50, 4]]);
      expect(told(encoded.of(snapshot(60, 5)))).toEqual([isDelta ? [50, 60, 1] : [40, 60, 5]]);
    },
  );

  test("is a delta from nothing where its service began since, on this host, and nobody can have sent it", () => {
    const before = new Source(scratch);
    // A whole millisecond later, for certain.
    const beganMs = Math.ceil(before.writer.record.startedAtMs) + 1;
    while (Date.now() < beganMs) Bun.sleepSync(1);
    const encoded = new Encoded("protobuf", { temporality: "delta" });
    const since = new Source(scratch);
    const sent = (of: Source, source: string, app: string) => {
      of.writer.put(define.counter("a_total"), [], 5);
      const takenAtMs = of.writer.record.startedAtMs + 10;
      return encoded
        .of(of.snapshot(0, { takenAtMs, source, app }))
        .flatMap(({ points }) => points)
        .map(({ startTimeUnixNano, asDouble }) => [startTimeUnixNano, asDouble]);
    };
    const startNs = `${Math.floor(since.writer.record.startedAtMs * 1000)}000`;
    expect(sent(before, "local", "older")).toEqual([]);
    expect(sent(since, "db1:7070", "elsewhere")).toEqual([]);
    expect(sent(since, "local", "newer")).toEqual([[startNs, 5]]);
  });

  test("goes on with its start and its deltas when the directory is rewritten", () => {
    const source = new Source(scratch);
    const encoded = new Encoded("protobuf", { temporality: "delta" });
    const { writer } = source;
    const startMs = Date.now() + 1000;
    const told: (number | undefined)[] = [];
    for (const [i, value] of [5, 7, 12].entries()) {
      writer.put(define.counter("a_total"), [], value);
      if (i === 1) writer.put(define.counter("b_total"), [], 1);
      if (i === 2) source.app.pool.compact();
      const metrics = encoded.of(source.snapshot(0, { takenAtMs: startMs + i }));
      told.push(metrics.find(({ name }) => name === "a_total")?.points[0]?.asDouble);
    }
    expect(told).toEqual([undefined, 2, 5]);
  });
});
