// A receiver of remote write 2.0 that takes only what its specification allows, by protobufjs and its .proto.
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/

import protobuf from "protobufjs";
import { type Stored, seriesName } from "./receivers.ts";
import { type DecodedSeries, decompress } from "./remote-write.ts";

// https://github.com/prometheus/prometheus/blob/main/prompb/io/prometheus/write/v2/types.proto
const root = protobuf.parse(`
  syntax = "proto3";
  package io.prometheus.write.v2;
  message Request { reserved 1 to 3; repeated string symbols = 4; repeated TimeSeries timeseries = 5; }
  message TimeSeries {
    repeated uint32 labels_refs = 1;
    repeated Sample samples = 2;
    repeated Histogram histograms = 3;
    Metadata metadata = 5;
    int64 created_timestamp = 6;
  }
  message Sample { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }
  message Metadata { uint32 type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }
  message Histogram {
    oneof count { uint64 count_int = 1; double count_float = 2; }
    double sum = 3;
    sint32 schema = 4;
    double zero_threshold = 5;
    oneof zero_count { uint64 zero_count_int = 6; double zero_count_float = 7; }
    repeated BucketSpan positive_spans = 11;
    repeated sint64 positive_deltas = 12;
    int64 timestamp = 15;
    int64 start_timestamp = 17;
  }
  message BucketSpan { sint32 offset = 1; uint32 length = 2; }
`).root;
export const Request2 = root.lookupType("io.prometheus.write.v2.Request");

export interface NativeHistogram {
  timestamp: number;
  startTimestamp: number;
  count: number;
  sum: number;
  schema: number;
  zeroThreshold: number;
  zeroCount: number;
  /** Count by index of the bucket, of those that hold something. */
  buckets: Map<number, number>;
}

export interface DecodedSeries2 extends DecodedSeries {
  /** Of the samples, in their order. */
  starts: number[];
  histograms: NativeHistogram[];
  type: number;
  help: string;
  unit: string;
  created: number;
}

interface Message {
  symbols: string[];
  timeseries: {
    labelsRefs?: number[];
    samples?: { value?: number; timestamp?: number; startTimestamp?: number }[];
    histograms?: (Partial<Record<string, number>> & {
      positiveSpans?: { offset?: number; length?: number }[];
      positiveDeltas?: number[];
    })[];
    metadata?: { type?: number; helpRef?: number; unitRef?: number };
    createdTimestamp?: number;
  }[];
}

/** @throws Error for what the specification says MUST NOT be, or SHOULD be and is not */
export function decodeRequest2(body: Uint8Array): DecodedSeries2[] {
  const decoded = Request2.decode(decompress(body));
  const { symbols = [], timeseries = [] } = Request2.toObject(decoded, {
    longs: Number,
  }) as Partial<Message>;
  if (symbols[0] !== "") throw new Error("the first symbol is not empty");
  if (new Set(symbols).size !== symbols.length) throw new Error("a symbol stands twice");
  const used = new Set([0]);
  const symbol = (ref: number): string => {
    const found = symbols[ref];
    if (found === undefined) throw new Error(`a reference to the missing symbol ${ref}`);
    used.add(ref);
    return found;
  };
  const all = timeseries.map((series): DecodedSeries2 => {
    const { labelsRefs = [], samples = [], histograms = [], metadata, createdTimestamp } = series;
    if (labelsRefs.length === 0 || labelsRefs.length % 2 === 1) throw new Error("odd labels");
    const labels = Array.from({ length: labelsRefs.length / 2 }, (_, i) => ({
      name: symbol(labelsRefs[2 * i]!),
      value: symbol(labelsRefs[2 * i + 1]!),
    }));
    if (samples.length > 0 === histograms.length > 0) throw new Error("samples and histograms");
    if (metadata === undefined) throw new Error("no metadata");
    const times = [...samples, ...histograms].map(({ timestamp }) => Number(timestamp));
    if (times.some((time, i) => !(time > (times[i - 1] ?? 0)))) throw new Error(`times ${times}`);
    return {
      labels,
      samples: samples.map(({ value = 0, timestamp = 0 }) => {
        return { value, timestamp, stale: Number.isNaN(value) };
      }),
      starts: samples.map(({ startTimestamp = 0 }) => startTimestamp),
      histograms: histograms.map(nativeOf),
      // Zero, which is not written, is of those whose type is not known.
      type: metadata.type ?? 0,
      help: symbol(metadata.helpRef ?? 0),
      unit: symbol(metadata.unitRef ?? 0),
      created: createdTimestamp ?? 0,
    };
  });
  if (used.size !== symbols.length) throw new Error("a symbol that nothing refers to");
  return all;
}

