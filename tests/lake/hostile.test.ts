// Segments and requests of OTLP that were damaged or forged: each is taken or refused, and nothing else happens.

import { describe, expect, test } from "bun:test";
import protobuf from "protobufjs";
import { SEGMENT_BLOCKS_MAX, SegmentError, segmentOf } from "../../src/lake/ingestion/segment.ts";
import { convert } from "../../src/lake/otlp/convert.ts";
import { decodeRequest, OtlpError, SIGNALS, type Signal } from "../../src/lake/otlp/messages.ts";
import { VALUES_MAX, weigh } from "../../src/lake/otlp/weigh.ts";
import { decodeBlock, encodeSegment } from "../../src/layout/index.ts";
import { Random } from "../chaos/random.ts";
import { unzstd } from "../support/blocks.ts";
import { logBlock } from "../support/lakes.ts";

const NOW_NS = 1_796_083_200_000_000_000n;

/** Some bytes changed, cut out, doubled or added. */
function damaged(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = random.between(0, copy.length - 1);
  const length = random.between(1, 12);
  switch (random.between(0, 3)) {
    case 0:
      for (let i = at; i < Math.min(copy.length, at + length); i++)
        copy[i] = random.between(0, 255);
      return copy;
    case 1:
      return Uint8Array.of(...copy.subarray(0, at), ...copy.subarray(at + length));
    case 2:
      return Uint8Array.of(...copy.subarray(0, at + length), ...copy.subarray(at));
    default:
      copy[at] = [0, 127, 128, 255][random.between(0, 3)]!;
      return copy;
  }
}

test("a segment that was damaged anywhere is refused by its checksums", () => {
  const random = new Random(1);
  const sound = encodeSegment([logBlock(5), logBlock(5, { first: 5 })]);
  for (let i = 0; i < 3_000; i++) {
    const bytes = damaged(sound, random);
    if (Bun.deepEquals(bytes, sound)) continue;
    try {
      // What was cut off or doubled at the border of a block is a segment still.
      const { blocks } = segmentOf("0".repeat(32), "blob", bytes);
      expect(blocks.length).toBeLessThan(2);
    } catch (error) {
      expect(error).toBeInstanceOf(SegmentError);
    }
  }
});

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Any { oneof v { string s = 1; bool b = 2; int64 i = 3; double d = 4; Array a = 5; List l = 6; bytes x = 7; } }
  message Array { repeated Any values = 1; }
  message List { repeated Pair values = 1; }
  message Pair { string key = 1; Any value = 2; }
  message Resource { repeated Pair attributes = 1; }
  message Scope { string name = 1; }
  message Log { fixed64 time = 1; int32 severity = 2; string text = 3; Any body = 5; repeated Pair attributes = 6; bytes trace = 9; bytes span = 10; }
  message Event { fixed64 time = 1; string name = 2; repeated Pair attributes = 3; }
  message Span { bytes trace = 1; bytes span = 2; bytes parent = 4; string name = 5; int32 kind = 6; fixed64 begin = 7; fixed64 end = 8; repeated Pair attributes = 9; repeated Event events = 11; }
  message Point { fixed64 time = 3; double value = 4; repeated Pair attributes = 7; }
  message Points { repeated Point points = 1; }
  message Buckets { sint32 offset = 1; repeated uint64 counts = 2; }
  message Wide { repeated Pair attributes = 1; fixed64 time = 3; fixed64 count = 4; double sum = 5; sint32 scale = 6; Buckets positive = 8; }
  message Wides { repeated Wide points = 1; int32 temporality = 2; }
  message Metric { string name = 1; string unit = 3; Points gauge = 5; Wides exponential = 10; }
  message Part { Scope scope = 1; repeated Log logs = 2; }
  message Part2 { Scope scope = 1; repeated Span spans = 2; }
  message Part3 { Scope scope = 1; repeated Metric metrics = 2; }
  message logs { repeated Of of = 1; message Of { Resource resource = 1; repeated Part parts = 2; } }
  message traces { repeated Of of = 1; message Of { Resource resource = 1; repeated Part2 parts = 2; } }
  message metrics { repeated Of of = 1; message Of { Resource resource = 1; repeated Part3 parts = 2; } }
