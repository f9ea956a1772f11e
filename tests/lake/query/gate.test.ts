// What SQL passes the gate of the query process, and what is refused there.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Database } from "../../../src/duckdb/index.ts";
import { makeTables } from "../../../src/lake/query/answer.ts";
import { explained } from "../../../src/lake/query/explain.ts";
import { pass } from "../../../src/lake/query/gate.ts";
import { QueryError } from "../../../src/lake/query/query-error.ts";
import { DOORS } from "./fixtures/doors.ts";
import { LEGITIMATE } from "./fixtures/legitimate.ts";
import { SmallLake } from "./fixtures/small-lake.ts";

const TABLES = ["log_entries", "spans", "processes"];

let database: Database;

beforeAll(async () => {
  database = await Database.open({ threads: 1, memoryBytes: 256e6, paths: [] });
});
afterAll(() => database.close());

function gate(sql: string) {
  return pass(sql, TABLES, async (text) => {
    const reader = await database.connection.runAndReadAll(
      "SELECT json_serialize_sql($1::VARCHAR)",
      [text],
    );
    return String(reader.getRows()[0]![0]);
  });
}

async function refusalOf(sql: string): Promise<QueryError> {
  try {
    await gate(sql);
  } catch (error) {
    if (error instanceof QueryError) return error;
    throw error;
  }
  throw new Error(`passed: ${sql}`);
}

describe("the gate refuses", () => {
  test("every door that there is a test for, with a reason", async () => {
    expect(DOORS.length).toBeGreaterThan(300);
    for (const door of DOORS) {
      const { code, message, hint, status } = await refusalOf(door);
      expect([door, code]).not.toEqual([door, ""]);
      expect(message.length + hint.length).toBeGreaterThan(10);
      expect(status).toBe(400);
    }
  });

  test("SQL that the parser finds wrong, in the parser's words", async () => {
    const { code, message } = await refusalOf("SELECT ARRAY(SELECT 1, 2)");
    expect([code, message]).toEqual(["sql-syntax", "Subquery returns 2 columns - expected 1"]);
  });

  test("SQL that is longer than anybody writes", async () => {
    expect((await refusalOf(`SELECT '${"x".repeat(300_000)}'`)).code).toBe("sql-too-long");
  });

  test("no more than the first of very many beginnings of comments, and looks once at each", () => {
    for (const blanks of ["/*", "/* ", "--", "/**/", "--\n"]) {
      const sql = `explain ${blanks.repeat(Math.floor(250_000 / blanks.length))}`;
      expect(explained(sql).prefix).toBe("EXPLAIN ");
    }
    const before = "-- a\n/* b */explain/* c */ analyze --d\n";
    expect(explained(`${before}/* /* e */ */ select 1`)).toEqual({
      ...{ prefix: "EXPLAIN (ANALYZE) ", from: before.length },
    });
  });

  test("SQL that nests too deeply, without running out of stack", async () => {
    for (const sql of [
      `SELECT ${"(".repeat(50_000)}1${")".repeat(50_000)}`,
      `SELECT ${"-".repeat(2)}${"1+".repeat(100_000)}1`,
      `SELECT ${"1+".repeat(100_000)}1`,
      `SELECT ${"[".repeat(20_000)}${"]".repeat(20_000)}`,
      `${"SELECT * FROM (".repeat(5_000)}SELECT 1${")".repeat(5_000)}`,
    ]) {
      await gate(sql).catch(() => {});
    }
    expect((await gate("SELECT 1")).tables).toEqual([]);
  });
});

describe("a refusal says where", () => {
  test.each([
    ["SELECT *\n  FROM nothing", 2, 8],
    ["SELECT 'ä🦆', read_text('x')", 1, 14],
    ["SELECT *\nFROM log_entries, read_csv('x')", 2, 19],
    ["EXPLAIN ANALYZE\n SELECT current_setting('x')", 2, 9],
    ["-- first\nSELECT 1 FROM", 2, 14],
    ["SELECT 'ä🦆' FROM", 1, 17],
  ])("%j", async (sql, line, column) => {
    const { body } = await refusalOf(sql);
    expect(body).toMatchObject({ line, column });
  });

  test("and what was meant", async () => {
    const { hint } = await refusalOf("SELECT * FROM log_entrys");
    expect(hint).toContain("did you mean log_entries?");
  });
});

describe("the gate lets through", () => {
  let lake: SmallLake;
  let open: Database;

  beforeAll(async () => {
    lake = await SmallLake.make();
    const given = await lake.tables.open(TABLES, {}, new AbortController().signal);
    open = await Database.open({ threads: 1, memoryBytes: 256e6 });
    await makeTables(open, given, "/proc/self/fd/none");
  });
  afterAll(async () => {
    open.close();
    await lake.remove();
  });

  test.each(LEGITIMATE.map((sql) => [sql]))("and DuckDB answers %s", async (sql) => {
    const passed = await gate(sql);
    const reader = await open.connection.runAndReadUntil(passed.sql, 1);
    expect(reader.columnCount).toBeGreaterThan(0);
  });

  test("and tells which tables are named, those alone", async () => {
    expect((await gate("SELECT 1")).tables).toEqual([]);
    expect((await gate("SELECT 1 FROM LOG_entries, spans, spans s2")).tables).toEqual([
      "log_entries",
      "spans",
    ]);
    const shadowed = "WITH spans AS (SELECT * FROM log_entries) SELECT * FROM spans";
    expect((await gate(shadowed)).tables).toEqual(["log_entries"]);
    const own = "WITH spans AS (SELECT * FROM spans) SELECT * FROM spans";
    expect((await gate(own)).tables).toEqual(["spans"]);
  });
});
