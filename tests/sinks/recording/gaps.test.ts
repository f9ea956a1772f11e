// A read that was missed, a total that was reset, and an absent series are three things in whatever is printed or
// written, and in a recording of it. docs/collect.md has the table.

import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { PoolSnapshot } from "../../../src/layout/index.ts";
import { CsvSink, NdjsonSink, type Sink, TableSink } from "../../../src/sinks/index.ts";
import { PrometheusSink } from "../../../src/sinks/prometheus/index.ts";
import { Recorder, Recording } from "../../../src/sinks/recording/index.ts";
import { queryParquet } from "../../support/parquet.ts";
import { define, Scratch } from "../../support/pools.ts";
import { patience } from "../../support/speed.ts";
import { Output, Source } from "../snapshots.ts";

setDefaultTimeout(patience(60_000));

const scratch = new Scratch();
const folder = mkdtempSync("/tmp/microview-test-");
afterAll(() => rmSync(folder, { recursive: true }));

/**
 * At 1 s all is well; at 5 s three deadlines were missed while the agent was away; at 6 s `kept_total` and the histogram
 * have begun again, and `gone_total` is not there any more.
 */
function* story(): Generator<PoolSnapshot> {
  const source = new Source(scratch);
  const { writer } = source;
  writer.put(define.counter("kept_total"), [], 10);
  writer.put(define.counter("gone_total"), [], 7);
  writer.put(define.histogram("wait", [1, 2]), [], 5, 0, 0, 2.5);
  yield source.snapshot(0);
  writer.store("kept_total", [], 15);
  yield source.snapshot(1);
  writer.store("kept_total", [], 23);
  yield source.snapshot(5, { missed: 3, gap: "the agent was away" });
  writer.store("kept_total", [], 4);
  writer.store("wait", [], 1, 0, 0, 0.5);
  writer.release({ name: "gone_total", labelNames: [], series: [[]] });
  yield source.snapshot(6);
}

async function told(
  make: (output: Output) => Sink,
  snapshots: Iterable<PoolSnapshot>,
): Promise<Output> {
  const output = new Output();
  const sink = make(output);
  for (const snapshot of snapshots) sink.write(snapshot);
  await sink.close(0);
  return output;
}

interface Line {
  missed: number;
  gap?: string;
  metrics: { name: string; rate?: number; reset?: true }[];
}

function checkNdjson(lines: readonly string[]): void {
  const all = lines.map((line) => JSON.parse(line) as Line);
  const of = (line: Line, name: string) => line.metrics.find((each) => each.name === name);
  const [first, well, late, again] = all as [Line, Line, Line, Line];
  expect(all).toHaveLength(4);
  for (const line of [first, well, again]) {
    expect(line.missed).toBe(0);
    expect(line.gap).toBeUndefined();
  }
  // The first has no rate, and began nothing again.
  expect(of(first, "kept_total")).not.toHaveProperty("rate");
  expect(of(first, "kept_total")).not.toHaveProperty("reset");
  expect(of(well, "kept_total")).toMatchObject({ rate: 5 });
  // Missed: said on the next line, whose rate is over all of the gap.
  expect(late).toMatchObject({ missed: 3, gap: "the agent was away" });
  expect(of(late, "kept_total")).toMatchObject({ rate: 2 });
  expect(of(late, "gone_total")).toMatchObject({ value: 7, rate: 0 });
  // Began again: said of the metric, without a rate.
  for (const name of ["kept_total", "wait"]) {
    expect(of(again, name)).toMatchObject({ reset: true });
    expect(of(again, name)).not.toHaveProperty("rate");
  }
  // Not there: left out.
  expect(of(again, "gone_total")).toBeUndefined();
}

test("lines of JSON tell them apart", async () => {
  checkNdjson((await told((output) => new NdjsonSink(output), story())).lines);
});

