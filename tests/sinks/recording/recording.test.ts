// Recordings: what is read back is what was recorded.

import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { COMBINES, type PoolSnapshot } from "../../../src/layout/index.ts";
import { NdjsonSink } from "../../../src/sinks/index.ts";
import { Recorder, type RecorderOptions, Recording } from "../../../src/sinks/recording/index.ts";
import { queryParquet } from "../../support/parquet.ts";
import { define, Scratch, scan, TestWriter } from "../../support/pools.ts";
import { patience } from "../../support/speed.ts";
import { until } from "../../support/wait.ts";
import { Output, Source } from "../snapshots.ts";

// Each recording has a thread that loads DuckDB.
setDefaultTimeout(patience(120_000));

const folder = mkdtempSync("/tmp/microview-test-");
afterAll(() => rmSync(folder, { recursive: true }));
const scratch = new Scratch();
let files = 0;

function newPath(): string {
  return join(folder, `run-${++files}.parquet`);
}

function recorder(path: string, some: Partial<RecorderOptions> = {}): Promise<Recorder> {
  return Recorder.open({
    path,
    replace: false,
    blockMs: 60_000,
    onFailure(error) {
      throw error;
    },
    ...some,
  });
}

/** What a sink shows of a recording. */
async function shown(path: string, perWriter = false): Promise<string> {
  const output = new Output();
  const sink = new NdjsonSink({ ...output, perWriter });
  using recording = await Recording.open(path);
  for await (const snapshot of recording.snapshots({})) sink.write(snapshot);
  return output.text;
}

/** Lines of JSON, with their metrics in an order of their own: a directory rewritten may have another. */
function sorted(text: string): unknown[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const { metrics, ...rest } = JSON.parse(line);
      return { ...rest, metrics: metrics.map((each: unknown) => JSON.stringify(each)).sort() };
    });
}

test("what is read back is what was recorded", async () => {
  const source = new Source(scratch);
  const output = new Output();
  const sink = new NdjsonSink(output);
  const path = newPath();
  const recording = await recorder(path);
  const write = (snapshot: PoolSnapshot) => {
    sink.write(snapshot);
    recording.write(snapshot);
  };
  source.writer.put(define.counter("requests_total", ["path"]), ["/"], 7);
  source.writer.put(define.histogram("seconds", [0.1, 1]), [], 1, 2, 3, 4.5);
  source.writer.put(define.logLinear("lag_seconds"), []);
  source.writer.put(define.gauge("level", "max"), [], Number.NaN);
  write(source.snapshot());
  source.writer.store("requests_total", ["/"], 8);
  source.writer.store("level", [], -0.5);
  write(source.snapshot(1, { missed: 3, gap: "the agent was away" }));
  source.writer.put(define.counter("errors_total"), [], 2 ** 53);
  write(source.snapshot(2));
  source.writer.store("level", [], Number.POSITIVE_INFINITY);
  write(source.snapshot(3));
  const summary = await recording.close();
  expect(summary).toMatchObject({ snapshots: 4, samples: 18, dropped: 0 });
  expect(await shown(path)).toBe(output.text);
  const [[rows]] = (await queryParquet(path, "SELECT count(*)::INTEGER FROM FILE")) as [[number]];
  // Of what stays the same nothing is written: 4 snapshots, 5 series, and 9 values.
  expect(rows).toBe(4 + 5 + 9);
});

test("applications that come and end over many blocks are read back, each with its own values", async () => {
  const path = newPath();
  const output = new Output();
  const sink = new NdjsonSink(output);
  const recording = await recorder(path, { blockRows: 1 });
  const source = new Source(scratch);
  source.writer.put(define.counter("sold_total"), [], 1);
  source.writer.put(define.histogram("seconds", [0.1, 1]), [], 1, 2, 3, 4.5);
  const write = (at: number, app: string) => {
    source.writer.store("sold_total", [], at);
    const snapshot = source.snapshot(at, { app });
    sink.write(snapshot);
    recording.write(snapshot);
  };
  let at = 0;
  for (let i = 0; i < 10; i++) {
    // A block is closed when its changes are many times what it began with.
    for (let j = 0; j < 50; j++) write(at++, "shop");
    write(at++, `job-${i}`);
    sink.gone("host:7070", `job-${i}`);
    recording.gone("host:7070", `job-${i}`);
  }
  await recording.close();
  const [[blocks]] = (await queryParquet(
    path,
    "SELECT count(DISTINCT block)::INTEGER FROM FILE",
  )) as [[number]];
  expect(blocks).toBeGreaterThan(5);
  expect(await shown(path)).toBe(output.text);
});

