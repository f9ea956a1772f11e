// What pushing by OTLP costs: data points per second into requests, beside OpenTelemetry's own serialiser for JavaScript
// and, of protobuf, beside protobufjs.
//
// The peers are given their data as they want it, made beforehand, with only values and times put in from snapshot to
// snapshot. Ours begins with a snapshot's values, looks for sums that went back and writes the requests. Compressed are
// the same bytes by the same zlib at the same level. That all say the same is tested in tests/sinks/otlp/otlp.test.ts.
//
// One thread does everything. The last rows go the whole way: snapshot, request, compressed by another thread, backlog,
// HTTP on the loopback, and a server in the same thread that throws away what it gets.

import type { HrTime } from "@opentelemetry/api";
import { JsonMetricsSerializer, ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import { DataPointType, type ResourceMetrics } from "@opentelemetry/sdk-metrics";
import type { PoolSnapshot } from "../src/layout/index.ts";
import {
  JsonForm,
  Otlp,
  OtlpEncoder,
  type OtlpForm,
  ProtobufForm,
} from "../src/sinks/otlp/index.ts";
import { OtlpRequest } from "../tests/support/otlp.ts";
import type { Bench } from "./lib/bench.ts";
import { alternate, type Rounds, type Work } from "./lib/measure.ts";
import { otelMetrics } from "./lib/otel-metrics.ts";
import {
  COUNTER,
  HISTOGRAM,
  LOG_LINEAR,
  type PoolShape,
  PoolSource,
  START_MS,
} from "./lib/pool-source.ts";
import { atLeast, type Row, rateRow } from "./lib/report.ts";
import type { Samples } from "./lib/samples.ts";

const OTEL = "OpenTelemetry";
const PROTOBUFJS = "protobufjs";
/** As Otlp has it. */
const MAX_POINTS = 5_000;

interface Shape extends PoolShape {
  name: string;
}

const SHAPES: readonly Shape[] = [
  { name: "5,000 counters", definition: COUNTER, series: 5_000 },
  { name: "1,000 histograms of 12 buckets", definition: HISTOGRAM, series: 1_000 },
  { name: "500 log-linear histograms", definition: LOG_LINEAR, series: 500 },
];

const bench: Bench = {
  summary: "data points/s into OTLP requests, and through HTTP; OpenTelemetry, protobufjs",
  async run({ quick, progress }) {
    const rounds = quick ? { count: 3, ms: 5 } : { count: 31, ms: 40 };
    const rows: Row[] = [];
    for (const shape of SHAPES) {
      progress(shape.name);
      rows.push(...(await encoding(shape, rounds, quick)));
    }
    for (const compression of ["gzip", "none"] as const) {
      progress(`through HTTP, ${compression}`);
      rows.push(await wholeWay(compression, rounds, quick));
    }
    return rows;
  },
};
export default bench;

async function encoding(shape: Shape, rounds: Rounds, quick: boolean): Promise<Row[]> {
  const source = new PoolSource(shape);
  const peer = new OtelPeer(source.next());
  const message = OtlpRequest.decode(ProtobufMetricsSerializer.serializeRequest(peer.data)!);
  const protobuf = new Ours(source, new ProtobufForm() as OtlpForm<unknown>);
  const json = new Ours(source, new JsonForm() as OtlpForm<unknown>);
  const work = {
    protobuf: () => protobuf.request(),
    protobufGzip: () => packed(protobuf.request()),
    json: () => json.request(),
    jsonGzip: () => packed(json.request()),
    otelProtobuf: () => ProtobufMetricsSerializer.serializeRequest(peer.next(source.next()))!,
    otelProtobufGzip: () =>
      packed(ProtobufMetricsSerializer.serializeRequest(peer.next(source.next()))!),
    otelJson: () => JsonMetricsSerializer.serializeRequest(peer.next(source.next()))!,
    otelJsonGzip: () => packed(JsonMetricsSerializer.serializeRequest(peer.next(source.next()))!),
    protobufjs: () => OtlpRequest.encode(message).finish(),
  };
  const taken = await alternate(
    Object.fromEntries(Object.entries(work).map(([name, each]) => [name, repeat(each)])) as Record<
      keyof typeof work,
      Work
    >,
    rounds,
    quick,
  );
  const rate = (samples: Samples) => samples.map((ns) => (shape.series * 1e9) / ns);
  const of = (name: keyof typeof work) => rate(taken[name]!);
  const row = (
    title: string,
    ours: keyof typeof work,
    otel: keyof typeof work,
    more: Record<string, Samples> = {},
  ) => rateRow(`${shape.name}, ${title}`, "points/s", of(ours), { [OTEL]: of(otel), ...more });
  return [
    row("protobuf", "protobuf", "otelProtobuf", { [PROTOBUFJS]: of("protobufjs") }),
    row("protobuf, gzip", "protobufGzip", "otelProtobufGzip"),
    row("JSON", "json", "otelJson"),
    row("JSON, gzip", "jsonGzip", "otelJsonGzip"),
  ];
}

async function wholeWay(
  compression: "gzip" | "none",
  rounds: Rounds,
  quick: boolean,
): Promise<Row> {
  const shape = { ...SHAPES[0]!, series: 100_000 };
  const source = new PoolSource(shape);
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      await request.arrayBuffer();
      return new Response(null, { status: 200 });
    },
  });
  const push = new Otlp({
    ...OPTIONS,
    url: `http://127.0.0.1:${server.port}/`,
    format: "protobuf",
    compression,
    intervalMs: 0,
    headers: () => ({}),
    onNotice: (text) => console.error(text),
  });
  let sent = 0;
  const { ours } = await alternate(
    {
      ours: async (times) => {
        for (let i = 0; i < times; i++) {
          push.write(source.next());
          sent += shape.series;
          while (push.counters.items < sent) await new Promise(setImmediate);
        }
      },
    } satisfies Record<string, Work>,
    rounds,
    quick,
  );
  const { undelivered } = await push.close(5000);
  await server.stop(true);
  if (undelivered > 0) throw new Error(`${undelivered} points were not delivered`);
  const name = `100,000 counters, through HTTP${compression === "gzip" ? ", gzip" : ""}`;
  const rate = ours!.map((ns) => (shape.series * 1e9) / ns);
  return rateRow(name, "points/s", rate, {}, [atLeast(1e6)]);
}

