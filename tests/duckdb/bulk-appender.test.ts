// Texts and maps that are appended by columns come out as they went in.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { BulkAppender, Database, TEXT_REFERENCE_BYTES, TextHeap } from "../../src/duckdb/index.ts";
import { patience } from "../support/speed.ts";

// DuckDB is loaded first.
setDefaultTimeout(patience(60_000));

let database: Database;
beforeAll(async () => {
  database = await Database.open({ threads: 1, memoryBytes: 1e8, paths: [] });
});
afterAll(() => database.close());

async function rows(sql: string): Promise<unknown[][]> {
  return (await database.connection.runAndReadAll(sql)).getRowsJson() as unknown[][];
}

/** The references of some texts, one after the other. */
function references(heap: TextHeap, texts: readonly string[]): Uint32Array<ArrayBuffer> {
  const words = TEXT_REFERENCE_BYTES / 4;
  const all = new Uint32Array(texts.length * words);
  for (const [i, text] of texts.entries()) {
    const from = heap.add(text) * words;
    all.set(heap.references.subarray(from, from + words), i * words);
  }
  return all;
}

async function roundTrip(texts: readonly string[]): Promise<string[]> {
  await database.connection.run("CREATE OR REPLACE TABLE t (text VARCHAR)");
  const appender = await BulkAppender.open(database, "t", [database.api.VARCHAR]);
  const heap = new TextHeap();
  const { chunkRows } = appender;
  for (let at = 0; at < texts.length; at += chunkRows) {
    const some = texts.slice(at, at + chunkRows);
    appender.fill(0, references(heap, some), 0, some.length * TEXT_REFERENCE_BYTES);
    appender.append(some.length);
  }
  appender.close();
  return (await rows("SELECT text FROM t ORDER BY rowid")).map(([text]) => text as string);
}

test("texts of every length and of all scripts", async () => {
  const texts = Array.from({ length: 5_000 }, (_, i) => "é漢x😀"[i % 4]!.repeat(i % 40));
  const wellFormed = texts.map((text) => text.toWellFormed());
  expect(await roundTrip(texts)).toEqual(wellFormed);
});

test("texts of twelve bytes and of thirteen, around which they are kept differently", async () => {
  const texts = ["", "a\0b", "twelve bytes", "thirteen byte", "x".repeat(3_000_000)];
  expect(await roundTrip(texts)).toEqual(texts);
});

test("a heap that was cleared is filled again", () => {
  const heap = new TextHeap();
  const first = heap.add("some text that is long");
  heap.clear();
  expect(heap.add("some text that is long")).toBe(first);
  expect(heap.references.subarray(0, 4)).toEqual(new Uint32Array(4));
});

test("maps with many entries and with none", async () => {
  await database.connection.run("CREATE OR REPLACE TABLE m (m MAP(VARCHAR, VARCHAR))");
  const { MAP, VARCHAR } = database.api;
  const appender = await BulkAppender.open(database, "m", [MAP(VARCHAR, VARCHAR)]);
  const heap = new TextHeap();
  const sizes = [0, 3_000, 1, 0];
  const lists = new BigUint64Array(
    sizes.flatMap((size, i) => [BigInt(i < 2 ? 0 : i === 2 ? 3_000 : 3_001), BigInt(size)]),
  );
  const keys = references(
    heap,
    Array.from({ length: 3_001 }, (_, i) => `key number ${i}`),
  );
  const values = references(
    heap,
    Array.from({ length: 3_001 }, (_, i) => `the value of key ${i}`),
  );
  appender.fillMaps(0, sizes.length, lists, 3_001, keys, values);
  appender.append(sizes.length);
  appender.close();
  expect(
    await rows(
      "SELECT cardinality(m)::INTEGER, m['key number 2999'], m['key number 3000'] FROM m ORDER BY rowid",
    ),
  ).toEqual([
    [0, null, null],
    [3000, "the value of key 2999", null],
    [1, null, "the value of key 3000"],
    [0, null, null],
  ]);
});