test("a reader that has nothing to do with DuckDB finds the same in it", async () => {
  const source = new Source(scratch);
  const path = newPath();
  const recording = await recorder(path, { blockRows: 1 });
  const level = define.gauge("level", "sum", ["room"]);
  for (let i = 0; i < 30; i++) {
    source.writer.put(level, ["attic"], i);
    source.writer.put(level, ["cellar"], i % 2);
    recording.write(source.snapshot(i));
  }
  await recording.close();
  const file = await Bun.file(path).arrayBuffer();
  const metadata = parquetMetadata(file);
  expect(metadata.row_groups.length).toBeGreaterThan(3);
  const rows = await parquetReadObjects({
    file,
    compressors: { ZSTD: (input) => Bun.zstdDecompressSync(Buffer.from(input)) },
  });
  const snapshots = rows.filter(({ part }) => part === "snapshot");
  expect(snapshots).toHaveLength(30);
  // Values of the attic, which change each time: blocks begin with them again, at times that are their own.
  const attic = rows.filter(
    ({ part, labels }) => part === "value" && labels === '{"room":"attic"}',
  );
  expect(attic.map(({ value }) => value)).toEqual(Array.from({ length: 30 }, (_, i) => i));
  expect(attic.map(({ time }) => time)).toEqual(snapshots.map(({ time }) => time));
  expect(
    new Set(attic.map(({ source: from, app, metric, kind }) => `${from} ${app} ${metric} ${kind}`)),
  ).toEqual(new Set(["host:7070 shop level gauge"]));
});

test("values keep every bit: minus zero, infinities, the smallest and the largest", async () => {
  const source = new Source(scratch);
  source.writer.put(define.gauge("level"), [], 0);
  const path = newPath();
  const recording = await recorder(path);
  const values = [0, -0, 5e-324, Number.MAX_VALUE, -Number.MAX_VALUE, 0.1 + 0.2, 2 ** 53, -0, 0];
  for (const [i, value] of values.entries()) {
    source.writer.store("level", [], value);
    recording.write(source.snapshot(i));
  }
  await recording.close();
  using read = await Recording.open(path);
  const found: number[] = [];
  for await (const snapshot of read.snapshots({})) found.push(snapshot.values[0]!);
  expect(found).toEqual(values);
});

test("snapshots that are left out since writing falls behind are told by the next one", async () => {
  const source = new Source(scratch);
  const path = newPath();
  const recording = await recorder(path, { blockRows: 1, waitingRows: 8 });
  const write = (i: number, some: Partial<PoolSnapshot> = {}) => {
    source.writer.put(define.gauge("level"), [], i);
    recording.write(source.snapshot(i, some));
  };
  // The writing thread is not listened to meanwhile.
  for (let i = 0; i < 30; i++) write(i, i === 20 ? { missed: 2, gap: "away" } : {});
  await until("all is written", () => !recording.isWriting);
  write(30);
  const { snapshots, dropped } = await recording.close();
  expect(dropped).toBeGreaterThan(10);
  expect(snapshots).toBe(31 - dropped);
  using read = await Recording.open(path);
  const found: [missed: number, gap: string | undefined][] = [];
  for await (const { missed, gap } of read.snapshots({})) found.push([missed, gap]);
  expect(found.slice(0, -1)).toEqual(new Array(snapshots - 1).fill([0, undefined]));
  const gap = `away; ${dropped} snapshots were not recorded: writing them fell behind`;
  expect(found.at(-1)).toEqual([dropped + 2, gap]);
});

test("names, labels and reasons come back whatever is in them", async () => {
  const source = new Source(scratch, `a'b"c\\d\n\u202e,é\0`);
  const hostile = `'; DROP TABLE rows; -- "\\\u0000\u001b[2J 🦆`;
  source.writer.put({ ...define.counter("c_total", ["a", "b"]), help: hostile }, [hostile, ""], 1);
  const path = newPath();
  const recording = await recorder(path);
  const some = { source: `host'"\n:1`, gap: hostile };
  recording.write(source.snapshot(0, some));
  await recording.close();
  using read = await Recording.open(path);
  for await (const { structure, gap, source: name } of read.snapshots({})) {
    expect(structure.names.services).toEqual([`a'b"c\\d\n\u202e,é\0`]);
    const [entry] = structure.metrics;
    expect(entry!.metric.definition.help).toBe(hostile);
    expect(structure.labelValues(entry!, 0)).toEqual([hostile, ""]);
    expect({ gap, source: name }).toEqual(some);
  }
});