function nativeOf(
  histogram: NonNullable<Message["timeseries"][number]["histograms"]>[number],
): NativeHistogram {
  const { positiveSpans = [], positiveDeltas = [] } = histogram;
  const buckets = new Map<number, number>();
  let index = 0;
  let at = 0;
  let count = 0;
  for (const { offset = 0, length = 0 } of positiveSpans) {
    index += offset;
    for (let i = 0; i < length; i++) {
      count += positiveDeltas[at++]!;
      if (!(count >= 0)) throw new Error(`a bucket of ${count}`);
      if (count > 0) buckets.set(index, count);
      index++;
    }
  }
  if (at !== positiveDeltas.length) throw new Error("spans and deltas do not fit");
  const whole = histogram["countInt"];
  const zeroCount = histogram["zeroCountInt"];
  const { schema = 0 } = histogram as { schema?: number };
  if (whole === undefined || zeroCount === undefined) throw new Error("no count");
  if (schema < -4 || schema > 8) throw new Error(`schema ${schema}`);
  const sum = histogram["sum"] ?? 0;
  const total = [...buckets.values()].reduce((a, b) => a + b, zeroCount);
  if (!Number.isNaN(sum) && total !== whole) throw new Error(`${total} in buckets of ${whole}`);
  return {
    timestamp: histogram["timestamp"] ?? 0,
    startTimestamp: histogram["startTimestamp"] ?? 0,
    count: whole,
    sum,
    schema,
    zeroThreshold: histogram["zeroThreshold"] ?? 0,
    zeroCount,
    buckets,
  };
}

/** Says what of a request was written, as a receiver has to. */
export function writtenHeaders(samples: number, histograms = 0): Record<string, string> {
  return {
    "x-prometheus-remote-write-samples-written": String(samples),
    "x-prometheus-remote-write-histograms-written": String(histograms),
    "x-prometheus-remote-write-exemplars-written": "0",
  };
}

/** @throws Error for headers that a request of 2.0 must not have */
export function checkHeaders2(headers: Headers): void {
  const expected = {
    "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    "content-encoding": "snappy",
    "x-prometheus-remote-write-version": "2.0.0",
  };
  for (const [name, value] of Object.entries(expected)) {
    if (headers.get(name) !== value) throw new Error(`${name}: ${headers.get(name)}`);
  }
  if (!headers.get("user-agent")?.startsWith("microview/")) throw new Error("no user agent");
}

/** Stores all that it takes; knows 2.0 alone. */
export class Receiver2 implements AsyncDisposable {
  readonly stored: Stored = new Map();
  readonly histograms = new Map<string, NativeHistogram[]>();
  readonly about = new Map<string, Pick<DecodedSeries2, "type" | "help" | "unit" | "created">>();
  requests = 0;
  /** What was wrong with a request, for the test to find. */
  readonly complaints: string[] = [];
  readonly #server;

  /** @param refuse answers instead, or undefined to take the request */
  constructor(
    readonly refuse: (request: Request, n: number) => Response | undefined = () => undefined,
  ) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const body = await request.bytes();
        const refusal = this.refuse(request, this.requests++);
        return refusal ?? this.#take(request, body);
      },
    });
  }

  get writeUrl(): string {
    return `http://127.0.0.1:${this.#server.port}/api/v1/write`;
  }

  #take(request: Request, body: Uint8Array): Response {
    if (!request.headers.get("content-type")?.includes("io.prometheus.write.v2.Request")) {
      return new Response("only 2.0 is known here", { status: 415 });
    }
    try {
      checkHeaders2(request.headers);
      const [samples, histograms] = this.#store(decodeRequest2(body));
      return new Response(null, { status: 204, headers: writtenHeaders(samples, histograms) });
    } catch (error) {
      this.complaints.push((error as Error).message);
      return new Response((error as Error).message, { status: 400, headers: writtenHeaders(0) });
    }
  }

  #store(all: DecodedSeries2[]): [samples: number, histograms: number] {
    let samples = 0;
    let histograms = 0;
    for (const series of all) {
      const names = series.labels.map(({ name }) => name);
      if (!Bun.deepEquals(names, [...new Set(names)].sort())) throw new Error(`labels ${names}`);
      if (series.labels.some(({ value }) => value === "")) throw new Error("an empty label");
      const name = seriesName(
        Object.fromEntries(series.labels.map((each) => [each.name, each.value])),
      );
      const { type, help, unit, created } = series;
      this.about.set(name, { type, help, unit, created });
      if (series.histograms.length > 0) {
        this.histograms.set(name, [...(this.histograms.get(name) ?? []), ...series.histograms]);
      } else {
        const known = this.stored.get(name) ?? new Map<number, number>();
        this.stored.set(name, known);
        for (const { value, timestamp } of series.samples) known.set(timestamp, value);
      }
      samples += series.samples.length;
      histograms += series.histograms.length;
    }
    return [samples, histograms];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}
