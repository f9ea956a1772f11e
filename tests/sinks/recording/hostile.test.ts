// Files that are no recordings, or that lie: they are refused with a reason, and nothing else happens.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { Recorder, Recording, RecordingError } from "../../../src/sinks/recording/index.ts";
import { completeParquet, journalOf } from "../../../src/sinks/recording/parquet-file.ts";
import { define, Scratch } from "../../support/pools.ts";
import { patience } from "../../support/speed.ts";
import { Source } from "../snapshots.ts";

setDefaultTimeout(patience(120_000));

const folder = mkdtempSync("/tmp/microview-test-");
afterAll(() => rmSync(folder, { recursive: true }));
const scratch = new Scratch();
const good = join(folder, "good.parquet");
const path = join(folder, "bad.parquet");

/** A recording of three blocks. */
beforeAll(async () => {
  const source = new Source(scratch);
  const recorder = await Recorder.open({
    path: good,
    replace: false,
    blockMs: 60_000,
    blockRows: 1,
    onFailure(error) {
      throw error;
    },
  });
  for (let i = 0; i < 12; i++) {
    source.writer.put(define.counter("c_total", ["path"]), ["/"], i);
    source.writer.put(define.histogram("seconds", [0.1, 1]), [], i, 2, i, 4.5);
    recorder.write(source.snapshot(i));
  }
  await recorder.close();
});

async function readAll(file: string): Promise<number> {
  using recording = await Recording.open(file);
  let count = 0;
  for await (const _ of recording.snapshots({})) count++;
  return count;
}

/** Writes the good recording with some of its columns changed. */
async function forge(columns: string, options = V1): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await connection.run(
    `COPY (SELECT ${columns} FROM '${good}') TO '${path}' (FORMAT parquet ${options && `, ${options}`})`,
  );
  connection.closeSync();
  instance.closeSync();
}

test("what is not changed is read", async () => {
  await forge("*");
  expect(await readAll(path)).toBe(12);
});

const V1 = "KV_METADATA {microview: '1'}";
const DEFINITION = `CASE WHEN part = 'series' THEN '%' ELSE detail END AS detail`;

test.each([
  ["*", "", "it is a Parquet file, but no recording of `microview collect --out`"],
  ["*", "KV_METADATA {microview: '2'}", "it is of version 2, this program reads version 1"],
  ["* EXCLUDE (slot)", V1, "slot"],
  ["* EXCLUDE (time)", V1, "time"],
  ["* REPLACE (slot + 1000 AS slot)", V1, "a value of slot 1000 of series 0"],
  ["* REPLACE (slot - 1 AS slot)", V1, "a value of slot -1 of series 0"],
  [
    "* REPLACE (CASE WHEN part = 'series' THEN series ELSE series + 7 END AS series)",
    V1,
    "which is not there",
  ],
  [
    "* REPLACE (CASE WHEN part = 'series' THEN series * 1000000000 ELSE series END AS series)",
    V1,
    "series 1000000000",
  ],
  [
    "* REPLACE (CASE WHEN part = 'snapshot' THEN snapshot ELSE 2000000000 END AS snapshot)",
    V1,
    "of snapshot 2000000000",
  ],
  [
    "* REPLACE (CASE WHEN part = 'snapshot' THEN 0 ELSE snapshot END AS snapshot)",
    V1,
    "lacks snapshot",
  ],
  ["* REPLACE ('../../etc' AS app)", V1, "an application cannot be called"],
  ["* REPLACE ('2' AS metric)", V1, 'the metric name "2" must match'],
  ["* REPLACE ('' AS service)", V1, "the service name is empty"],
  ["* REPLACE ('huge' AS kind)", V1, 'the kind "huge" is none of'],
  ["* REPLACE (NULL::VARCHAR AS source)", V1, "a text is missing"],
  ["* REPLACE (NULL::TIMESTAMPTZ AS time)", V1, "missing"],
  [`* REPLACE (${DEFINITION.replace("%", "null")})`, V1, ""],
  [`* REPLACE (${DEFINITION.replace("%", "{")})`, V1, ""],
  [
    `* REPLACE (${DEFINITION.replace("%", '{"help":"","combine":"sum","labelNames":[],"labelValues":["x"]}')})`,
    V1,
    "",
  ],
  [
    `* REPLACE (${DEFINITION.replace("%", '{"help":"","combine":"sum","labelNames":[],"labelValues":[],"bounds":"x"}')})`,
    V1,
    "",
  ],
  ["* REPLACE ('{}' AS detail)", V1, "a number is missing"],
])("%s %s is refused: %s", async (columns, options, reason) => {
  await forge(columns, options);
  const reading = readAll(path);
  expect(reading).rejects.toThrow(RecordingError);
  await expect(reading).rejects.toThrow(reason);
});

test("of a file that is cut off or changed anywhere, it is either read or refused", async () => {
  const bytes = readFileSync(good);
  for (let i = 0; i < 60; i++) {
    const changed = Uint8Array.from(bytes);
    // The seed of the test is where it is: a place every so many bytes, and most of the footer.
    const at = i < 40 ? bytes.length - 12 - i * 97 : i * 31;
    changed[at % bytes.length]! ^= 1 << (i % 8);
    writeFileSync(path, i % 10 === 9 ? changed.subarray(0, at) : changed);
    try {
      await readAll(path);
    } catch (error) {
      expect(error).toBeInstanceOf(RecordingError);
    }
  }
});

test("a journal that is cut off completes what was whole; one of another file does not", async () => {
  const source = new Source(scratch);
  const recorder = await Recorder.open({
    path,
    replace: true,
    blockMs: 60_000,
    blockRows: 1,
    onFailure() {},
  });
  const journal = journalOf(path);
  const kept = join(folder, "kept.parquet");
  let blocks = 0;
  const lengths: number[] = [];
  for (let i = 0; i < 40; i++) {
    source.writer.put(define.counter("c_total"), [], i);
    recorder.write(source.snapshot(i));
    await Bun.sleep(0);
    const { size } = Bun.file(journal);
    if (size !== lengths.at(-1)) lengths.push(size);
  }
  while (recorder.isWriting) await Bun.sleep(1);
  copyFileSync(path, kept);
  copyFileSync(journal, journalOf(kept));
  await recorder.close();
  const whole = Bun.file(journalOf(kept)).size;
  const saved = readFileSync(journalOf(kept));
  const data = readFileSync(kept);
  for (const cut of [0, 1, 100, 1000]) {
    writeFileSync(kept, data);
    writeFileSync(journalOf(kept), saved);
    truncateSync(journalOf(kept), whole - cut);
    expect(completeParquet(kept)!.rows).toBeGreaterThan(0);
    const count = await readAll(kept);
    expect(count).toBeGreaterThan(0);
    if (cut === 0) blocks = count;
    else expect(count).toBeLessThan(blocks);
  }
  for (const [file, log, reason] of [
    [data.subarray(0, 100), saved, "they do not belong together"],
    [data, saved.subarray(0, 40), "nothing had been closed"],
    [data, Buffer.from("something else"), "of another version"],
    [Buffer.alloc(data.length), saved, "it is no Parquet file"],
  ] as const) {
    writeFileSync(kept, file);
    writeFileSync(journalOf(kept), log);
    await expect(readAll(kept)).rejects.toThrow(reason);
    expect(readFileSync(journalOf(kept))).toEqual(Buffer.from(log));
  }
});