/** Something that happens to an application. */
type Step =
  | { kind: "count"; series: number; by: number }
  | { kind: "set"; combine: number; value: number }
  | { kind: "observe"; slot: number; linear: boolean }
  | { kind: "join" }
  | { kind: "leave" }
  | { kind: "snapshot"; missed: number; gap: boolean };

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("count" as const),
    series: fc.nat(5),
    by: fc.double({ min: 0, noNaN: true }),
  }),
  fc.record({
    kind: fc.constant("set" as const),
    combine: fc.nat(COMBINES.length - 1),
    value: fc.double(),
  }),
  fc.record({
    kind: fc.constant("observe" as const),
    slot: fc.nat(3),
    linear: fc.boolean(),
  }),
  fc.constant({ kind: "join" as const }),
  fc.constant({ kind: "leave" as const }),
  fc.record({
    kind: fc.constant("snapshot" as const),
    missed: fc.nat(3),
    gap: fc.boolean(),
  }),
  fc.constant({ kind: "snapshot" as const, missed: 0, gap: false }),
);

/** Writers that come, count and go. */
class Life {
  readonly source = new Source(scratch);
  readonly #others: TestWriter[] = [];
  readonly #counts = new Map<string, number>();
  atS = 0;

  /** @returns a snapshot, when the step is one */
  step(step: Step): PoolSnapshot | undefined {
    const writer = this.#others.at(-1) ?? this.source.writer;
    const add = (key: string, by: number) => {
      const value = (this.#counts.get(`${writer.id} ${key}`) ?? 0) + by;
      this.#counts.set(`${writer.id} ${key}`, value);
      return value;
    };
    switch (step.kind) {
      case "count": {
        const label = [`/${step.series}`];
        writer.put(define.counter("c_total", ["path"]), label, add(label[0]!, step.by));
        return undefined;
      }
      case "set": {
        const combine = COMBINES[step.combine]!;
        const values = combine === "last" ? [step.value, this.atS] : [step.value];
        writer.put(define.gauge(`g_${combine}`, combine), [], ...values);
        return undefined;
      }
      case "observe": {
        const name = step.linear ? "lag" : "seconds";
        const definition = step.linear ? define.logLinear(name) : define.histogram(name, [1, 2]);
        writer.register({ ...definition, series: [[]] });
        const slots = Array.from({ length: 4 }, (_, i) =>
          add(`${name} ${i}`, i === step.slot ? 1 : 0),
        );
        writer.store(name, [], ...slots);
        return undefined;
      }
      case "join":
        this.#others.push(new TestWriter(this.source.app, { service: "auth", pid: this.atS + 2 }));
        return undefined;
      case "leave":
        this.#others.shift()?.die();
        scan(this.source.app);
        return undefined;
      case "snapshot":
        return this.source.snapshot(++this.atS, {
          missed: step.missed,
          gap: step.gap ? "away" : undefined,
        });
    }
  }
}

test.each([false, true])(
  "whatever happens is read back; writers by themselves: %p",
  async (perWriter) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(steps, { minLength: 5, maxLength: 60 }),
        fc.constantFrom(1, 20, 500_000),
        async (all, blockRows) => {
          const life = new Life();
          const path = newPath();
          const output = new Output();
          const sink = new NdjsonSink({ ...output, perWriter });
          const recording = await recorder(path, { perWriter, blockRows });
          let sum: number | undefined;
          for (const step of [...all, { kind: "snapshot", missed: 0, gap: false } as const]) {
            const snapshot = life.step(step);
            if (snapshot === undefined) continue;
            sink.write(snapshot);
            recording.write(snapshot);
            sum = snapshot.sequence;
          }
          expect(await recording.close()).toMatchObject({ snapshots: sum, dropped: 0 });
          expect(sorted(await shown(path, perWriter))).toEqual(sorted(output.text));
        },
      ),
      { numRuns: 12 },
    );
  },
);
