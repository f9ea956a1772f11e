// What pushing by remote write costs a collector: samples per second into compressed requests, beside protobufjs, the
// usual protobuf library of JavaScript.
//
// protobufjs encodes messages that are there already, with only values and times changed from snapshot to snapshot, and
// compresses nothing: both are in its favour. Ours also computes the values of the series, as of the buckets of
// histograms, out of those of the snapshot, and what comes out is compressed. That both say the same is checked first.
//
// One thread does everything. The last rows go the whole way: snapshot, request, backlog, HTTP on the loopback, and a
// server in the same thread that throws away what it gets.

import { join } from "node:path";
import protobuf from "protobufjs";
import type { MetricDefinition } from "../src/layout/index.ts";
import {
  type HistogramForm,
  RemoteWrite,
  RemoteWriteEncoder,
  type WireVersion,
} from "../src/sinks/remote-write/index.ts";
import type { Bench } from "./lib/bench.ts";
import { alternate, type Rounds, type Work } from "./lib/measure.ts";
import {
  COUNTER,
  HISTOGRAM,
  HOME,
  LOG_LINEAR,
  labelValues,
  type PoolShape,
  PoolSource,
  START_MS,
} from "./lib/pool-source.ts";
import { atLeast, type Row, rateRow, row } from "./lib/report.ts";
import type { Samples } from "./lib/samples.ts";

const PROTOBUFJS = "protobufjs";
/** As RemoteWrite has it. */
const MAX_SAMPLES = 10_000;

interface Shape extends PoolShape {
  name: string;
  /** Snapshots that a request holds. */
  depth: number;
}

const SHAPES: readonly Shape[] = [
  { name: "10,000 counters, one snapshot", definition: COUNTER, series: 10_000, depth: 1 },
  { name: "100 counters, 64 snapshots", definition: COUNTER, series: 100, depth: 64 },
  { name: "700 histograms, one snapshot", definition: HISTOGRAM, series: 700, depth: 1 },
];

const bench: Bench = {
  summary: "samples/s into remote-write requests, and through HTTP; protobufjs",
  async run({ quick, scratch, progress }) {
    const rounds = quick ? { count: 3, ms: 5 } : { count: 51, ms: 40 };
    const rows: Row[] = [];
    for (const protocol of [1, 2] as const) {
      for (const shape of SHAPES) {
        progress(`${shape.name}, ${protocol}.0`);
        rows.push(...(await encoding(shape, protocol, rounds, quick)));
      }
    }
    progress("native histograms");
    rows.push(...(await natives(rounds, quick)));
    for (const folder of [undefined, scratch.folder("disk")]) {
      progress(`through HTTP${folder === undefined ? "" : ", written ahead"}`);
      rows.push(await wholeWay(folder, rounds, quick));
    }
    return rows;
  },
};
export default bench;

async function encoding(
  shape: Shape,
  protocol: WireVersion,
  rounds: Rounds,
  quick: boolean,
): Promise<Row[]> {
  const source = new PoolSource({ ...shape, startedAtMs: START_MS });
  const peer = new Peer(shape, protocol);
  const ours = new Ours(source, shape.depth, protocol);
  const [one, other] = [ours.request(), peer.request()];
  const { samples } = one;
  check(samples, other, protocol);
  const {
    ours: own,
    peer: its,
    again,
  } = await alternate(
    {
      ours: repeat(() => ours.request()),
      peer: repeat(() => peer.request()),
      again: repeat(() => new Ours(source, shape.depth, protocol).request()),
    },
    rounds,
    quick,
  );
  const name = `${shape.name}, ${protocol}.0`;
  const rate = (taken: Samples) => taken.map((ns) => (samples * 1e9) / ns);
  return [
    rateRow(name, "samples/s", rate(own!), { [PROTOBUFJS]: rate(its!) }, [
      atLeast(1e6),
      { text: `ours / ${PROTOBUFJS} ≥ 4`, holds: (_, ratios) => ratios[PROTOBUFJS]! >= 4 },
    ]),
    row(`${name}: size`, "bytes/sample", [one.bytes / samples], {
      [PROTOBUFJS]: [other.length / samples],
    }),
    row(
      `${name}: the first of a structure`,
      "ns/series",
      again!.map((ns) => ns / (samples / shape.depth)),
    ),
  ];
}

