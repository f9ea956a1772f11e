// What becomes of events on their way out: nanoseconds for an event from the words of a ring to a packed block, and bytes
// on the wire, beside OpenTelemetry's own protobuf of the same spans, packed by the same zstd, and beside lines of text.
//
// All of it is the corpus in lib/event-corpus.ts, in blocks of 5,000 events: 250 requests, what a service that records
// 100,000 events a second makes in 50 ms. Bytes of a kind are those of a block of it alone, less the header, which is in
// the last row. The peer is given its spans as it wants them, made beforehand. Whether a block says what a reader of the
// ring reads is tested in tests/layout/events/build.test.ts.

import type { HrTime } from "@opentelemetry/api";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import {
  BlockBuilder,
  type DecodedBlock,
  decodeBlock,
  decodeBlockHeader,
} from "../src/layout/index.ts";
import { ORIGIN, textAt, unzstd, zstd } from "../tests/support/blocks.ts";
import type { Bench } from "./lib/bench.ts";
import { type RecordedKind, type RecordedRing, recordedRing } from "./lib/event-rings.ts";
import { alternate, type Work } from "./lib/measure.ts";
import { atMost, faster, type Row, row } from "./lib/report.ts";
import type { Samples } from "./lib/samples.ts";

const REQUESTS = 250;
const OTEL = "OpenTelemetry";
const TEXT = "text";

const bench: Bench = {
  summary: "ns and bytes per event in blocks; OpenTelemetry's protobuf and lines of text, packed",
  async run({ quick, progress }) {
    const rounds = quick ? { count: 3, ms: 5 } : { count: 31, ms: 40 };
    progress("building");
    const all = recordedRing(REQUESTS);
    const spans = recordedRing(REQUESTS, "spans");
    const builder = new BlockBuilder(zstd);
    // Packs once, so that the rest of the work is on as many bytes as it will be.
    let packed: Uint8Array | undefined;
    const plain = new BlockBuilder((bytes) => {
      packed ??= zstd(bytes);
      return packed;
    });
    const block = build(builder, all);
    const readable = readableSpans(decodeBlock(build(builder, spans), unzstd));
    const samples = await alternate(
      {
        plain: repeat(() => build(plain, all)),
        all: repeat(() => build(builder, all)),
        spans: repeat(() => build(builder, spans)),
        otel: repeat(() => zstd(ProtobufTraceSerializer.serializeRequest(readable)!)),
        decode: repeat(() => decodeBlock(block, unzstd)),
      },
      rounds,
      quick,
    );
    const each = (times: Samples, ring: RecordedRing) => times.map((ns) => ns / eventsOf(ring));
    return [
      row("build, not packed", "ns/event", each(samples.plain, all), {}, [atMost(60)]),
      row("build and pack", "ns/event", each(samples.all, all)),
      row(
        "build and pack, spans alone",
        "ns/event",
        each(samples.spans, spans),
        { [OTEL]: each(samples.otel, spans) },
        [faster(OTEL, 5)],
      ),
      row("read", "ns/event", each(samples.decode, all)),
      ...sizes(builder, readable),
    ];
  },
};
export default bench;

function sizes(builder: BlockBuilder, readable: ReadableSpan[]): Row[] {
  const bytesOf = (kind: RecordedKind) => {
    const ring = recordedRing(REQUESTS, kind);
    const block = build(builder, ring);
    const headBytes = kind === "all" ? 0 : JSON.stringify(decodeBlockHeader(block)).length;
    return [(block.length - headBytes) / eventsOf(ring)];
  };
  const otel = zstd(ProtobufTraceSerializer.serializeRequest(readable)!).length / readable.length;
  const logs = recordedRing(REQUESTS, "logs");
  const logBytes = bytesOf("logs")[0]! * logs.logs;
  return [
    row("a span", "bytes", bytesOf("spans"), { [OTEL]: [otel] }, [atMost(7)]),
    row("a value of a measure", "bytes", bytesOf("measures"), {}, [atMost(5)]),
    row("a log", "bytes", [logBytes / logs.logs], { [TEXT]: [logs.logText.length / logs.logs] }),
    row(
      "logs, of their text",
      "share",
      [logBytes / logs.logText.length],
      { "text, packed": [zstd(Buffer.from(logs.logText)).length / logs.logText.length] },
      [atMost(0.3)],
    ),
    row("an event of all", "bytes", bytesOf("all")),
  ];
}

function eventsOf({ spans, measures, logs }: RecordedRing): number {
  return spans + measures + logs;
}

function build(builder: BlockBuilder, { header, definitions, words }: RecordedRing): Uint8Array {
  const { process } = ORIGIN;
  return builder.build({
    ...{ header, definitions, words, process },
    ...{ first: 0, timeline: undefined, isFinal: false },
  }).block;
}

function repeat(work: () => unknown): Work {
  return (times) => {
    for (let i = 0; i < times; i++) work();
  };
}

function readableSpans({ spans }: DecodedBlock): ReadableSpan[] {
  const resource = resourceFromAttributes({ "service.name": "orders" });
  const scope = { name: "bench" };
  return Array.from({ length: spans.rows }, (_, i) => {
    const traceId = hex(spans.traceHigh[i]!) + hex(spans.traceLow[i]!);
    const context = { traceId, spanId: hex(spans.spanId[i]!), traceFlags: 1 };
    const parentId = spans.parentId[i]!;
    return {
      name: textAt(spans.name, i),
      kind: spans.kind[i]!,
      spanContext: () => context,
      ...(parentId === 0n ? {} : { parentSpanContext: { ...context, spanId: hex(parentId) } }),
      startTime: timeOf(spans.beginNs[i]!),
      endTime: timeOf(spans.endNs[i]!),
      duration: timeOf(spans.endNs[i]! - spans.beginNs[i]!),
      status: { code: spans.status[i] === 0 ? 0 : 2 },
      attributes: {},
      links: [],
      events: [],
      ended: true,
      resource,
      instrumentationScope: scope,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    } as ReadableSpan;
  });
}

function hex(id: bigint): string {
  return id.toString(16).padStart(16, "0");
}

function timeOf(ns: bigint): HrTime {
  return [Number(ns / 1_000_000_000n), Number(ns % 1_000_000_000n)];
}