test("comma-separated values tell them apart", async () => {
  const { lines } = await told((output) => new CsvSink(output), story());
  const [header = "", ...rows] = lines.map((line) => line.split(","));
  const named = rows.map((row) =>
    Object.fromEntries([...header].map((name, i) => [name, row[i] ?? ""])),
  );
  const of = (sequence: number, name: string) =>
    named.find((row) => row["sequence"] === String(sequence) && row["name"] === name);
  expect(of(1, "kept_total")).toMatchObject({ rate: "", reset: "", missed: "0", gap: "" });
  expect(of(2, "kept_total")).toMatchObject({ rate: "5", reset: "", missed: "0", gap: "" });
  expect(of(3, "kept_total")).toMatchObject({
    ...{ rate: "2", reset: "", missed: "3", gap: "the agent was away" },
  });
  for (const name of ["kept_total", "wait"]) {
    expect(of(4, name)).toMatchObject({ rate: "", reset: "1", missed: "0", gap: "" });
  }
  expect(of(3, "gone_total")).toMatchObject({ rate: "0", reset: "" });
  expect(of(4, "gone_total")).toBeUndefined();
});

test("Prometheus's text says what was missed, shows what was reset, and has nothing of what is absent", async () => {
  const { text } = await told((output) => new PrometheusSink(output), story());
  const expositions = text.split(/(?<=\n)\n/);
  expect(expositions).toHaveLength(4);
  const remarks = expositions.map((each) => each.match(/^# microview: .*$/gm) ?? []);
  expect(remarks.map(({ length }) => length)).toEqual([0, 0, 2, 0]);
  expect(remarks[2]!.join("\n")).toMatch(/missed 3 deadlines\n.*after a gap: the agent was away/);
  expect(expositions[2]).toContain('kept_total{app="shop",service="auth"} 23\n');
  expect(expositions[3]).toContain('kept_total{app="shop",service="auth"} 4\n');
  expect(expositions[2]).toContain("gone_total{");
  expect(expositions[3]).not.toContain("gone_total{");
});

test("a table tells them apart", async () => {
  let nowMs = 0;
  const clock = { nowMs: () => nowMs, every: () => () => {} };
  const output = new Output();
  const sink = new TableSink({ ...output, clock });
  for (const snapshot of story()) {
    nowMs = snapshot.takenAtMs;
    sink.write(snapshot);
  }
  await sink.close();
  const tables = output.pieces;
  expect(tables).toHaveLength(4);
  const line = (table: number, name: string) =>
    tables[table]!.split("\n").find((each) => each.includes(name));
  expect(line(1, "missed")).toContain("missed 0 of 2 · gaps 0");
  expect(line(1, "kept_total")).toContain("5/s");
  expect(line(2, "missed")).toContain("missed 3 of 6 · gaps 1");
  expect(tables[2]).toContain("in shop of host:7070: the agent was away");
  expect(line(2, "kept_total")).toContain("2/s");
  for (const name of ["kept_total", "wait"]) expect(line(3, name)).toContain("reset");
  expect(line(2, "gone_total")).toContain("0/s");
  expect(line(3, "gone_total")).toBeUndefined();
});

test("a recording, and its replay, tell them apart", async () => {
  const path = join(folder, "run.parquet");
  const recorder = await Recorder.open({
    ...{ path, replace: false, blockMs: 60_000 },
    onFailure(error) {
      throw error;
    },
  });
  for (const snapshot of story()) recorder.write(snapshot);
  await recorder.close();
  using recording = await Recording.open(path);
  const output = new Output();
  const sink = new NdjsonSink(output);
  for await (const snapshot of recording.snapshots({})) sink.write(snapshot);
  checkNdjson(output.lines);

  const snapshots = await queryParquet(
    path,
    "SELECT missed::INTEGER, detail->>'gap' FROM FILE WHERE part = 'snapshot' ORDER BY time",
  );
  expect(snapshots).toEqual([
    [0, null],
    [0, null],
    [3, "the agent was away"],
    [0, null],
  ]);
  const values = (metric: string) =>
    queryParquet(
      path,
      `SELECT value::VARCHAR FROM FILE WHERE metric = '${metric}' AND part = 'value' ORDER BY time`,
    );
  expect(await values("kept_total")).toEqual([["10.0"], ["15.0"], ["23.0"], ["4.0"]]);
  expect(await values("gone_total")).toEqual([["7.0"], ["nan"]]);
});