/** Log-linear histograms as native ones, each of whose 240 buckets holds something: the most that there is to write. */
async function natives(rounds: Rounds, quick: boolean): Promise<Row[]> {
  const shape = { definition: LOG_LINEAR, series: 500, startedAtMs: START_MS };
  const ours = new Ours(new PoolSource(shape), 1, 2, "native");
  const { samples, bytes } = ours.request();
  if (samples !== shape.series) throw new Error(`${samples} samples of ${shape.series} histograms`);
  const { own } = await alternate({ own: repeat(() => ours.request()) }, rounds, quick);
  const name = `${shape.series} native histograms of 240 buckets, one snapshot, 2.0`;
  const rate = own!.map((ns) => (samples * 1e9) / ns);
  return [
    rateRow(name, "histograms/s", rate, {}),
    row(`${name}: size`, "bytes/histogram", [bytes / samples]),
  ];
}

/** Ours and the peer's are the same message, but for the order of labels of equal names. */
function check(samples: number, other: Uint8Array, protocol: WireVersion): void {
  const { timeseries } = MESSAGES[protocol].decode(other) as unknown as {
    timeseries: { samples: unknown[] }[];
  };
  const found = timeseries.reduce((sum, each) => sum + each.samples.length, 0);
  if (found !== samples) throw new Error(`${found} samples, not ${samples}`);
}

async function wholeWay(folder: string | undefined, rounds: Rounds, quick: boolean): Promise<Row> {
  const [shape] = SHAPES;
  const source = new PoolSource(shape!);
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      await request.arrayBuffer();
      return new Response(null, { status: 204 });
    },
  });
  const push = new RemoteWrite({
    ...OPTIONS,
    protocol: "1",
    url: `http://127.0.0.1:${server.port}/`,
    headers: () => ({}),
    version: "bench",
    onNotice: (text) => console.error(text),
    ...(folder === undefined
      ? {}
      : { writeAhead: { folder: join(folder, "wal"), maxBytes: 1 << 28 } }),
  });
  const { ours } = await alternate(
    {
      ours: async (times) => {
        for (let i = 0; i < times; i++) {
          push.write(source.next());
          // Full requests go by themselves; this one waits to be taken before there is another.
          while (push.backlog.items > 0) await new Promise(setImmediate);
        }
      },
    } satisfies Record<string, Work>,
    rounds,
    quick,
  );
  const { undelivered } = await push.close(5000);
  await server.stop(true);
  if (undelivered > 0) throw new Error(`${undelivered} samples were not delivered`);
  const name = `${shape!.name}, through HTTP${folder === undefined ? "" : ", written ahead on disk"}`;
  return rateRow(
    name,
    "samples/s",
    ours!.map((ns) => (shape!.series * 1e9) / ns),
    {},
    [atLeast(1e6)],
  );
}

const OPTIONS = { labels: [], instanceOf: () => HOME.instance };

class Ours {
  readonly #encoder: RemoteWriteEncoder;
  #samples = 0;
  #bytes = 0;

  constructor(
    readonly source: PoolSource,
    readonly depth: number,
    protocol: WireVersion,
    histograms: HistogramForm = "powers",
  ) {
    this.#encoder = new RemoteWriteEncoder({
      ...OPTIONS,
      histograms,
      protocol,
      maxSamples: MAX_SAMPLES,
      onRequest: ({ body, samples }) => {
        this.#samples += samples;
        this.#bytes += body.length;
      },
    });
  }

  /** What so many snapshots become, which are several requests where 2.0 has no room for all names in one. */
  request(): { samples: number; bytes: number } {
    this.#samples = 0;
    this.#bytes = 0;
    for (let i = 0; i < this.depth; i++) this.#encoder.write(this.source.next());
    this.#encoder.flush();
    return { samples: this.#samples, bytes: this.#bytes };
  }
}

