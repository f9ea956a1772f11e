// Recordings: what is read back is what was recorded.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { PoolSnapshot } from "../../src/layout/index.ts";
import { Recorder, type RecorderOptions, Recording } from "../../src/recording/index.ts";
import { NdjsonSink } from "../../src/sinks/index.ts";
import { Output, Source } from "../sinks/snapshots.ts";
import { define, Scratch } from "../support/pools.ts";

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
async function shown(path: string): Promise<string> {
  const output = new Output();
  const sink = new NdjsonSink(output);
  using recording = await Recording.open(path);
  for await (const snapshot of recording.snapshots({})) sink.write(snapshot);
  return output.text;
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
});
