// What a recording takes: bytes per sample on disk, and samples per second into the file and out of it. A sample is the
// value of a series at a snapshot, whether it changed or not; a histogram is one.
//
// Peers write the same snapshots in the same run: "long rows" is what one would do first with DuckDB, a row per sample
// (time, names, labels, value; of a histogram its count, sum and buckets) by its own COPY with zstd; "ndjson.gz" is
// what `collect --format ndjson | gzip` leaves, which lacks the buckets. They get fewer snapshots, as they take longer;
// each is of as many as are needed for its figure to stand still.
//
// Snapshots are handed over as fast as they are taken, one thread per side, as in `microview replay --speed max --out`.

import { statSync } from "node:fs";
import { join } from "node:path";
import { Database } from "../src/duckdb/index.ts";
import { NdjsonSink } from "../src/sinks/index.ts";
import { Recorder, Recording } from "../src/sinks/recording/index.ts";
import type { Bench } from "./lib/bench.ts";
import { LOADS, type LoadName, RecordedLoad } from "./lib/recorded-load.ts";
import { atLeast, atMost, type Goal, type Row, rateRow, row } from "./lib/report.ts";

const LONG_ROWS = "long rows";
const NDJSON = "ndjson.gz";
/** A collector's rate of snapshots at its shortest interval. */
const REAL_TIME = 1000;

interface Size {
  /** Snapshots of ours, and of the peers. */
  ours: number;
  peers: number;
}

const SIZES: Readonly<Record<LoadName, Size>> = {
  "services under load, 5 % change": { ours: 10_000, peers: 100 },
  "counters, all change": { ours: 500, peers: 100 },
  "gauges, all change": { ours: 500, peers: 100 },
};

const bench: Bench = {
  summary:
    "bytes per sample and samples/s of recordings; DuckDB's COPY of long rows, NDJSON with gzip",
  async run({ quick, scratch, progress }) {
    const folder = scratch.folder("disk");
    const rows: Row[] = [];
    for (const name of Object.keys(LOADS) as LoadName[]) {
      const size = quick ? { ours: 100, peers: 5 } : SIZES[name];
      const isLight = LOADS[name].share < 1;
      progress(name);
      const path = join(folder, "run.parquet");
      const written = await record(path, new RecordedLoad(name), size.ours);
      const read = await replay(path);
      const long = await longRows(join(folder, "long.parquet"), new RecordedLoad(name), size.peers);
      const text = ndjson(new RecordedLoad(name), size.peers);
      const goals = [atMost(3)];
      rows.push(
        row(
          `${name}: size`,
          "bytes/sample",
          [written.bytesPerSample],
          {
            [LONG_ROWS]: [long.bytesPerSample],
            [NDJSON]: [text.bytesPerSample],
          },
          goals,
        ),
        rateRow(
          `${name}: record`,
          "M samples/s",
          [written.rate],
          {
            [LONG_ROWS]: [long.rate],
            [NDJSON]: [text.rate],
          },
          isLight ? [realTime()] : [],
        ),
        rateRow(`${name}: replay`, "M samples/s", [read], {}, isLight ? [realTime()] : []),
      );
    }
    return rows;
  },
};

export default bench;

/** Ten thousand series at a kilohertz. */
function realTime(): Goal {
  return atLeast((REAL_TIME * 10_000) / 1e6);
}

interface Written {
  bytesPerSample: number;
  /** Millions of samples per second, without the time in which they were made up. */
  rate: number;
}

async function record(path: string, load: RecordedLoad, count: number): Promise<Written> {
  const recorder = await Recorder.open({
    path,
    replace: true,
    blockMs: 10_000,
    onFailure(error) {
      throw error;
    },
  });
  let makingMs = 0;
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    const from = performance.now();
    const snapshot = load.next();
    makingMs += performance.now() - from;
    recorder.write(snapshot);
    while (recorder.isBehind) await Bun.sleep(1);
    if (i % 100 === 0) await Bun.sleep(0);
  }
  const { bytes, samples, dropped } = await recorder.close();
  if (dropped > 0) throw new Error(`${dropped} snapshots were left out`);
  const seconds = (performance.now() - start - makingMs) / 1000;
  return { bytesPerSample: bytes / samples, rate: samples / seconds / 1e6 };
}

async function replay(path: string): Promise<number> {
  const start = performance.now();
  using recording = await Recording.open(path);
  for await (const _ of recording.snapshots({}));
  return recording.sampleCount / ((performance.now() - start) / 1000) / 1e6;
}

/** A row per sample, in the order in which they come. */
async function longRows(path: string, load: RecordedLoad, count: number): Promise<Written> {
  const database = await Database.open({ threads: 1, memoryBytes: 3e9, paths: [path] });
  const { connection, api } = database;
  await connection.run(`
    CREATE TABLE names (cell INTEGER, service VARCHAR, metric VARCHAR, labels VARCHAR, part VARCHAR);
    CREATE TABLE samples (time TIMESTAMPTZ, cell INTEGER, value DOUBLE)`);
  const { structure, values: first } = load.next();
  const cells = first.length;
  const appender = await connection.createAppender("names");
  for (const entry of structure.metrics) {
    const { metric, service, indexes } = entry;
    const { name, labelNames } = metric.definition;
    for (const [at, index] of indexes.entries()) {
      const values = structure.labelValues(entry, at);
      const labels = JSON.stringify(
        Object.fromEntries(labelNames.map((label, i) => [label, values[i]])),
      );
      for (let slot = 0; slot < metric.slots; slot++) {
        appender.appendInteger(index + slot);
        appender.appendVarchar(service);
        appender.appendVarchar(name);
        appender.appendVarchar(labels);
        appender.appendVarchar(String(slot));
        appender.endRow();
      }
    }
  }
  appender.closeSync();
  const numbers = Int32Array.from({ length: cells }, (_, i) => i);
  let makingMs = 0;
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    const from = performance.now();
    const { values, takenAtMs } = load.next();
    makingMs += performance.now() - from;
    const times = new BigInt64Array(values.length).fill(BigInt(Math.round(takenAtMs * 1000)));
    await database.append("samples", values.length, [
      { type: api.TIMESTAMPTZ, data: times },
      { type: api.INTEGER, data: numbers },
      { type: api.DOUBLE, data: values.slice() },
    ]);
  }
  await connection.run(
    `COPY (SELECT time, service, metric, labels, part, value FROM samples JOIN names USING (cell))
     TO '${path}' (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)`,
  );
  const seconds = (performance.now() - start - makingMs) / 1000;
  database.close();
  const samples = count * load.seriesCount;
  return { bytesPerSample: statSync(path).size / samples, rate: samples / seconds / 1e6 };
}

function ndjson(load: RecordedLoad, count: number): Written {
  let bytes = 0;
  let makingMs = 0;
  const sink = new NdjsonSink({
    write: (text) => {
      bytes += Bun.gzipSync(Buffer.from(text), { level: 6 }).length;
    },
  });
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    const from = performance.now();
    const snapshot = load.next();
    makingMs += performance.now() - from;
    sink.write(snapshot);
  }
  const seconds = (performance.now() - start - makingMs) / 1000;
  const samples = count * load.seriesCount;
  return { bytesPerSample: bytes / samples, rate: samples / seconds / 1e6 };
}