const OPTIONS = {
  resourceOf: () => [["host.name", "host-1.example"]] as const,
  temporality: "cumulative",
  version: "1.2.3",
} as const;

/** What is written of a snapshot, in one request. */
class Ours {
  readonly #encoder: OtlpEncoder<unknown>;

  constructor(
    readonly source: PoolSource,
    readonly form: OtlpForm<unknown>,
  ) {
    this.#encoder = new OtlpEncoder(OPTIONS, form, MAX_POINTS);
  }

  request(): Uint8Array {
    let last = new Uint8Array();
    for (const part of this.#encoder.parts(this.#encoder.take(this.source.next())))
      last = this.form.write(part);
    return last;
  }
}

/** The data of OpenTelemetry's client, brought up to a snapshot. */
class OtelPeer {
  readonly data: ResourceMetrics;

  constructor(snapshot: PoolSnapshot) {
    this.data = otelMetrics(snapshot, START_MS, { "host.name": "host-1.example" })[0]!;
  }

  next({ values, takenAtMs }: PoolSnapshot): ResourceMetrics {
    const { dataPoints, dataPointType } = this.data.scopeMetrics[0]!.metrics[0]!;
    const end: HrTime = [Math.floor(takenAtMs / 1000), (takenAtMs % 1000) * 1e6];
    for (let i = 0; i < dataPoints.length; i++) {
      const point = dataPoints[i] as { endTime: HrTime; value: unknown };
      point.endTime = end;
      // Of histograms the counts stay what they were, in the peer's favour.
      if (dataPointType === DataPointType.SUM) point.value = values[i]!;
    }
    return this.data;
  }
}

function packed(body: Uint8Array): Uint8Array {
  return Bun.gzipSync(body as Uint8Array<ArrayBuffer>, { level: 1 });
}

function repeat(work: () => unknown): Work {
  return (times) => {
    for (let i = 0; i < times; i++) work();
  };
}
