// A database in this process: what goes in by columns comes out, and it reaches no file that it was not given.

import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Database } from "../../src/duckdb/index.ts";
import { patience } from "../support/speed.ts";

// DuckDB is loaded first.
setDefaultTimeout(patience(60_000));

const folder = mkdtempSync("/tmp/microview-test-");
afterAll(() => rmSync(folder, { recursive: true }));

function open(...paths: string[]): Promise<Database> {
  return Database.open({ threads: 1, memoryBytes: 1e8, paths });
}

async function rows({ connection }: Database, sql: string): Promise<unknown[][]> {
  return (await connection.runAndReadAll(sql)).getRows();
}

test("columns come out as they went in, also those of several chunks", async () => {
  const database = await open();
  const { INTEGER, DOUBLE } = database.api;
  const count = 2 * database.chunkRows + 1;
  await database.connection.run("CREATE TABLE t (i INTEGER, d DOUBLE)");
  await database.append("t", count, [
    { type: INTEGER, data: Int32Array.from({ length: count }, (_, i) => i) },
    { type: DOUBLE, data: Float64Array.from({ length: count }, (_, i) => i / 2) },
  ]);
  const wrong = "SELECT count(*) FILTER (d = i / 2.0)::INTEGER, max(i) FROM t";
  expect(await rows(database, wrong)).toEqual([[count, count - 1]]);
  database.close();
});

test("files that it was not given are out of reach", async () => {
  const [given, other] = ["given.csv", "other.csv"].map((name) => join(folder, name));
  for (const path of [given!, other!]) writeFileSync(path, "a\n1\n");
  const database = await open(given!);
  expect(await rows(database, `SELECT a::INTEGER FROM read_csv('${given}')`)).toEqual([[1]]);
  const denied = database.connection.run(`SELECT * FROM read_csv('${other}')`);
  expect((await denied.then(() => undefined, String))!).toContain("disabled by configuration");
  database.close();
});

test("a path with a quote, which could end a statement, is refused", async () => {
  expect((await open("/tmp/it's").then(() => undefined, String))!).toContain("a path with a quote");
});

test("in folders that it was given it reads and writes, and not beside them", async () => {
  const database = await Database.open({
    ...{ threads: 1, memoryBytes: 1e8, paths: [] },
    directories: [`${folder}/given/`],
  });
  mkdirSync(join(folder, "given"));
  const copy = (path: string) =>
    database.connection.run(`COPY (SELECT 1 AS a) TO '${path}' (FORMAT parquet)`);
  await copy(join(folder, "given/a.parquet"));
  expect(await rows(database, `SELECT a FROM '${folder}/given/a.parquet'`)).toEqual([[1]]);
  for (const path of [`${folder}/b.parquet`, `${folder}/given/../b.parquet`]) {
    expect((await copy(path).then(() => undefined, String))!).toContain(
      "disabled by configuration",
    );
  }
  database.close();
});