`);

const time = String(NOW_NS);
const attributes = [
  { key: "service.name", value: { s: "auth" } },
  { key: "list", value: { a: { values: [{ i: "-5" }, { d: 1.5 }, { b: true }] } } },
  { key: "map", value: { l: { values: [{ key: "x", value: { x: Buffer.from("bytes") } }] } } },
];
const scope = { name: "scope" };
const id = (bytes: number) => Buffer.alloc(bytes, 7);
const REQUESTS = {
  logs: [{ scope, logs: [{ time, severity: 9, text: "INFO", body: { s: "hello" }, attributes }] }],
  traces: [
    {
      scope,
      spans: [
        {
          ...{ trace: id(16), span: id(8), parent: id(8), name: "get", kind: 2, attributes },
          ...{ begin: time, end: time, events: [{ time, name: "retry", attributes }] },
        },
      ],
    },
  ],
  metrics: [
    {
      scope,
      metrics: [
        { name: "open", unit: "1", gauge: { points: [{ time, value: 2, attributes }] } },
        {
          name: "size",
          exponential: {
            points: [{ time, count: 3, sum: 5, scale: 1, positive: { offset: 2, counts: [1, 2] } }],
          },
        },
      ],
    },
  ],
};

const AS_ANYBODY = { bodyDigest: "ab", nowNs: NOW_NS, check() {}, pause: () => undefined };

/** Objects, lists and elements of lists. */
function objectsIn(value: unknown): number {
  if (Array.isArray(value)) {
    return (
      value.reduce((sum, each) => sum + Math.max(1, objectsIn(each)), 1) - (value.length ? 1 : 0)
    );
  }
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return 0;
  return Object.values(value).reduce<number>((sum, each) => sum + objectsIn(each), 1);
}

test.each(SIGNALS)(
  "OTLP's %s, however damaged, are blocks that can be read, or no OTLP",
  async (signal) => {
    const type = root.lookupType(signal);
    const message = { of: [{ resource: { attributes }, parts: REQUESTS[signal] }] };
    const sound = type.encode(type.fromObject(message)).finish();
    const take = async (bytes: Uint8Array) => {
      const values = weigh(signal, bytes, false);
      const decoded = decodeRequest(signal, bytes, false);
      // Nothing of it was made that was not counted before.
      expect(objectsIn(decoded)).toBeLessThanOrEqual(values + 1);
      const { blocks } = await convert(signal, decoded, AS_ANYBODY);
      for (const block of blocks) decodeBlock(block, unzstd);
      return blocks.length;
    };
    expect(await take(sound)).toBe(1);
    const random = new Random(2);
    const outcomes = new Set<string>();
    for (let i = 0; i < 3_000; i++) {
      try {
        outcomes.add((await take(damaged(sound, random))) > 0 ? "kept" : "nothing");
      } catch (error) {
        if (!(error instanceof OtlpError)) throw error;
        outcomes.add("refused");
      }
    }
    expect(outcomes.has("kept") && outcomes.has("refused")).toBeTrue();
  },
);

describe("what a body of OTLP would become is counted in its bytes", () => {
  const field = (number: number, bytes: Uint8Array) => {
    const length = [];
    for (let left = bytes.length; ; left = Math.floor(left / 128)) {
      length.push(left > 127 ? (left % 128) + 128 : left);
      if (left <= 127) break;
    }
    return Buffer.concat([Uint8Array.of(number * 8 + 2, ...length), bytes]);
  };
  /** A field of no bytes, again and again. */
  const empty = (number: number, times: number) =>
    Buffer.alloc(2 * times, Uint8Array.of(number * 8 + 2, 0));
  const [few, many] = [1_000, VALUES_MAX];
  const inLogs = (records: Uint8Array) => field(1, field(2, records));
  const buckets = (packed: Uint8Array) =>
    field(1, field(2, field(2, field(10, field(1, field(8, field(2, packed)))))));
  const bodies: Readonly<Record<string, [(times: number) => Uint8Array, signal?: Signal]>> = {
    "empty records": [(times) => inLogs(empty(2, times))],
    "empty attributes": [(times) => inLogs(field(2, empty(6, times)))],
    "fields that nobody knows": [(times) => inLogs(field(2, empty(15, times)))],
    "packed counts": [(times) => buckets(Buffer.alloc(times, 1)), "metrics"],
  };

  test.each(Object.entries(bodies))("%s of protobuf", (_, [bodyOf, signal = "logs"]) => {
    expect(weigh(signal, bodyOf(few), false)).toBeGreaterThanOrEqual(few);
    expect(() => weigh(signal, bodyOf(many), false)).toThrow("send it in parts");
  });

  test("objects, lists and commas of JSON, and not those in texts", () => {
    const json = (text: string) => weigh("logs", Buffer.from(text), true);
    expect(json('{"a":"[{,\\"{,\\\\","b":[{},{}]}')).toBe(6);
    for (const each of ["{},", "[],", "0,", "["]) {
      expect(() => json(`[${each.repeat(VALUES_MAX)}`)).toThrow("send it in parts");
    }
  });

  test("and a batch as large as anybody sends is not too much", () => {
    const attributes = field(
      9,
      Buffer.concat([field(1, Buffer.from("key")), field(2, field(1, Buffer.from("x")))]),
    );
    const span = field(2, Buffer.concat(Array.from({ length: 25 }, () => attributes)));
    const body = field(1, field(2, Buffer.concat(Array.from({ length: 8_192 }, () => span))));
    expect(weigh("traces", body, false)).toBeLessThan(VALUES_MAX);
  });
});

test("texts that JSON makes long, in great number, are blocks all the same", async () => {
  const text = { stringValue: "\u0001".repeat(5_000) };
  const keys = [
    ...["service.namespace", "service.name", "host.name", "process.owner", "container.name"],
    ...["process.executable.path", "process.runtime.name", "k8s.pod.name", "k8s.namespace.name"],
    ...["container.image.name", "one", "two", "three"],
  ];
  const attributes = keys.map((key) => ({ key, value: text }));
  const spans = Array.from({ length: 10_000 }, (_, i) => ({
    ...{
      traceId: "7".repeat(32),
      spanId: "7".repeat(16),
      name: `${i}${"\ud83d\ude00".repeat(500)}`,
    },
    ...{ startTimeUnixNano: time, endTimeUnixNano: time },
  }));
  const message = { resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans }] }] };
  const { blocks } = await convert("traces", message, AS_ANYBODY);
  const rows = blocks.map((block) => decodeBlock(block, unzstd).spans.rows);
  expect(rows.reduce((sum, each) => sum + each, 0)).toBe(10_000);
});

test("a small request that would be blown up to very much text is refused", async () => {
  const label = { key: "label", value: { stringValue: "x".repeat(60_000) } };
  const bucketCounts = Array.from({ length: 5_000 }, () => 1);
  const point = {
    timeUnixNano: time,
    count: 5_000,
    attributes: [label],
    positive: { bucketCounts },
  };
  const metrics = [{ name: "size", exponentialHistogram: { dataPoints: [point] } }];
  const message = { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] };
  await expect(convert("metrics", message, AS_ANYBODY)).rejects.toThrow(OtlpError);
});

test("a segment, or a request, of more blocks than anybody sends is refused", async () => {
  const block = logBlock(0);
  const segment = encodeSegment(Array.from({ length: SEGMENT_BLOCKS_MAX + 1 }, () => block));
  expect(() => segmentOf("s1", "blob", segment)).toThrow(`more than ${SEGMENT_BLOCKS_MAX}`);
  const resource = { scopeLogs: [{ logRecords: [{}] }] };
  const resourceLogs = Array.from({ length: SEGMENT_BLOCKS_MAX + 1 }, () => resource);
  await expect(convert("logs", { resourceLogs }, AS_ANYBODY)).rejects.toThrow("more than");
});

/** Any JSON, with names that OTLP has now and then. */
function anything(random: Random, names: readonly string[], depth = 0): unknown {
  const values = [null, true, -1, 1e300, "", "NaN", "9".repeat(30), "\ud800", "ab", {}, []];
  if (depth > 7 || random.between(0, 5) === 0) return random.pick(values);
  if (random.between(0, 2) === 0) {
    const length = random.between(0, 3);
    return Array.from({ length }, () => anything(random, names, depth + 1));
  }
  const length = random.between(1, 4);
  return Object.fromEntries(
    Array.from({ length }, () => [random.pick(names), anything(random, names, depth + 1)]),
  );
}

test.each(SIGNALS)(
  "any JSON that is sent as OTLP's %s is blocks that can be read, or no OTLP",
  async (signal) => {
    const names = [
      ...[
        "resourceLogs",
        "scopeLogs",
        "logRecords",
        "resourceSpans",
        "scopeSpans",
        "spans",
        "links",
      ],
      ...["resourceMetrics", "scopeMetrics", "metrics", "dataPoints", "gauge", "summary", "events"],
      ...["histogram", "exponentialHistogram", "positive", "offset", "scale", "bucketCounts"],
      ...[
        "explicitBounds",
        "resource",
        "scope",
        "attributes",
        "key",
        "value",
        "name",
        "body",
        "flags",
      ],
      ...["stringValue", "arrayValue", "kvlistValue", "values", "timeUnixNano", "traceId", "count"],
      ...["startTimeUnixNano", "spanId", "quantileValues", "asInt", "asDouble", "severityNumber"],
    ];
    const random = new Random(3);
    const top = { logs: "resourceLogs", traces: "resourceSpans", metrics: "resourceMetrics" }[
      signal
    ];
    const middle = { logs: "scopeLogs", traces: "scopeSpans", metrics: "scopeMetrics" }[signal];
    const inner = { logs: "logRecords", traces: "spans", metrics: "metrics" }[signal];
    for (let i = 0; i < 3_000; i++) {
      const parts = [{ [inner]: [anything(random, names, 3)] }];
      const message = { [top]: [{ resource: anything(random, names, 6), [middle]: parts }] };
      const body = new TextEncoder().encode(
        JSON.stringify(i % 2 === 0 ? message : anything(random, names)),
      );
      try {
        const values = weigh(signal, body, true);
        const decoded = decodeRequest(signal, body, true);
        expect(objectsIn(decoded)).toBeLessThanOrEqual(values + 1);
        const { blocks } = await convert(signal, decoded, AS_ANYBODY);
        for (const block of blocks) decodeBlock(block, unzstd);
      } catch (error) {
        if (!(error instanceof OtlpError)) throw error;
      }
    }
  },
);