// https://github.com/prometheus/prometheus/blob/v2.42.0/prompb/{remote,types}.proto
const WriteRequest = protobuf
  .parse(`
    syntax = "proto3";
    message WriteRequest { repeated TimeSeries timeseries = 1; }
    message TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; }
    message Label { string name = 1; string value = 2; }
    message Sample { double value = 1; int64 timestamp = 2; }
  `)
  .root.lookupType("WriteRequest");

// https://github.com/prometheus/prometheus/blob/main/prompb/io/prometheus/write/v2/types.proto
const Request2 = protobuf
  .parse(`
    syntax = "proto3";
    message Request { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }
    message TimeSeries {
      repeated uint32 labels_refs = 1;
      repeated Sample samples = 2;
      Metadata metadata = 5;
    }
    message Sample { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }
    message Metadata { uint32 type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }
  `)
  .root.lookupType("Request");

const MESSAGES: Readonly<Record<WireVersion, protobuf.Type>> = { 1: WriteRequest, 2: Request2 };

class Peer {
  readonly #message: {
    symbols?: string[];
    timeseries: {
      samples: { value: number; timestamp: number; startTimestamp?: number }[];
    }[];
  };
  #timeMs = START_MS;

  constructor(
    { definition, series, depth }: Shape,
    readonly protocol: WireVersion,
  ) {
    const samples = () => Array.from({ length: depth }, () => ({ value: 0, timestamp: 0 }));
    const timeseries = Array.from({ length: series }, (_, i) => {
      const values = labelValues(i);
      const labels = {
        ...HOME,
        ...Object.fromEntries(definition.labelNames.map((name, n) => [name, values[n]!])),
      };
      return namesOf(definition).map((name) => {
        const all = Object.entries({ ...labels, ...name }).sort(([a], [b]) => (a < b ? -1 : 1));
        return { labels: all.map(([key, value]) => ({ name: key, value })), samples: samples() };
      });
    }).flat();
    this.#message = protocol === 1 ? { timeseries } : symbolized(timeseries);
  }

  request(): Uint8Array {
    for (const [i, { samples }] of this.#message.timeseries.entries()) {
      for (let k = 0; k < samples.length; k++) {
        samples[k]!.value = i * 1.5;
        samples[k]!.timestamp = this.#timeMs + k;
      }
    }
    this.#timeMs++;
    return MESSAGES[this.protocol].encode(this.#message).finish();
  }
}

/** The same with its strings in a table, with metadata, and with starts, as ours has them. */
function symbolized(
  all: {
    labels: { name: string; value: string }[];
    samples: { value: number; timestamp: number }[];
  }[],
) {
  const refs = new Map([["", 0]]);
  const refOf = (text: string) => {
    const ref = refs.get(text) ?? refs.size;
    refs.set(text, ref);
    return ref;
  };
  const timeseries = all.map(({ labels, samples }) => ({
    labelsRefs: labels.flatMap(({ name, value }) => [refOf(name), refOf(value)]),
    samples: samples.map((sample) => ({ ...sample, startTimestamp: START_MS })),
    metadata: { type: 1, helpRef: 0, unitRef: 0 },
  }));
  return { symbols: [...refs.keys()], timeseries };
}

/** The labels that a histogram's series have besides. */
function namesOf({ name, kind, bounds }: MetricDefinition): Record<string, string>[] {
  if (kind === "counter") return [{ __name__: name }];
  const buckets = [...bounds.map(String), "+Inf"];
  return [
    ...buckets.map((le) => ({ __name__: `${name}_bucket`, le })),
    { __name__: `${name}_sum` },
    { __name__: `${name}_count` },
  ];
}

function repeat(work: () => unknown): Work {
  return (times) => {
    for (let i = 0; i < times; i++) work();
  };
}
